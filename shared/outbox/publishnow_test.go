package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestPublishNowReturnsWhenTheRecordsArePublished(t *testing.T) {
	h := newHarness(t)
	var documents, want []string
	for i := range 100 {
		documents = append(documents, fmt.Sprint("d", i))
		want = append(want, fmt.Sprint(i))
		h.add(documents[i], want[i])
	}
	stop := h.run(h.Relay)
	defer stop()
	if err := h.PublishNow(t.Context(), append(documents, "deleted")...); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	h.mu.Lock()
	got := slices.Clone(h.published)
	h.mu.Unlock()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got records %v, want %v", got, want)
	}
	// More documents than a queue has room for: PublishNow waits for room.
	if err := h.PublishNow(t.Context(), slices.Repeat([]string{"d0"}, 3000)...); err != nil {
		t.Errorf("many documents: got %v, want nil", err)
	}
	if err := h.PublishNow(t.Context()); err != nil {
		t.Errorf("no documents: got %v, want nil", err)
	}
}

// A failure is returned, and so are the documents that the relay discards because of it. A
// sweep publishes their records.
func TestPublishNowReturnsFailures(t *testing.T) {
	h := newHarness(t)
	h.failures["1"] = errUnreachable
	h.add("d", "1")
	stop := h.run(h.Relay)
	if err := h.PublishNow(t.Context(), "d", "d"); !errors.Is(err, errUnreachable) {
		t.Errorf("got %v, want %v", err, errUnreachable)
	}
	if err := h.PublishNow(t.Context(), "d"); err == nil {
		t.Error("while the relay is paused: got nil, want an error")
	}
	delete(h.failures, "1")
	h.advance(10 * time.Second)
	h.wantSweep("after the failure", "1")
	h.add("d", "2")
	if err := h.PublishNow(t.Context(), "d"); err != nil {
		t.Errorf("after the pause: got %v, want nil", err)
	}
	h.wantPublished("in the end", "1", "2")
	stop()
}

func TestPublishNowGivesUpWhenItsContextEnds(t *testing.T) {
	h := newHarness(t) // the relay does not run
	for name, n := range map[string]int{"waiting for the result": 1, "waiting for room": 2000} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if err := h.PublishNow(ctx, slices.Repeat([]string{"d"}, n)...); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v, want %v", name, err, context.DeadlineExceeded)
		}
		cancel()
	}
}
