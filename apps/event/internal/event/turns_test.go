package event_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"boxoffice/apps/event/internal/event"
)

func TestTurnsGoOneByOne(t *testing.T) {
	turns := event.NewTurns(time.Minute)
	var wg sync.WaitGroup
	n := 0 // the race detector watches
	for range 50 {
		wg.Go(func() {
			defer turns.Lock(context.Background(), "a")()
			n++
		})
	}
	wg.Wait()
	if n != 50 {
		t.Errorf("got %d, want 50", n)
	}
}

func TestTurnsAreNotWaitedForLong(t *testing.T) {
	turns := event.NewTurns(time.Millisecond)
	unlock := turns.Lock(t.Context(), "a")
	turns.Lock(t.Context(), "b")() // another name is free
	turns.Lock(t.Context(), "a")() // goes on without, and takes nothing away
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	event.NewTurns(time.Hour).Lock(gone, "a")()
	unlock()
	turns.Lock(t.Context(), "a")()
}
