package sessioncache

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"boxoffice/shared/contract/authapi"
)

const (
	sessionTTL   = 60 * time.Second
	userTTL      = 3600 * time.Second
	leaseTTL     = 5 * time.Second
	tombstoneTTL = 60 * time.Second
)

// SessionStale and UserStale are the longest times for which Redis can hold a stale
// session or user after a change, if End or DropUser fails. Each is the lifetime of a
// lease taken just before the change, plus that of a value filled under the lease.
const (
	SessionStale = leaseTTL + sessionTTL
	UserStale    = leaseTTL + userTTL
)

// Config has the dependencies of a Cache. All fields but Rejected are required.
type Config struct {
	Redis redis.Scripter
	// Nonce generates leases and must never return the same string twice, not even in
	// different processes.
	Nonce func() string
	// Key is the secret from which the key of the seals is derived, at least MinKey bytes.
	// All programs that use the cache have the same one, and no others have it.
	Key []byte
	Now func() time.Time
	// Rejected is called after a Lookup that ignored one value or more because their seals
	// were wrong or had expired. It may be nil.
	Rejected func(context.Context)
}

// Cache is a session cache in one Redis. It is safe for concurrent use. Its methods
// return an error if Redis is unreachable or its reply is malformed.
type Cache struct {
	redis    redis.Scripter
	nonce    func() string
	now      func() time.Time
	rejected func(context.Context)
	sealer   *sealer
}

// New returns a Cache. It returns an error if the key is too short.
func New(cfg Config) (*Cache, error) {
	s, err := newSealer(cfg.Key)
	if err != nil {
		return nil, err
	}
	c := &Cache{redis: cfg.Redis, nonce: cfg.Nonce, now: cfg.Now, rejected: cfg.Rejected, sealer: s}
	if c.rejected == nil {
		c.rejected = func(context.Context) {}
	}
	return c, nil
}

func sessionKey(id string) string { return "session:" + id }
func userKey(id string) string    { return "user:" + id }

// Fill caches a live session and its user, whose record has this version. Both must
// have been read after lease was taken. Fill overwrites only its own lease and a user
// with an older version. The cached session does not outlive session.ExpiresAt. If the
// session expires in less than a millisecond, Fill caches nothing.
func (c *Cache) Fill(ctx context.Context, lease string, session authapi.Session, user authapi.User, version int64) error {
	left := min(sessionTTL, session.ExpiresAt.Sub(c.now()))
	if left < time.Millisecond {
		return nil
	}
	s, err := c.encode(sessionKey(session.ID), version, left, session)
	if err != nil {
		return err
	}
	u, err := c.encode(userKey(user.ID), version, userTTL, user)
	if err != nil {
		return err
	}
	err = fillScript.Run(ctx, c.redis, []string{sessionKey(session.ID), userKey(user.ID)},
		lease, version, s, left.Milliseconds(), u, userTTL.Milliseconds()).Err()
	if err != nil {
		return fmt.Errorf("fill session: %w", err)
	}
	return nil
}

// LeaseUser takes a lease under which FillUser may cache a user. The caller must read
// the user's record after LeaseUser returns. The lease is empty if the user is already
// cached or another caller holds a lease.
func (c *Cache) LeaseUser(ctx context.Context, userID string) (lease string, err error) {
	lease = c.nonce()
	got, err := leaseScript.Run(ctx, c.redis, []string{userKey(userID)}, lease, leaseTTL.Milliseconds()).Bool()
	if err != nil {
		return "", fmt.Errorf("lease user: %w", err)
	}
	if !got {
		return "", nil
	}
	return lease, nil
}

// FillUser caches a user as Fill does, without a session.
func (c *Cache) FillUser(ctx context.Context, lease string, user authapi.User, version int64) error {
	u, err := c.encode(userKey(user.ID), version, userTTL, user)
	if err != nil {
		return err
	}
	err = fillScript.Run(ctx, c.redis, []string{"", userKey(user.ID)},
		lease, version, "", 0, u, userTTL.Milliseconds()).Err()
	if err != nil {
		return fmt.Errorf("fill user: %w", err)
	}
	return nil
}

// End writes tombstones for sessions that have ended. The caller must write the records
// first. If End fails, the caller must retry it until it succeeds or SessionStale has
// passed.
func (c *Cache) End(ctx context.Context, sessionIDs ...string) error {
	if len(sessionIDs) == 0 {
		return nil
	}
	keys := make([]string, len(sessionIDs))
	for i, id := range sessionIDs {
		keys[i] = sessionKey(id)
	}
	if err := endScript.Run(ctx, c.redis, keys, tombstoneTTL.Milliseconds()).Err(); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

// DropUser removes a user, or the lease in its place, from the cache. The caller must
// write the changed record first. If DropUser fails, the caller must retry it until it
// succeeds or UserStale has passed.
func (c *Cache) DropUser(ctx context.Context, userID string) error {
	if err := dropScript.Run(ctx, c.redis, []string{userKey(userID)}).Err(); err != nil {
		return fmt.Errorf("drop user: %w", err)
	}
	return nil
}

// encode returns the stored form of a value, which counts for ttl under a Redis key.
func (c *Cache) encode(key string, version int64, ttl time.Duration, value any) (string, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("encode cache value: %w", err)
	}
	return c.sealer.seal(key, version, c.now().Add(ttl), data)
}

// decode parses a value that encode returned for the same key, and returns its version. For
// any other text it returns an error.
func decode[T any](c *Cache, key, text string) (v *T, version int64, err error) {
	s, err := c.sealer.open(key, text, c.now())
	if err != nil {
		return nil, 0, err
	}
	v = new(T)
	if err := json.Unmarshal(s.data, v); err != nil {
		return nil, 0, fmt.Errorf("decode cache value: %w", err)
	}
	return v, s.version, nil
}
