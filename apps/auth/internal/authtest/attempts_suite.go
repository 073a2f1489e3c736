package authtest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/test/kit"
)

// AttemptsSuite is the conformance suite of auth.Attempts.
type AttemptsSuite struct {
	// Open returns an empty counter and a function that advances the counter's clock.
	// It is called once for each subtest.
	Open func(t *testing.T) (attempts auth.Attempts, advance func(time.Duration))
}

// Conform runs the suite.
func (s AttemptsSuite) Conform(t *testing.T) {
	for name, test := range map[string]func(*counter){
		"the fifth failure locks and each further one doubles the lock":         locks,
		"a correct password clears the failures":                                clears,
		"a withdrawn attempt does not count":                                    withdraws,
		"failures of a pair are forgotten after an hour":                        forgetsPairs,
		"five of 200 concurrent guesses are admitted":                           admitsFive,
		"after 20 failures unknown addresses take turns":                        takesTurns,
		"a turn ends with its attempt, and with nothing but its attempt":        endsTurns,
		"a turn that is not given back ends":                                    expiresTurns,
		"one of 200 concurrent guesses from unknown addresses gets the turn":    admitsOne,
		"known addresses need no turn":                                          exemptsKnownAddresses,
		"an account has 20 known addresses at most":                             boundsKnownAddresses,
		"an address is forgotten 90 days after its last log-in":                 forgetsKnownAddresses,
		"failures count for 15 minutes each":                                    slides,
		"refused attempts do not count, and correct ones do not throttle":       countsOnlyFailures,
		"many failures delay unknown addresses by a second, and for 15 minutes": delays,
	} {
		t.Run(name, func(t *testing.T) {
			a, advance := s.Open(t)
			test(&counter{t: t, Attempts: a, advance: advance})
		})
	}
}

// counter is a counter under test.
type counter struct {
	auth.Attempts
	t       *testing.T
	advance func(time.Duration)
	n       atomic.Int64 // attempts so far
}

// attempt returns a new attempt.
func (c *counter) attempt(account, address string) auth.Attempt {
	return auth.Attempt{ID: fmt.Sprint("attempt", c.n.Add(1)), Account: account, Address: address}
}

// begin begins an attempt.
func (c *counter) begin(account, address string) (auth.Attempt, auth.AttemptDecision) {
	c.t.Helper()
	a := c.attempt(account, address)
	d, err := c.Begin(c.t.Context(), a)
	must(c.t, err)
	return a, d
}

// admitted begins an attempt that must be admitted without a delay or a turn.
func (c *counter) admitted(account, address string) auth.Attempt {
	c.t.Helper()
	a, d := c.begin(account, address)
	if d.Locked || d.Busy || d.HasTurn || d.Delay != 0 {
		c.t.Fatalf("account %s, address %s: got %+v, want it admitted at once", account, address, d)
	}
	return a
}

// fail begins n attempts from as many addresses, which begin with prefix, and lets them
// fail.
func (c *counter) fail(account, prefix string, n int) {
	c.t.Helper()
	for i := range n {
		a, d := c.begin(account, fmt.Sprint(prefix, i))
		if d.Locked || d.Busy {
			c.t.Fatalf("failure %d: got %+v, want it admitted", i+1, d)
		}
		must(c.t, c.Fail(c.t.Context(), a))
	}
}

// wantTurn begins an attempt that must get the turn.
func (c *counter) wantTurn(account, address string) auth.Attempt {
	c.t.Helper()
	a, d := c.begin(account, address)
	if d.Locked || d.Busy || !d.HasTurn {
		c.t.Fatalf("account %s, address %s: got %+v, want the turn", account, address, d)
	}
	return a
}

// wantBusy begins an attempt that must not get the turn.
func (c *counter) wantBusy(account, address string) {
	c.t.Helper()
	if _, d := c.begin(account, address); d != (auth.AttemptDecision{Busy: true}) {
		c.t.Fatalf("account %s, address %s: got %+v, want busy", account, address, d)
	}
}

