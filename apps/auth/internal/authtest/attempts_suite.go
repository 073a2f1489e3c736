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
	t.Run("the fifth failure locks and each further one doubles the lock", s.locks)
	t.Run("a correct password clears the failures", s.clear)
	t.Run("a withdrawn attempt does not count", s.withdraw)
	t.Run("failures are forgotten after an hour", s.forgets)
	t.Run("failures from many addresses delay but do not lock", s.delays)
	t.Run("five of 200 concurrent guesses are admitted", s.concurrentGuesses)
}

// allowed is the decision for an attempt that may proceed at once.
var allowed = auth.AttemptDecision{}

func begin(t *testing.T, a auth.Attempts, account, address string) auth.AttemptDecision {
	t.Helper()
	d, err := a.Begin(t.Context(), account, address)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (s AttemptsSuite) locks(t *testing.T) {
	a, advance := s.Open(t)
	for i := range 5 {
		if got := begin(t, a, "ann", "a"); got != allowed {
			t.Fatalf("attempt %d: got %+v, want it allowed", i+1, got)
		}
	}
	for _, lock := range []time.Duration{1, 2, 4, 8, 15, 15} {
		lock *= time.Minute
		for range 3 { // attempts during the lock do not extend it
			if got := begin(t, a, "ann", "a"); !got.Locked || !isAbout(got.RetryAfter, lock) {
				t.Fatalf("got %+v, want locked for %s", got, lock)
			}
		}
		if got := begin(t, a, "ann", "b"); got.Locked {
			t.Errorf("another address: got %+v, want it not locked", got)
		}
		if got := begin(t, a, "ben", "a"); got.Locked {
			t.Errorf("another account: got %+v, want it not locked", got)
		}
		must(t, a.Clear(t.Context(), "ann", "b"))
		must(t, a.Clear(t.Context(), "ben", "a"))
		advance(lock)
		if got := begin(t, a, "ann", "a"); got.Locked {
			t.Fatalf("after %s: got %+v, want it not locked", lock, got)
		}
	}
}

func (s AttemptsSuite) clear(t *testing.T) {
	a, _ := s.Open(t)
	for range 30 {
		for range 5 {
			if got := begin(t, a, "ann", "a"); got.Locked {
				t.Fatalf("got %+v, want it not locked", got)
			}
		}
		for range 5 {
			must(t, a.Clear(t.Context(), "ann", "a"))
		}
	}
	if got := begin(t, a, "ann", "a"); got != allowed {
		t.Errorf("after correct passwords only: got %+v, want it allowed", got)
	}
}

func (s AttemptsSuite) withdraw(t *testing.T) {
	a, _ := s.Open(t)
	for range 30 {
		if got := begin(t, a, "ann", "a"); got != allowed {
			t.Fatalf("got %+v, want it allowed", got)
		}
		must(t, a.Withdraw(t.Context(), "ann", "a"))
	}
	must(t, a.Withdraw(t.Context(), "ann", "a"))
	for i := range 5 {
		if got := begin(t, a, "ann", "a"); got != allowed {
			t.Errorf("attempt %d: got %+v, want it allowed", i+1, got)
		}
	}
	must(t, a.Withdraw(t.Context(), "ann", "a")) // the attempt that caused the lock
	if got := begin(t, a, "ann", "a"); got != allowed {
		t.Errorf("after the fifth was taken back: got %+v, want it allowed", got)
	}
	if got := begin(t, a, "ann", "a"); !got.Locked {
		t.Errorf("after the fifth failure: got %+v, want it locked", got)
	}
}

func (s AttemptsSuite) forgets(t *testing.T) {
	a, advance := s.Open(t)
	for range 4 {
		begin(t, a, "ann", "a")
	}
	advance(auth.PairFailureTTL)
	for i := range 5 {
		if got := begin(t, a, "ann", "a"); got != allowed {
			t.Errorf("attempt %d: got %+v, want it allowed", i+1, got)
		}
	}
}

func (s AttemptsSuite) delays(t *testing.T) {
	a, advance := s.Open(t)
	for i := range 60 {
		want := auth.AttemptDecision{Delay: auth.LoginDelay(i)}
		if got := begin(t, a, "ann", fmt.Sprint("address", i)); got != want {
			t.Fatalf("attempt %d: got %+v, want %+v", i+1, got, want)
		}
	}
	if got := begin(t, a, "ben", "address1"); got != allowed {
		t.Errorf("another account: got %+v, want it allowed", got)
	}
	advance(auth.AccountFailureTTL)
	if got := begin(t, a, "ann", "new"); got != allowed {
		t.Errorf("after %s: got %+v, want it allowed", auth.AccountFailureTTL, got)
	}
}

func (s AttemptsSuite) concurrentGuesses(t *testing.T) {
	a, _ := s.Open(t)
	var admitted atomic.Int64
	kit.Concurrently(200, func(int) {
		d, err := a.Begin(t.Context(), "ann", "a")
		if err != nil {
			t.Error(err)
		}
		if !d.Locked {
			admitted.Add(1)
		}
	})
	if got := admitted.Load(); got != 5 {
		t.Errorf("got %d admitted guesses, want 5", got)
	}
}
