package memattempts_test

import (
	"fmt"
	"testing"

	"boxoffice/apps/auth/internal/authtest"
	"boxoffice/apps/auth/internal/memattempts"
)

func TestCounter(t *testing.T) {
	authtest.TestAttempts(t, func(*testing.T) authtest.Counting {
		clock := authtest.NewClock(authtest.Epoch)
		return authtest.Counting{Attempts: memattempts.NewCounter(clock), Pass: clock.Pass}
	})
}

// More pairs than are kept push out the older ones, not those that are counted
// just now.
func TestCounterIsBounded(t *testing.T) {
	clock := authtest.NewClock(authtest.Epoch)
	c := memattempts.NewCounter(clock)
	for i := range 105_000 {
		clock.Pass(1)
		if _, err := c.Begin(t.Context(), "ann", fmt.Sprint("address", i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		if v, err := c.Begin(t.Context(), "ann", "address104999"); err != nil || v.Locked {
			t.Fatalf("got %+v, %v", v, err)
		}
	}
	if v, err := c.Begin(t.Context(), "ann", "address104999"); err != nil || !v.Locked {
		t.Errorf("got %+v, %v, want locked", v, err)
	}
}
