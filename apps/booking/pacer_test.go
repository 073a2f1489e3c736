package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPacerKeepsTheRateOfAllCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, start := newPacer(100), time.Now()
		wait := func(n int, want time.Duration) {
			t.Helper()
			if err := p.Wait(t.Context(), n); err != nil || time.Since(start) != want {
				t.Errorf("got %v after %s, want nil after %s", err, time.Since(start), want)
			}
		}
		wait(0, 0)
		wait(100, time.Second)
		wait(50, 1500*time.Millisecond)
		// An idle time is not made up for.
		time.Sleep(time.Hour)
		start = time.Now()
		wait(100, time.Second)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { _ = p.Wait(t.Context(), 50) })
		}
		wg.Wait()
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("four concurrent callers: got %s, want 3s", got)
		}
	})
}

func TestPacerStopsWaitingWhenTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newPacer(1).Wait(ctx, 3600); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
