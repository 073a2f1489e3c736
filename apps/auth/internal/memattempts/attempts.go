// Package memattempts counts log-in attempts in this process alone. It stands in
// while Redis is gone: every process then counts for itself, which lets a little
// more through, and never everything.
package memattempts

import (
	"context"
	"sync"
	"time"

	"boxoffice/apps/auth/internal/auth"
)

// mostKept bounds the memory: some tens of MiB at most.
const mostKept = 100_000

// candidates is how many entries are compared when one has to go.
const candidates = 8

// Counter is an auth.Attempts. It is safe for concurrent use, and never fails.
type Counter struct {
	clock auth.Clock

	mu       sync.Mutex
	pairs    map[pair]*failures
	accounts map[string]*failures
}

var _ auth.Attempts = (*Counter)(nil)

type pair struct{ account, address string }

type failures struct {
	count  int
	locked time.Time // until then
	until  time.Time // when it is forgotten
}

// NewCounter returns an empty counter.
func NewCounter(clock auth.Clock) *Counter {
	return &Counter{clock: clock, pairs: map[pair]*failures{}, accounts: map[string]*failures{}}
}

// Begin implements auth.Attempts.
func (c *Counter) Begin(_ context.Context, account, address string) (auth.Verdict, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	p := live(c.pairs, pair{account, address}, now, auth.FailuresFor)
	if now.Before(p.locked) {
		return auth.Verdict{Locked: true, RetryAfter: p.locked.Sub(now)}, nil
	}
	a := live(c.accounts, account, now, auth.AccountFailuresFor)
	delay := auth.DelayAfter(a.count)
	a.count++
	p.count++
	lock := auth.LockAfter(p.count)
	p.locked = now.Add(lock)
	p.until = p.locked.Add(auth.FailuresFor)
	return auth.Verdict{Delay: delay}, nil
}

// Withdraw implements auth.Attempts.
func (c *Counter) Withdraw(_ context.Context, account, address string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pairs[pair{account, address}]; p != nil && p.count > 0 {
		p.count--
		p.locked = time.Time{} // it was not locked when this one began
	}
	c.forgive(account)
	return nil
}

// Clear implements auth.Attempts.
func (c *Counter) Clear(_ context.Context, account, address string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pairs, pair{account, address})
	c.forgive(account)
	return nil
}

func (c *Counter) forgive(account string) {
	if a := c.accounts[account]; a != nil && a.count > 0 {
		a.count--
	}
}

// live returns the failures of a key, new ones when there are none or they are
// to be forgotten.
func live[K comparable](m map[K]*failures, key K, now time.Time, keep time.Duration) *failures {
	if f := m[key]; f != nil && now.Before(f.until) {
		return f
	}
	if len(m) >= mostKept {
		makeRoom(m)
	}
	f := &failures{until: now.Add(keep)}
	m[key] = f
	return f
}

// makeRoom drops the one of a few entries that would be forgotten first. Go's
// maps begin somewhere else each time they are walked.
func makeRoom[K comparable](m map[K]*failures) {
	var victim K
	var first *failures
	n := 0
	for key, f := range m {
		if first == nil || f.until.Before(first.until) {
			victim, first = key, f
		}
		if n++; n == candidates {
			break
		}
	}
	delete(m, victim)
}
