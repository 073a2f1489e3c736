// Package redisstore implements the ports of auth whose state may be lost at any
// time: the counters of log-in attempts, and the session cache that the gateway
// reads.
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

// Attempts is an auth.Attempts in Redis, which all replicas share. While Redis is
// unreachable, Attempts uses a local counter, so that guesses remain limited and
// log-ins remain possible.
type Attempts struct {
	redis redis.Scripter
	local auth.Attempts
	locks []any // auth.LockDurations in milliseconds
}

var _ auth.Attempts = (*Attempts)(nil)

// NewAttempts returns an Attempts in Redis with local as its fallback.
func NewAttempts(client redis.Scripter, local auth.Attempts) *Attempts {
	a := &Attempts{redis: client, local: local}
	for _, lock := range auth.LockDurations() {
		a.locks = append(a.locks, lock.Milliseconds())
	}
	return a
}

// beginScript counts an attempt, unless the pair is locked.
//
//	KEYS[1]  pair: a Redis hash with the fields n, the number of failures, and until,
//	         the end of the lock in milliseconds by the clock of Redis
//	KEYS[2]  account: the number of failures
//	ARGV[1]  TTL of the pair's failures in milliseconds
//	ARGV[2]  TTL of the account's failures in milliseconds
//	ARGV[3]  lock in milliseconds after one failure; ARGV[4] after two; and so on
//
// It returns {1, remaining milliseconds of the lock} if the pair is locked, and
// {0, failures of the account before this attempt} if it is not.
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

// takeBackScript takes an attempt back. It has the KEYS of beginScript. ARGV[1] is 1 if
// the password was correct; the script then also forgets the failures of the pair.
var takeBackScript = redis.NewScript(`
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
func (a *Attempts) Begin(ctx context.Context, account, address string) (auth.AttemptDecision, error) {
	args := append([]any{auth.PairFailureTTL.Milliseconds(), auth.AccountFailureTTL.Milliseconds()}, a.locks...)
	got, err := beginScript.Run(ctx, a.redis, keys(account, address), args...).Int64Slice()
	if err != nil {
		return a.local.Begin(ctx, account, address)
	}
	if len(got) != 2 {
		return auth.AttemptDecision{}, fmt.Errorf("count attempt: reply has %d elements, want 2", len(got))
	}
	if got[0] == 1 {
		return auth.AttemptDecision{Locked: true, RetryAfter: time.Duration(got[1]) * time.Millisecond}, nil
	}
	return auth.AttemptDecision{Delay: auth.LoginDelay(int(got[1]))}, nil
}

// Withdraw implements auth.Attempts.
func (a *Attempts) Withdraw(ctx context.Context, account, address string) error {
	if a.takeBack(ctx, account, address, 0) {
		return nil
	}
	return a.local.Withdraw(ctx, account, address)
}

// Clear implements auth.Attempts.
func (a *Attempts) Clear(ctx context.Context, account, address string) error {
	a.takeBack(ctx, account, address, 1)
	// Earlier failures may have been counted locally.
	return a.local.Clear(ctx, account, address)
}

// takeBack runs takeBackScript and reports whether Redis took the attempt back. If not,
// the attempt counts as a failure until its TTL ends.
func (a *Attempts) takeBack(ctx context.Context, account, address string, correct int) bool {
	err := takeBackScript.Run(ctx, a.redis, keys(account, address), correct).Err()
	return err == nil || errors.Is(err, redis.Nil)
}

// keys returns the keys of the pair and of the account. They contain a hash of the
// e-mail address, so that Redis does not store the address itself.
func keys(account, address string) []string {
	sum := sha256.Sum256([]byte(account))
	id := base64.RawURLEncoding.EncodeToString(sum[:18])
	return []string{"attempts:" + id + ":" + address, "attempts:" + id}
}
