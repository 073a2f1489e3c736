// Package memattempts counts log-in attempts in the memory of one process. It is
// the fallback while Redis is unreachable. Every process then counts for itself: n
// processes together admit up to n times as many guesses, but never an unlimited
// number. An address is known only if it logged in through this process.
package memattempts

import (
	"context"
	"slices"
	"sync"
	"time"

	"boxoffice/apps/auth/internal/auth"
)

const (
	// maxEntries limits the number of pairs, of accounts with failures, and of accounts with
	// known addresses that are remembered. The counter then needs less than 150 MiB of
	// memory, most of it only if as many accounts are under attack at once.
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
	accounts map[string]*account
	known    map[string]*addresses // by account
}

var _ auth.Attempts = (*Counter)(nil)

type pair struct{ account, address string }

// failures are those of a pair.
type failures struct {
	count       int
	lockedUntil time.Time
	expiresAt   time.Time
}

// account has the recent failures of an account, and the attempt that has the turn.
type account struct {
	failures  []time.Time // oldest first; at most auth.MaxAccountFailures
	turn      string      // id of an attempt, or empty
	turnEnds  time.Time
	expiresAt time.Time
}

// addresses are those that are known to an account, the latest log-in last.
type addresses struct {
	list      []knownAddress // at most auth.MaxKnownAddresses
	expiresAt time.Time
}

type knownAddress struct {
	address  string
	loggedIn time.Time
}

// expiring is an entry of one of the maps.
type expiring interface{ expiry() time.Time }

func (f *failures) expiry() time.Time  { return f.expiresAt }
func (a *account) expiry() time.Time   { return a.expiresAt }
func (k *addresses) expiry() time.Time { return k.expiresAt }

// NewCounter returns an empty counter.
func NewCounter(clock auth.Clock) *Counter {
	return &Counter{clock: clock, pairs: map[pair]*failures{}, accounts: map[string]*account{}, known: map[string]*addresses{}}
}

// Begin implements auth.Attempts.
func (c *Counter) Begin(_ context.Context, a auth.Attempt) (auth.AttemptDecision, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	p := entry(c.pairs, pair{a.Account, a.Address}, now, func() *failures { return &failures{expiresAt: now.Add(auth.PairFailureTTL)} })
	if now.Before(p.lockedUntil) {
		return auth.AttemptDecision{Locked: true, RetryAfter: p.lockedUntil.Sub(now)}, nil
	}
	acc := entry(c.accounts, a.Account, now, func() *account { return &account{expiresAt: now.Add(auth.AccountFailureTTL)} })
	acc.failures = slices.DeleteFunc(acc.failures, func(at time.Time) bool { return !now.Before(at.Add(auth.AccountFailureTTL)) })
	var decision auth.AttemptDecision
	if n := len(acc.failures); n >= auth.ThrottleThreshold && !c.isKnown(a, now) {
		if acc.turn != "" && now.Before(acc.turnEnds) {
			return auth.AttemptDecision{Busy: true}, nil
		}
		acc.turn, acc.turnEnds = a.ID, now.Add(auth.TurnTTL)
		decision = auth.AttemptDecision{HasTurn: true, Delay: auth.LoginDelay(n)}
	}
	acc.failures = append(acc.failures, now)
	acc.failures = slices.Delete(acc.failures, 0, max(0, len(acc.failures)-auth.MaxAccountFailures))
	acc.expiresAt = now.Add(auth.AccountFailureTTL)
	p.count++
	decision.Lock = auth.LockDuration(p.count)
	p.lockedUntil = now.Add(decision.Lock)
	p.expiresAt = p.lockedUntil.Add(auth.PairFailureTTL)
	return decision, nil
}

func (c *Counter) isKnown(a auth.Attempt, now time.Time) bool {
	k := c.known[a.Account]
	return k != nil && slices.ContainsFunc(k.list, func(known knownAddress) bool {
		return known.address == a.Address && now.Before(known.loggedIn.Add(auth.KnownAddressTTL))
	})
}

// Fail implements auth.Attempts.
func (c *Counter) Fail(_ context.Context, a auth.Attempt) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endTurn(a)
	return nil
}

// Withdraw implements auth.Attempts.
func (c *Counter) Withdraw(_ context.Context, a auth.Attempt) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pairs[pair{a.Account, a.Address}]; p != nil && p.count > 0 {
		p.count--
		p.lockedUntil = time.Time{} // the pair was not locked when the attempt began
	}
	c.forgetFailure(a)
	return nil
}

// Succeed implements auth.Attempts.
func (c *Counter) Succeed(_ context.Context, a auth.Attempt) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pairs, pair{a.Account, a.Address})
	c.forgetFailure(a)
	c.remember(a.Account, a.Address)
	return nil
}

// Remember implements auth.Attempts.
func (c *Counter) Remember(_ context.Context, account, address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remember(account, address)
}

func (c *Counter) remember(account, address string) {
	now := c.clock.Now()
	k := entry(c.known, account, now, func() *addresses { return &addresses{} })
	k.list = slices.DeleteFunc(k.list, func(known knownAddress) bool { return known.address == address })
	k.list = append(k.list, knownAddress{address, now})
	k.list = slices.Delete(k.list, 0, max(0, len(k.list)-auth.MaxKnownAddresses))
	k.expiresAt = now.Add(auth.KnownAddressTTL)
}

// forgetFailure takes back the latest failure of an account, and ends the attempt's turn.
func (c *Counter) forgetFailure(a auth.Attempt) {
	c.endTurn(a)
	if acc := c.accounts[a.Account]; acc != nil && len(acc.failures) > 0 {
		acc.failures = acc.failures[:len(acc.failures)-1]
	}
}

func (c *Counter) endTurn(a auth.Attempt) {
	if acc := c.accounts[a.Account]; acc != nil && acc.turn == a.ID {
		acc.turn = ""
	}
}

// entry returns the entry of a key. If there is none or it has expired, it adds the one
// that create returns.
func entry[K comparable, E expiring](m map[K]E, key K, now time.Time, create func() E) E {
	if e, ok := m[key]; ok && now.Before(e.expiry()) {
		return e
	}
	if len(m) >= maxEntries {
		evict(m)
	}
	e := create()
	m[key] = e
	return e
}

// evict removes the entry that expires first in a random sample. The sample is random
// because every range over a map starts at a random position.
func evict[K comparable, E expiring](m map[K]E) {
	var victim K
	var first time.Time
	n := 0
	for key, e := range m {
		if n == 0 || e.expiry().Before(first) {
			victim, first = key, e.expiry()
		}
		if n++; n == evictionSample {
			break
		}
	}
	delete(m, victim)
}
