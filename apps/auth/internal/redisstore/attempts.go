// Package redisstore keeps in Redis what may be lost at any time: the counts of
// log-in attempts, and what the gateway knows of sessions and users.
package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"boxoffice/apps/auth/internal/auth"
)

// Attempts is an auth.Attempts in Redis, so that all replicas count together.
// While Redis is gone it counts with local instead: never open, never stuck.
type Attempts struct {
	redis redis.Scripter
	local auth.Attempts
	locks []any // milliseconds, by the number of failures
}

var _ auth.Attempts = (*Attempts)(nil)

// NewAttempts returns the attempts in Redis.
func NewAttempts(client redis.Scripter, local auth.Attempts) *Attempts {
	a := &Attempts{redis: client, local: local}
	for _, lock := range auth.Locks() {
		a.locks = append(a.locks, lock.Milliseconds())
	}
	return a
}

// beginScript: KEYS pair, account. ARGV milliseconds that failures of the pair
// and of the account are kept, then those of the lock by the number of failures.
// Returns {1, milliseconds of the lock that is left} or {0, failures at the
// account before this one}.
//
// The pair is a hash of n, the failures, and until, the lock's end by Redis's
// clock in milliseconds.
var beginScript = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local left = tonumber(redis.call('HGET', KEYS[1], 'until') or 0) - now
if left > 0 then
  return {1, left}
end
local n = redis.call('HINCRBY', KEYS[1], 'n', 1)
local lock = tonumber(ARGV[math.min(n + 2, #ARGV)])
if lock > 0 then
  redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + lock))
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', lock + tonumber(ARGV[1])))
local failures = redis.call('INCR', KEYS[2])
if failures == 1 then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return {0, failures - 1}
`)

// endScript: KEYS pair, account. ARGV 1 when the attempt was right.
var endScript = redis.NewScript(`
if ARGV[1] == '1' then
  redis.call('DEL', KEYS[1])
elseif tonumber(redis.call('HGET', KEYS[1], 'n') or 0) > 0 then
  redis.call('HINCRBY', KEYS[1], 'n', -1)
  redis.call('HDEL', KEYS[1], 'until')
end
if tonumber(redis.call('GET', KEYS[2]) or 0) > 0 then
  redis.call('DECR', KEYS[2])
end
return 1
`)

// Begin implements auth.Attempts.
func (a *Attempts) Begin(ctx context.Context, account, address string) (auth.Verdict, error) {
	args := append([]any{auth.FailuresFor.Milliseconds(), auth.AccountFailuresFor.Milliseconds()}, a.locks...)
	got, err := beginScript.Run(ctx, a.redis, keys(account, address), args...).Int64Slice()
	if err != nil {
		return a.local.Begin(ctx, account, address)
	}
	if len(got) != 2 {
		return auth.Verdict{}, fmt.Errorf("count attempt: a reply of %d parts", len(got))
	}
	if got[0] == 1 {
		return auth.Verdict{Locked: true, RetryAfter: time.Duration(got[1]) * time.Millisecond}, nil
	}
	return auth.Verdict{Delay: auth.DelayAfter(int(got[1]))}, nil
}

// Withdraw implements auth.Attempts.
func (a *Attempts) Withdraw(ctx context.Context, account, address string) error {
	if a.end(ctx, account, address, 0) {
		return nil
	}
	return a.local.Withdraw(ctx, account, address)
}

// Clear implements auth.Attempts.
func (a *Attempts) Clear(ctx context.Context, account, address string) error {
	a.end(ctx, account, address, 1)
	// Whoever proved right is right there too.
	return a.local.Clear(ctx, account, address)
}

// end reports whether Redis took it back. If it did not, the count runs out.
func (a *Attempts) end(ctx context.Context, account, address string, right int) bool {
	err := endScript.Run(ctx, a.redis, keys(account, address), right).Err()
	return err == nil || errors.Is(err, redis.Nil)
}

// keys name the account by a hash: Redis need not know anybody's address.
func keys(account, address string) []string {
	sum := sha256.Sum256([]byte(account))
	id := base64.RawURLEncoding.EncodeToString(sum[:18])
	return []string{"attempts:" + id + ":" + address, "attempts:" + id}
}
