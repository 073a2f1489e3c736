package event

import (
	"context"
	"sync"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

const (
	// cacheTTL is how long the cache keeps the copy of an event.
	cacheTTL = time.Minute
	// cacheInterval is how long a process does not store another copy of an event.
	cacheInterval = cacheTTL / 2
	// cachePause is the minimum time between two copies that reads store. It bounds the
	// cost of reads of many different events. An event that is read more often is more
	// likely to get a copy.
	cachePause = 100 * time.Millisecond
	// maxCacheTimes limits the events for which a process remembers when it last stored a
	// copy. When the limit is reached, the process forgets all of them.
	maxCacheTimes = 4096
)

// cacheTimes are the times at which this process last stored copies of events.
type cacheTimes struct {
	mu     sync.Mutex
	last   map[string]time.Time // by event
	latest time.Time            // of all events
}

// isDue reports whether a copy of an event that was read should be stored now, and if so
// records that.
func (c *cacheTimes) isDue(id string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, ok := c.last[id]
	if ok && now.Sub(last) < cacheInterval || now.Sub(c.latest) < cachePause {
		return false
	}
	c.latest = now
	if c.last == nil || len(c.last) >= maxCacheTimes {
		c.last = map[string]time.Time{}
	}
	c.last[id] = now
	return true
}

// cacheRead stores a copy of an event that was read, unless this process stored one a short
// time ago.
func (s *Service) cacheRead(ctx context.Context, e Event) {
	if s.cacheTimes.isDue(e.ID, s.now()) {
		s.cacheEvent(ctx, e)
	}
}

// cacheEvent stores a copy of a public event. If that fails, the event has no copy for a
// while, which is harmless.
func (s *Service) cacheEvent(ctx context.Context, e Event) {
	if !e.Visible(false) {
		return
	}
	copied := e.versioned()
	at := contract.At(s.now())
	copied.CopiedAt = &at
	_ = s.cache.PutEvent(ctx, copied, cacheTTL)
}

// dropCached removes the copy of an event that has changed. If that fails, the copy
// expires within cacheTTL.
func (s *Service) dropCached(ctx context.Context, id string) {
	s.cacheTimes.forget(id)
	_ = s.cache.DropEvent(ctx, id)
}

// forget lets the next read of the event store a copy.
func (c *cacheTimes) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.last, id)
}

// cachedEvent returns the copy of an event, or failure if there is none. It is called when
// the store has not answered.
func (s *Service) cachedEvent(ctx context.Context, id string, failure error) (eventapi.Versioned, error) {
	copied, err := s.cache.GetEvent(ctx, id)
	if err != nil {
		return eventapi.Versioned{}, failure
	}
	return copied, nil
}
