package event

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// maxPendingLinks limits the links that a process remembers between sweeps.
	maxPendingLinks = 20_000
	// linkBatch limits the links that one write carries.
	linkBatch = 100
)

// pendingLinks holds links whose new SettleAt has not been written to their holds yet. If
// the process loses them, a sweep asks about the holds unnecessarily, which is harmless.
type pendingLinks struct {
	mu       sync.Mutex
	settleAt map[string]time.Time // by hold
}

// add remembers the link of a hold. It reports whether there was room for it.
func (l *pendingLinks) add(holdID string, settleAt time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.settleAt == nil {
		l.settleAt = map[string]time.Time{}
	}
	if _, known := l.settleAt[holdID]; !known && len(l.settleAt) >= maxPendingLinks {
		return false
	}
	l.settleAt[holdID] = settleAt
	return true
}

// take removes up to limit links and returns them.
func (l *pendingLinks) take(limit int) map[string]time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := map[string]time.Time{}
	for id, at := range l.settleAt {
		if len(taken) == limit {
			break
		}
		taken[id] = at
	}
	for id := range taken {
		delete(l.settleAt, id)
	}
	return taken
}

// FlushLinks writes the pending links to their holds, many in each write. Every sweep
// starts with it. A program should also call it before it exits.
func (s *Service) FlushLinks(ctx context.Context) error {
	for {
		links := s.links.take(linkBatch)
		if len(links) == 0 {
			return nil
		}
		if err := s.holds.PostponeSettle(ctx, links); err != nil {
			return fmt.Errorf("link %d holds: %w", len(links), err)
		}
	}
}
