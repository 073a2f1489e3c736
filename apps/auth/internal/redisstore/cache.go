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

// retryInterval is the time between retries of failed invalidations.
const retryInterval = time.Second

// Cache is an auth.Cache over the session cache that the gateway reads. Run retries
// failed invalidations for as long as Redis could still return the outdated value.
type Cache struct {
	cache *sessioncache.Cache
	clock auth.Clock
	log   *slog.Logger

	mu      sync.Mutex
	pending map[invalidation]time.Time // failed invalidations, and when each becomes obsolete
}

var _ auth.Cache = (*Cache)(nil)

// invalidation is a session that ended or a user that changed. One of the ids is
// empty.
type invalidation struct{ sessionID, userID string }

// NewCache returns a Cache over cache.
func NewCache(cache *sessioncache.Cache, clock auth.Clock, log *slog.Logger) *Cache {
	return &Cache{cache: cache, clock: clock, log: log, pending: map[invalidation]time.Time{}}
}

// LeaseUser implements auth.Cache.
func (c *Cache) LeaseUser(ctx context.Context, userID string) string {
	lease, err := c.cache.LeaseUser(ctx, userID)
	if err != nil {
		return "" // nothing is filled without a lease
	}
	return lease
}

// FillUser implements auth.Cache. If it fails, the gateway misses the user and asks
// auth.
func (c *Cache) FillUser(ctx context.Context, lease string, u auth.User) {
	_ = c.cache.FillUser(ctx, lease, u.Public(), u.Version)
}

// Fill implements auth.Cache. If it fails, the gateway misses the session and asks
// auth again.
func (c *Cache) Fill(ctx context.Context, lease, userID string, f auth.Family, u auth.User) {
	if lease == "" {
		return
	}
	_ = c.cache.Fill(ctx, lease, f.Public(userID), u.Public(), u.Version)
}

// End implements auth.Cache.
func (c *Cache) End(ctx context.Context, sessionIDs ...string) {
	if err := c.cache.End(ctx, sessionIDs...); err != nil {
		obsolete := c.clock.Now().Add(sessioncache.SessionStale)
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, id := range sessionIDs {
			c.pending[invalidation{sessionID: id}] = obsolete
		}
	}
}

// DropUser implements auth.Cache.
func (c *Cache) DropUser(ctx context.Context, userID string) {
	if err := c.cache.DropUser(ctx, userID); err != nil {
		obsolete := c.clock.Now().Add(sessioncache.UserStale)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pending[invalidation{userID: userID}] = obsolete
	}
}

// Run retries failed invalidations until ctx ends.
func (c *Cache) Run(ctx context.Context) error {
	for c.clock.Sleep(ctx, retryInterval) == nil {
		if left := c.RetryPending(ctx); left > 0 {
			c.log.WarnContext(ctx, "redis is unreachable: cache invalidations are pending", "count", left)
		}
	}
	return nil
}

// RetryPending goes through the failed invalidations once and returns how many are
// left. It drops those that are obsolete and retries the others. It stops at the first
// retry that fails.
func (c *Cache) RetryPending(ctx context.Context) int {
	c.mu.Lock()
	pending := maps.Clone(c.pending)
	c.mu.Unlock()
	now := c.clock.Now()
	for inv, obsolete := range pending {
		if now.Before(obsolete) && c.send(ctx, inv) != nil {
			break // the others would fail too
		}
		c.mu.Lock()
		// The same invalidation may have failed again in the meantime. It then stays
		// pending for the next retry.
		if c.pending[inv].Equal(obsolete) {
			delete(c.pending, inv)
		}
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending)
}

func (c *Cache) send(ctx context.Context, inv invalidation) error {
	if inv.sessionID != "" {
		return c.cache.End(ctx, inv.sessionID)
	}
	return c.cache.DropUser(ctx, inv.userID)
}