func locks(c *counter) {
	for i := range 5 {
		if _, d := c.begin("ann", "a"); d != (auth.AttemptDecision{Lock: auth.LockDuration(i + 1)}) {
			c.t.Fatalf("attempt %d: got %+v, want it admitted", i+1, d)
		}
	}
	for _, lock := range []time.Duration{1, 2, 4, 8, 15, 15} {
		lock *= time.Minute
		for range 3 { // attempts during the lock do not extend it
			if _, d := c.begin("ann", "a"); !d.Locked || !isAbout(d.RetryAfter, lock) {
				c.t.Fatalf("got %+v, want locked for %s", d, lock)
			}
		}
		must(c.t, c.Succeed(c.t.Context(), c.admitted("ann", "b")))
		must(c.t, c.Succeed(c.t.Context(), c.admitted("ben", "a")))
		c.advance(lock)
		if _, d := c.begin("ann", "a"); d.Locked || d.Lock < lock {
			c.t.Fatalf("after %s: got %+v, want it not locked", lock, d)
		}
	}
}

func clears(c *counter) {
	for range 30 {
		var begun []auth.Attempt
		for range 5 {
			begun = append(begun, c.admitted("ann", "a"))
		}
		for _, a := range begun {
			must(c.t, c.Succeed(c.t.Context(), a))
		}
	}
	if _, d := c.begin("ann", "a"); d != (auth.AttemptDecision{}) {
		c.t.Errorf("after correct passwords only: got %+v, want it admitted", d)
	}
}

func withdraws(c *counter) {
	ctx := c.t.Context()
	for range 30 {
		must(c.t, c.Withdraw(ctx, c.admitted("ann", "a")))
	}
	must(c.t, c.Withdraw(ctx, c.attempt("ann", "a")))
	var last auth.Attempt
	for range 5 {
		last = c.admitted("ann", "a")
	}
	must(c.t, c.Withdraw(ctx, last)) // the attempt that caused the lock
	c.admitted("ann", "a")
	if _, d := c.begin("ann", "a"); !d.Locked {
		c.t.Errorf("after the fifth failure: got %+v, want it locked", d)
	}
}

func forgetsPairs(c *counter) {
	for range 4 {
		c.admitted("ann", "a")
	}
	c.advance(auth.PairFailureTTL)
	for range 5 {
		c.admitted("ann", "a")
	}
}

func admitsFive(c *counter) {
	var admitted atomic.Int64
	kit.Concurrently(200, func(int) {
		d, err := c.Begin(c.t.Context(), c.attempt("ann", "a"))
		if err != nil {
			c.t.Error(err)
		}
		if !d.Locked {
			admitted.Add(1)
		}
	})
	if got := admitted.Load(); got != 5 {
		c.t.Errorf("got %d admitted guesses, want 5", got)
	}
}

func takesTurns(c *counter) {
	c.fail("ann", "bot", auth.ThrottleThreshold-1)
	for i := range 2 { // neither of them ends
		if _, d := c.begin("ann", fmt.Sprint("last", i)); d.HasTurn != (i == 1) || d.Busy {
			c.t.Errorf("attempt %d: got %+v, want the first without and the second with a turn", i, d)
		}
	}
	c.wantBusy("ann", "new")
	c.wantBusy("ann", "bot1") // an address that failed before is not known
	c.admitted("ben", "new")
	c.admitted("ben", "bot1")
}

func endsTurns(c *counter) {
	ctx := c.t.Context()
	c.fail("ann", "bot", auth.ThrottleThreshold+4) // each withdrawal below forgets a failure
	for name, end := range map[string]func(auth.Attempt) error{
		"fail":     func(a auth.Attempt) error { return c.Fail(ctx, a) },
		"withdraw": func(a auth.Attempt) error { return c.Withdraw(ctx, a) },
	} {
		a := c.wantTurn("ann", name)
		other := a
		other.ID = "another"
		must(c.t, end(other))
		c.wantBusy("ann", "new")
		must(c.t, end(a))
		b := c.wantTurn("ann", "new"+name)
		must(c.t, end(a)) // again, when another attempt has the turn
		c.wantBusy("ann", "new")
		must(c.t, c.Fail(ctx, b))
	}
	must(c.t, c.Succeed(ctx, c.wantTurn("ann", "owner")))
	must(c.t, c.Withdraw(ctx, c.wantTurn("ann", "new")))
}

func expiresTurns(c *counter) {
	c.fail("ann", "bot", auth.ThrottleThreshold)
	first := c.wantTurn("ann", "a")
	c.advance(auth.TurnTTL - time.Second)
	c.wantBusy("ann", "b")
	c.advance(time.Second)
	c.wantTurn("ann", "b")
	must(c.t, c.Fail(c.t.Context(), first)) // too late: the turn is another attempt's
	c.wantBusy("ann", "c")
}

