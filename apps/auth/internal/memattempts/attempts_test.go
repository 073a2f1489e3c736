package memattempts_test

import (
	"fmt"
	"testing"
	"time"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/apps/auth/internal/authtest"
	"boxoffice/apps/auth/internal/memattempts"
)

func TestCounterConforms(t *testing.T) {
	authtest.AttemptsSuite{Open: func(*testing.T) (auth.Attempts, func(time.Duration)) {
		clock := authtest.NewClock(authtest.Epoch)
		return memattempts.NewCounter(clock), clock.Advance
	}}.Conform(t)
}

// A pair whose failures are being counted must not be evicted while there are older ones.
func TestCounterEvictsOlderPairsFirst(t *testing.T) {
	clock := authtest.NewClock(authtest.Epoch)
	c := memattempts.NewCounter(clock)
	for i := range 105_000 {
		clock.Advance(1)
		if _, err := c.Begin(t.Context(), attempt(fmt.Sprint("account", i), fmt.Sprint("address", i))); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		if d, err := c.Begin(t.Context(), attempt("account104999", "address104999")); err != nil || d.Locked {
			t.Fatalf("got %+v, %v, want it not locked", d, err)
		}
	}
	if d, err := c.Begin(t.Context(), attempt("account104999", "address104999")); err != nil || !d.Locked {
		t.Errorf("got %+v, %v, want it locked", d, err)
	}
}

func attempt(account, address string) auth.Attempt {
	return auth.Attempt{ID: account + address, Account: account, Address: address}
}
