// Package memattempts counts log-in attempts in the memory of one process. It is
// the fallback while Redis is unreachable. Every process then counts for itself: n
// processes together admit up to n times as many guesses, but never an unlimited
// number.
package memattempts

import (
	"context"
	"sync"
	"time"

	"boxoffice/apps/auth/internal/auth"
)

const (
	// maxEntries limits the number of pairs, and the number of accounts, that are
	// remembered. The counter then needs at most a few tens of MiB of memory.
	maxEntries = 100_000
	// evictionSample is the number of entries that evict chooses from.
	evictionSample = 8
)

// Counter is an auth.Attempts in memory. It is safe for concurrent use. Its methods
// never return an error.
type Counter struct {
	clock auth.Clock

	mu       sync.Mutex
	pairs    map[pair]*failures
	accounts map[string]*failures
}

var _ auth.Attempts = (*Counter)(nil)

type pair struct{ account, address string }

type failures struct {
	count       int
	lockedUntil time.Time
	expiresAt   time.Time
}

// NewCounter returns an empty counter.
func NewCounter(clock auth.Clock) *Counter {
	return &Counter{clock: clock, pairs: map[pair]*failures{}, accounts: map[string]*failures{}}
}

// Begin implements auth.Attempts.
func (c *Counter) Begin(_ context.Context, account, address string) (auth.AttemptDecision, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	p := entry(c.pairs, pair{account, address}, now, auth.PairFailureTTL)
	if now.Before(p.lockedUntil) {
		return auth.AttemptDecision{Locked: true, RetryAfter: p.lockedUntil.Sub(now)}, nil
	}
	a := entry(c.accounts, account, now, auth.AccountFailureTTL)
	delay := auth.LoginDelay(a.count)
	a.count++
	p.count++
	p.lockedUntil = now.Add(auth.LockDuration(p.count))
	p.expiresAt = p.lockedUntil.Add(auth.PairFailureTTL)
	return auth.AttemptDecision{Delay: delay}, nil
}

// Withdraw implements auth.Attempts.
func (c *Counter) Withdraw(_ context.Context, account, address string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pairs[pair{account, address}]; p != nil && p.count > 0 {
		p.count--
		p.lockedUntil = time.Time{} // the pair was not locked when the attempt began
	}
	c.decrementAccount(account)
	return nil
}

// Clear implements auth.Attempts.
func (c *Counter) Clear(_ context.Context, account, address string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pairs, pair{account, address})
	c.decrementAccount(account)
	return nil
}

func (c *Counter) decrementAccount(account string) {
	if a := c.accounts[account]; a != nil && a.count > 0 {
		a.count--
	}
}

// entry returns the failures of a key. If there are none or they have expired, it
// adds new ones that expire after ttl.
func entry[K comparable](m map[K]*failures, key K, now time.Time, ttl time.Duration) *failures {
	if f := m[key]; f != nil && now.Before(f.expiresAt) {
		return f
	}
	if len(m) >= maxEntries {
		evict(m)
	}
	f := &failures{expiresAt: now.Add(ttl)}
	m[key] = f
	return f
}

// evict removes the entry that expires first in a random sample. The sample is random
// because every range over a map starts at a random position.
func evict[K comparable](m map[K]*failures) {
	var victim K
	var first *failures
	n := 0
	for key, f := range m {
		if first == nil || f.expiresAt.Before(first.expiresAt) {
			victim, first = key, f
		}
		if n++; n == evictionSample {
			break
		}
	}
	delete(m, victim)
}
