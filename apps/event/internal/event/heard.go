package event

import (
	"sync"
	"time"
)

const (
	// maxHeard is how many holds are remembered until the next sweep.
	maxHeard = 20_000
	// linkBatch is how many of them go in one write.
	linkBatch = 100
)

// heard remembers holds whose bookings were heard of, and when to ask about them.
// To forget costs a question, never correctness.
type heard struct {
	mu   sync.Mutex
	asks map[string]time.Time // by hold
}

// add reports false when there are too many already.
func (h *heard) add(holdID string, at time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asks == nil {
		h.asks = map[string]time.Time{}
	}
	if _, known := h.asks[holdID]; !known && len(h.asks) >= maxHeard {
		return false
	}
	h.asks[holdID] = at
	return true
}

// take returns some, and forgets them.
func (h *heard) take(limit int) map[string]time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	some := map[string]time.Time{}
	for id, at := range h.asks {
		if len(some) == limit {
			break
		}
		some[id] = at
	}
	for id := range some {
		delete(h.asks, id)
	}
	return some
}
