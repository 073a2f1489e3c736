package redisstore

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/shared/sessioncache"
)

// repeatEvery is how soon Redis is told again what it did not take.
const repeatEvery = time.Second

// Cache is an auth.Cache: the session cache that the gateway reads. What Redis
// did not hear is said again by Run, for as long as Redis could show the
// opposite.
type Cache struct {
	cache *sessioncache.Cache
	clock auth.Clock
	log   *slog.Logger

	mu      sync.Mutex
	pending map[notice]time.Time // until when it matters
}

var _ auth.Cache = (*Cache)(nil)

// notice is a session that ended, or a user who changed.
type notice struct{ session, user string }

// NewCache returns the cache.
func NewCache(cache *sessioncache.Cache, clock auth.Clock, log *slog.Logger) *Cache {
	return &Cache{cache: cache, clock: clock, log: log, pending: map[notice]time.Time{}}
}

// LeaseUser implements auth.Cache.
func (c *Cache) LeaseUser(ctx context.Context, userID string) string {
	lease, err := c.cache.LeaseUser(ctx, userID)
	if err != nil {
		return "" // then nothing is filled
	}
	return lease
}

// FillUser implements auth.Cache. Should it fail, the gateway asks.
func (c *Cache) FillUser(ctx context.Context, lease string, u auth.User) {
	_ = c.cache.FillUser(ctx, lease, u.Public(), u.Version)
}

// Fill implements auth.Cache. Should it fail, the gateway asks again.
func (c *Cache) Fill(ctx context.Context, lease, userID string, f auth.Family, u auth.User) {
	if lease == "" {
		return
	}
	_ = c.cache.Fill(ctx, lease, f.Public(userID), u.Public(), u.Version, c.clock.Now())
}

// End implements auth.Cache.
func (c *Cache) End(ctx context.Context, sessionIDs ...string) {
	if err := c.cache.End(ctx, sessionIDs...); err != nil {
		until := c.clock.Now().Add(sessioncache.SessionStale)
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, id := range sessionIDs {
			c.pending[notice{session: id}] = until
		}
	}
}

// DropUser implements auth.Cache.
func (c *Cache) DropUser(ctx context.Context, userID string) {
	if err := c.cache.DropUser(ctx, userID); err != nil {
		until := c.clock.Now().Add(sessioncache.UserStale)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pending[notice{user: userID}] = until
	}
}

// Run repeats what Redis did not take until ctx ends.
func (c *Cache) Run(ctx context.Context) error {
	for c.clock.Sleep(ctx, repeatEvery) == nil {
		if left := c.Repeat(ctx); left > 0 {
			c.log.WarnContext(ctx, "redis has not heard of ended sessions or changed users", "count", left)
		}
	}
	return nil
}

// Repeat says all once more that is pending, and returns how much still is.
func (c *Cache) Repeat(ctx context.Context) int {
	c.mu.Lock()
	todo := maps.Clone(c.pending)
	c.mu.Unlock()
	now := c.clock.Now()
	for n, until := range todo {
		if now.Before(until) && c.tell(ctx, n) != nil {
			break // the rest would fail too
		}
		c.mu.Lock()
		// It may have become pending anew, for longer.
		if c.pending[n].Equal(until) {
			delete(c.pending, n)
		}
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending)
}

func (c *Cache) tell(ctx context.Context, n notice) error {
	if n.session != "" {
		return c.cache.End(ctx, n.session)
	}
	return c.cache.DropUser(ctx, n.user)
}
