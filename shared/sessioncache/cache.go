package sessioncache

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
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

// SessionStale and UserStale bound how long Redis can hold a stale session or
// user after a change that was never written to it: the life of a lease given
// before the change, plus the life of the value filled under that lease.
const (
	SessionStale = leaseTTL + sessionTTL
	UserStale    = leaseTTL + userTTL
)

// Cache is the session cache in one Redis. It is safe for concurrent use. An error
// from any method means that Redis gave no usable answer.
type Cache struct {
	redis redis.Scripter
	nonce func() string
}

// New returns the cache in the Redis of client. nonce generates leases; it must
// never return the same string twice.
func New(client redis.Scripter, nonce func() string) *Cache {
	return &Cache{redis: client, nonce: nonce}
}

func sessionKey(id string) string { return "session:" + id }
func userKey(id string) string    { return "user:" + id }

// Fill caches a live session and its user. They must have been read after lease
// was given, and version is that of the user's record. Fill overwrites only its
// own lease and a user of an older version. The session stays cached no longer
// than until it expires. Nothing is cached if it expires less than a millisecond
// after now.
func (c *Cache) Fill(ctx context.Context, lease string, session authapi.Session, user authapi.User, version int64, now time.Time) error {
	left := min(sessionTTL, session.ExpiresAt.Sub(now))
	if left < time.Millisecond {
		return nil
	}
	s, err := encode(version, session)
	if err != nil {
		return err
	}
	u, err := encode(version, user)
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

// LeaseUser returns a lease under which FillUser may cache a user. The caller must
// read the user's record after LeaseUser returns. The lease is empty if the user
// is cached already or another process holds a lease.
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
	u, err := encode(version, user)
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

// End writes tombstones for sessions that have ended. The caller calls it after
// the record was written, and repeats it until it succeeds or SessionStale has
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

// DropUser removes a user from the cache. The caller calls it after the record was
// written, and repeats it until it succeeds or UserStale has passed.
func (c *Cache) DropUser(ctx context.Context, userID string) error {
	if err := dropScript.Run(ctx, c.redis, []string{userKey(userID)}).Err(); err != nil {
		return fmt.Errorf("drop user: %w", err)
	}
	return nil
}

// encode returns value as it is stored: "v:<version>:<JSON>".
func encode(version int64, value any) (string, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("encode cache value: %w", err)
	}
	return "v:" + strconv.FormatInt(version, 10) + ":" + string(data), nil
}

// decode parses a value that encode returned. It returns nil for anything else,
// which then counts as not cached.
func decode[T any](text string) *T {
	rest, ok := strings.CutPrefix(text, "v:")
	if !ok {
		return nil
	}
	_, data, ok := strings.Cut(rest, ":")
	if !ok {
		return nil
	}
	v := new(T)
	if err := json.Unmarshal([]byte(data), v); err != nil {
		return nil
	}
	return v
}
