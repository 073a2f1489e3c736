// Package redisstore implements the ports of auth whose state may be lost at any
// time: the counters of log-in attempts, and the session cache that the gateway
// reads.
package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"boxoffice/apps/auth/internal/auth"
)

// Attempts is an auth.Attempts in Redis, which all replicas share. While Redis is
// unreachable, Attempts uses a local counter, so that guesses remain limited and
// log-ins remain possible. A Redis that lost its data knows no addresses: until they log
// in, their attempts take turns with those of an attacker.
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

// The results of beginScript.
const (
	proceeds = iota
	isLocked
	isBusy
)

// beginScript counts an attempt, unless the pair is locked or another attempt has the turn
// that this one needs. Times are by the clock of Redis, in milliseconds.
//
//	KEYS[1]  pair: a Redis hash with the fields n, the number of failures, and until,
//	         the end of the lock
//	KEYS[2]  failures of the account: a sorted set of ids of attempts by time
//	KEYS[3]  known addresses of the account: a sorted set by the time of the last log-in
//	KEYS[4]  turn: the id of the attempt that has it
//	ARGV[1]  id of the attempt
//	ARGV[2]  address
//	ARGV[3]  TTL of the pair's failures
//	ARGV[4]  TTL of a failure of the account
//	ARGV[5]  number of failures of the account to remember
//	ARGV[6]  number of failures from which on unknown addresses take turns
//	ARGV[7]  TTL of a known address
//	ARGV[8]  TTL of a turn
//	ARGV[9]  lock after one failure; ARGV[10] after two; and so on
//
// It returns a result, a time, the number of failures of the account before this attempt,
// and 1 if the attempt has the turn. The time is the rest of the lock if the pair is locked;
// otherwise it is the lock that the attempt causes if it fails.
var beginScript = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local left = tonumber(redis.call('HGET', KEYS[1], 'until') or 0) - now
if left > 0 then
  return {1, left, 0, 0}
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - tonumber(ARGV[4])))
local failures = redis.call('ZCARD', KEYS[2])
local turn = 0
if failures >= tonumber(ARGV[6]) then
  local seen = tonumber(redis.call('ZSCORE', KEYS[3], ARGV[2]) or 0)
  if seen <= now - tonumber(ARGV[7]) then
    if not redis.call('SET', KEYS[4], ARGV[1], 'NX', 'PX', ARGV[8]) then
      return {2, 0, failures, 0}
    end
    turn = 1
  end
end
local n = redis.call('HINCRBY', KEYS[1], 'n', 1)
local lock = tonumber(ARGV[math.min(n + 8, #ARGV)])
if lock > 0 then
  redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + lock))
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', lock + tonumber(ARGV[3])))
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(ARGV[5]))
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return {0, lock, failures, turn}
`)

// The outcomes of an attempt, for endScript.
const (
	failed    = "failed"
	withdrawn = "withdrawn"
	succeeded = "succeeded"
	created   = "created" // no attempt: the account was created from the address
)

// endScript ends an attempt. It has the KEYS of beginScript.
//
//	ARGV[1]  id of the attempt
//	ARGV[2]  address
//	ARGV[3]  outcome
//	ARGV[4]  number of addresses to remember
//	ARGV[5]  TTL of a known address in milliseconds
var endScript = redis.NewScript(`
if redis.call('GET', KEYS[4]) == ARGV[1] then
  redis.call('DEL', KEYS[4])
end
if ARGV[3] == 'withdrawn' or ARGV[3] == 'succeeded' then
  redis.call('ZREM', KEYS[2], ARGV[1])
end
if ARGV[3] == 'withdrawn' and tonumber(redis.call('HGET', KEYS[1], 'n') or 0) > 0 then
  redis.call('HINCRBY', KEYS[1], 'n', -1)
  redis.call('HDEL', KEYS[1], 'until')
end
if ARGV[3] == 'succeeded' then
  redis.call('DEL', KEYS[1])
end
if ARGV[3] == 'succeeded' or ARGV[3] == 'created' then
  local t = redis.call('TIME')
  redis.call('ZADD', KEYS[3], string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), ARGV[2])
  redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[4]))
  redis.call('PEXPIRE', KEYS[3], ARGV[5])
end
return 1
`)

// Begin implements auth.Attempts.
func (a *Attempts) Begin(ctx context.Context, attempt auth.Attempt) (auth.AttemptDecision, error) {
	args := append([]any{
		attempt.ID, attempt.Address, auth.PairFailureTTL.Milliseconds(), auth.AccountFailureTTL.Milliseconds(), auth.MaxAccountFailures,
		auth.ThrottleThreshold, auth.KnownAddressTTL.Milliseconds(), auth.TurnTTL.Milliseconds(),
	}, a.locks...)
	got, err := beginScript.Run(ctx, a.redis, keys(attempt.Account, attempt.Address), args...).Int64Slice()
	if err != nil {
		return a.local.Begin(ctx, attempt)
	}
	if len(got) != 4 {
		return auth.AttemptDecision{}, fmt.Errorf("count attempt: reply has %d elements, want 4", len(got))
	}
	duration := time.Duration(got[1]) * time.Millisecond
	switch got[0] {
	case isLocked:
		return auth.AttemptDecision{Locked: true, RetryAfter: duration}, nil
	case isBusy:
		return auth.AttemptDecision{Busy: true}, nil
	}
	decision := auth.AttemptDecision{Lock: duration, HasTurn: got[3] == 1}
	if decision.HasTurn {
		decision.Delay = auth.LoginDelay(int(got[2]))
	}
	return decision, nil
}

// Fail implements auth.Attempts.
func (a *Attempts) Fail(ctx context.Context, attempt auth.Attempt) error {
	if a.end(ctx, attempt, failed) {
		return nil
	}
	return a.local.Fail(ctx, attempt)
}

// Withdraw implements auth.Attempts.
func (a *Attempts) Withdraw(ctx context.Context, attempt auth.Attempt) error {
	if a.end(ctx, attempt, withdrawn) {
		return nil
	}
	return a.local.Withdraw(ctx, attempt)
}

// Succeed implements auth.Attempts.
func (a *Attempts) Succeed(ctx context.Context, attempt auth.Attempt) error {
	a.end(ctx, attempt, succeeded)
	// Earlier failures may have been counted locally, and the local counter must know the
	// address when Redis becomes unreachable.
	return a.local.Succeed(ctx, attempt)
}

// Remember implements auth.Attempts.
func (a *Attempts) Remember(ctx context.Context, account, address string) {
	a.end(ctx, auth.Attempt{Account: account, Address: address}, created)
	a.local.Remember(ctx, account, address)
}

// end runs endScript and reports whether Redis ended the attempt. If not, the attempt
// counts as a failure until its TTL ends.
func (a *Attempts) end(ctx context.Context, attempt auth.Attempt, outcome string) bool {
	err := endScript.Run(ctx, a.redis, keys(attempt.Account, attempt.Address),
		attempt.ID, attempt.Address, outcome, auth.MaxKnownAddresses, auth.KnownAddressTTL.Milliseconds()).Err()
	return err == nil || errors.Is(err, redis.Nil)
}

// keys returns the KEYS of the scripts. Account and address are pseudonyms, so Redis
// stores neither e-mail addresses nor addresses of clients.
func keys(account, address string) []string {
	prefix := "attempts:" + account
	return []string{prefix + ":pair:" + address, prefix + ":failures", prefix + ":known", prefix + ":turn"}
}
