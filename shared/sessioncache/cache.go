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
	sessionFor   = 60 * time.Second
	userFor      = 3600 * time.Second
	leaseFor     = 5 * time.Second
	tombstoneFor = 60 * time.Second
)

// SessionStale and UserStale are the longest that Redis can show what is no
// longer so when it was not told of a change: a lease that was there before it,
// and the value that it was filled with.
const (
	SessionStale = leaseFor + sessionFor
	UserStale    = leaseFor + userFor
)

// Cache is the cache in one Redis. It is safe for concurrent use. Its errors are
// all of one kind: Redis did not answer.
type Cache struct {
	redis redis.Scripter
	nonce func() string
}

// New returns the cache. nonce makes the leases: texts that never repeat.
func New(client redis.Scripter, nonce func() string) *Cache {
	return &Cache{redis: client, nonce: nonce}
}

// Known is what the cache knows of a session and its user.
type Known struct {
	Session *authapi.Session // nil: not known
	Ended   bool             // the session is over, and for ever
	User    *authapi.User    // nil: not known, or older than the session's knowledge of him
	Lease   string           // for auth.session.check, when either is not known
}

func sessionKey(id string) string { return "session:" + id }
func userKey(id string) string    { return "user:" + id }

// Fill writes a live session and its user, read at that version of the record
// after the lease was given. Whatever lies there under another lease, or without
// one, stays; but a user of an older version is replaced. now is the time by
// which session.ExpiresAt is meant.
func (c *Cache) Fill(ctx context.Context, lease string, session authapi.Session, user authapi.User, version int64, now time.Time) error {
	left := min(sessionFor, session.ExpiresAt.Sub(now))
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
		lease, version, s, left.Milliseconds(), u, userFor.Milliseconds()).Err()
	if err != nil {
		return fmt.Errorf("fill session: %w", err)
	}
	return nil
}

// LeaseUser asks to fill in a user whose record is read next. The lease is empty
// when somebody else has one, or the user is known.
func (c *Cache) LeaseUser(ctx context.Context, userID string) (lease string, err error) {
	lease = c.nonce()
	got, err := leaseScript.Run(ctx, c.redis, []string{userKey(userID)}, lease, leaseFor.Milliseconds()).Bool()
	if err != nil {
		return "", fmt.Errorf("lease user: %w", err)
	}
	if !got {
		return "", nil
	}
	return lease, nil
}

// FillUser is Fill for a user alone.
func (c *Cache) FillUser(ctx context.Context, lease string, user authapi.User, version int64) error {
	u, err := encode(version, user)
	if err != nil {
		return err
	}
	err = fillScript.Run(ctx, c.redis, []string{"", userKey(user.ID)},
		lease, version, "", 0, u, userFor.Milliseconds()).Err()
	if err != nil {
		return fmt.Errorf("fill user: %w", err)
	}
	return nil
}

// End marks sessions as over. Called after the record says so, and again until
// it succeeds or SessionStale has passed.
func (c *Cache) End(ctx context.Context, sessionIDs ...string) error {
	if len(sessionIDs) == 0 {
		return nil
	}
	keys := make([]string, len(sessionIDs))
	for i, id := range sessionIDs {
		keys[i] = sessionKey(id)
	}
	if err := endScript.Run(ctx, c.redis, keys, tombstoneFor.Milliseconds()).Err(); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

// DropUser forgets a user. Called after the record changed, and again until it
// succeeds or UserStale has passed.
func (c *Cache) DropUser(ctx context.Context, userID string) error {
	if err := dropScript.Run(ctx, c.redis, []string{userKey(userID)}).Err(); err != nil {
		return fmt.Errorf("drop user: %w", err)
	}
	return nil
}

func encode(version int64, value any) (string, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("encode for the cache: %w", err)
	}
	return "v:" + strconv.FormatInt(version, 10) + ":" + string(data), nil
}

// decode reads a value; one that cannot be read counts as not known.
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