func admitsOne(c *counter) {
	c.fail("ann", "bot", auth.ThrottleThreshold)
	var admitted atomic.Int64
	kit.Concurrently(200, func(i int) {
		d, err := c.Begin(c.t.Context(), c.attempt("ann", fmt.Sprint("new", i)))
		if err != nil {
			c.t.Error(err)
		}
		if !d.Busy {
			admitted.Add(1)
		}
	})
	if got := admitted.Load(); got != 1 {
		c.t.Errorf("got %d admitted guesses, want 1", got)
	}
}

func exemptsKnownAddresses(c *counter) {
	ctx := c.t.Context()
	must(c.t, c.Succeed(ctx, c.admitted("ann", "home")))
	c.Remember(ctx, "ann", "office")
	c.fail("ann", "bot", auth.MaxAccountFailures)
	c.wantTurn("ann", "bot") // and does not give it back
	for range 4 {
		c.admitted("ann", "home")
		c.admitted("ann", "office")
	}
	c.admitted("ann", "home")
	if _, d := c.begin("ann", "home"); !d.Locked {
		c.t.Errorf("after five failures of a known address: got %+v, want it locked", d)
	}
	c.wantBusy("ann", "new")
	c.fail("ben", "bot", auth.ThrottleThreshold)
	c.wantTurn("ben", "home") // known to another account
}

func boundsKnownAddresses(c *counter) {
	ctx := c.t.Context()
	for i := range auth.MaxKnownAddresses {
		c.advance(time.Second)
		c.Remember(ctx, "ann", fmt.Sprint("address", i))
	}
	c.advance(time.Second)
	c.Remember(ctx, "ann", "address0") // is no longer the oldest
	c.advance(time.Second)
	c.Remember(ctx, "ann", "one more")
	c.fail("ann", "bot", auth.ThrottleThreshold)
	c.wantTurn("ann", "address1")
	for _, known := range []string{"address0", "address2", fmt.Sprint("address", auth.MaxKnownAddresses-1), "one more"} {
		c.admitted("ann", known)
	}
}

func forgetsKnownAddresses(c *counter) {
	ctx := c.t.Context()
	c.Remember(ctx, "ann", "old")
	c.advance(time.Hour)
	c.Remember(ctx, "ann", "home") // keeps the record alive
	c.advance(auth.KnownAddressTTL - 2*time.Hour)
	c.fail("ann", "bot", auth.ThrottleThreshold)
	must(c.t, c.Withdraw(ctx, c.admitted("ann", "old")))
	c.advance(time.Hour)
	c.fail("ann", "bot", auth.ThrottleThreshold)
	c.admitted("ann", "home")
	c.wantTurn("ann", "old")
}

func slides(c *counter) {
	c.fail("ann", "early", 10)
	c.advance(10 * time.Minute)
	c.fail("ann", "late", 10)
	must(c.t, c.Withdraw(c.t.Context(), c.wantTurn("ann", "new")))
	c.advance(5 * time.Minute) // the early ones no longer count
	must(c.t, c.Withdraw(c.t.Context(), c.admitted("ann", "new")))
	c.fail("ann", "later", 10)
	c.wantTurn("ann", "new")
}

func countsOnlyFailures(c *counter) {
	ctx := c.t.Context()
	for i := range 2 * auth.ThrottleThreshold {
		must(c.t, c.Succeed(ctx, c.admitted("ann", fmt.Sprint("address", i))))
	}
	for range 5 {
		c.admitted("ann", "a")
	}
	for range 2 * auth.ThrottleThreshold {
		if _, d := c.begin("ann", "a"); !d.Locked {
			c.t.Fatalf("got %+v, want it locked", d)
		}
	}
	c.admitted("ann", "new")
}

func delays(c *counter) {
	ctx := c.t.Context()
	c.fail("ann", "bot", auth.ThrottleThreshold)
	for i := auth.ThrottleThreshold; i < auth.MaxAccountFailures+10; i++ {
		a, d := c.begin("ann", fmt.Sprint("new", i))
		if want := (auth.AttemptDecision{HasTurn: true, Delay: auth.LoginDelay(i)}); d != want {
			c.t.Fatalf("after %d failures: got %+v, want %+v", i, d, want)
		}
		must(c.t, c.Fail(ctx, a))
	}
	c.advance(auth.AccountFailureTTL)
	c.admitted("ann", "new")
}
