package lookaside

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// How long copies live. A session's is short: it bounds how long a revocation
// that never reached Redis goes unseen.
const (
	SessionTTL   = time.Minute
	UserTTL      = time.Hour
	LeaseTTL     = 5 * time.Second
	TombstoneTTL = time.Minute // of a session
	// A user's tombstone sends every request to auth, and must only outlive the
	// leases that were there before it: a lease that is gone is never filled.
	userTombstoneTTL = LeaseTTL
)

const (
	tombstone   = "X"
	leasePrefix = "L"
)

// SessionKey is where a session's copy lies.
func SessionKey(sessionID string) string { return "session:" + sessionID }

// UserKey is where a user's copy lies.
func UserKey(userID string) string { return "user:" + userID }

// Nonce returns a new name for a lease.
func Nonce() string { return rand.Text() }

// Look is a Lua function for scripts that read copies: look(key, nonce) returns
// a copy, the tombstone, or false, and leaves a lease of that nonce where there
// was nothing.
const Look = `
local function look(key, nonce)
  local v = redis.call('GET', key)
  if not v then
    redis.call('SET', key, 'L' .. nonce, 'PX', 5000)
    return false
  end
  if string.sub(v, 1, 1) == 'L' then return false end
  return v
end
`

// IsTombstone reports whether a look found a tombstone.
func IsTombstone(found string) bool { return found == tombstone }

// Copies writes copies. It is safe for concurrent use.
type Copies struct{ client redis.UniversalClient }

// NewCopies returns the copies in that Redis.
func NewCopies(client redis.UniversalClient) *Copies { return &Copies{client: client} }

// Lease leaves a lease of that nonce if nothing is at key, and reports whether
// it did. Take it before reading the value that will be filled in.
func (c *Copies) Lease(ctx context.Context, key, nonce string) (bool, error) {
	ok, err := c.client.SetNX(ctx, key, leasePrefix+nonce, LeaseTTL).Result()
	if err != nil {
		return false, fmt.Errorf("lease %s: %w", key, err)
	}
	return ok, nil
}

// Filling is a value, and the key at which the own lease lies.
type Filling struct {
	Key   string
	Value []byte // a JSON object
	TTL   time.Duration
}

// Fill puts values in the place of leases of that nonce; where something else
// is by now it does nothing.
func (c *Copies) Fill(ctx context.Context, nonce string, fillings ...Filling) error {
	script := redis.NewScript(fillScript)
	keys := make([]string, 0, len(fillings))
	args := []any{leasePrefix + nonce}
	for _, f := range fillings {
		if f.TTL < time.Millisecond {
			continue
		}
		keys = append(keys, f.Key)
		args = append(args, f.Value, f.TTL.Milliseconds())
	}
	if len(keys) == 0 {
		return nil
	}
	if err := script.Run(ctx, c.client, keys, args...).Err(); err != nil {
		return fmt.Errorf("fill %v: %w", keys, err)
	}
	return nil
}

const fillScript = `
for i, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then
    redis.call('SET', key, ARGV[2 * i], 'PX', ARGV[2 * i + 1])
  end
end
return 0
`

// EndSessions writes tombstones for sessions that have ended. Call it after the
// record was written, and again until it succeeds.
func (c *Copies) EndSessions(ctx context.Context, sessionIDs ...string) error {
	return c.bury(ctx, TombstoneTTL, SessionKey, sessionIDs)
}

// DropUsers writes tombstones for users that have changed. Call it after the
// record was written, and again until it succeeds.
func (c *Copies) DropUsers(ctx context.Context, userIDs ...string) error {
	return c.bury(ctx, userTombstoneTTL, UserKey, userIDs)
}

func (c *Copies) bury(ctx context.Context, ttl time.Duration, key func(string) string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range ids {
			p.Set(ctx, key(id), tombstone, ttl)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write %d tombstones: %w", len(ids), err)
	}
	return nil
}
