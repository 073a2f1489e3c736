package bookingtest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/test/kit"
)

// fullCancellation returns a job in which every field is set.
func fullCancellation(eventID string) booking.Cancellation {
	return booking.Cancellation{
		EventID: eventID, Version: 1, Due: day0.Add(time.Minute), Claim: "claim", After: "b7", Cancelled: 128, DoneAt: day0.Add(time.Hour),
	}
}

// wantCancellation checks that the stored job is want.
func wantCancellation(t *testing.T, s Subject, want booking.Cancellation) {
	t.Helper()
	if got, err := s.GetCancellation(t.Context(), want.EventID); err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func testCancellationRoundTrip(t *testing.T, s Subject) {
	ctx := t.Context()
	for _, c := range []booking.Cancellation{fullCancellation("full"), {EventID: "new", Version: 1, Due: day0}, {EventID: "done", Version: 1, DoneAt: day0}} {
		wantErr(t, "insert", s.InsertCancellation(ctx, c), nil)
		wantCancellation(t, s, c)
		wantErr(t, "insert again", s.InsertCancellation(ctx, booking.Cancellation{EventID: c.EventID, Version: 1}), booking.ErrExists)
		wantCancellation(t, s, c)
	}
	_, err := s.GetCancellation(ctx, "unknown")
	wantErr(t, "get an unknown job", err, booking.ErrNoCancellation)

	next := booking.Cancellation{EventID: "full", Version: 1, Due: day0.Add(time.Second), Claim: "other"}
	stale := next
	stale.Version = 2
	wantErr(t, "replace with another version", s.ReplaceCancellation(ctx, stale), booking.ErrStale)
	wantErr(t, "replace an unknown job", s.ReplaceCancellation(ctx, booking.Cancellation{EventID: "unknown", Version: 1}), booking.ErrStale)
	wantCancellation(t, s, fullCancellation("full"))
	wantErr(t, "replace with the stored version", s.ReplaceCancellation(ctx, next), nil)
	wantErr(t, "replace a second time", s.ReplaceCancellation(ctx, next), booking.ErrStale)
	next.Version = 2
	wantCancellation(t, s, next)
}

func testCancellationRace(t *testing.T, s Subject) {
	race := func(what string, lost error, write func(claim string) error) {
		var won atomic.Int64
		kit.Concurrently(16, func(i int) {
			switch err := write(fmt.Sprint(i)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, lost):
				t.Errorf("%s: %v", what, err)
			}
		})
		if won.Load() != 1 {
			t.Errorf("%s: got %d successful writes, want 1", what, won.Load())
		}
	}
	race("insert", booking.ErrExists, func(claim string) error {
		return s.InsertCancellation(t.Context(), booking.Cancellation{EventID: "e", Version: 1, Due: day0, Claim: claim})
	})
	race("replace", booking.ErrStale, func(claim string) error {
		return s.ReplaceCancellation(t.Context(), booking.Cancellation{EventID: "e", Version: 1, Due: day0, Claim: claim})
	})
}

func testDueCancellations(t *testing.T, s Subject) {
	for id, due := range map[string]time.Duration{"third": 3 * time.Minute, "first": time.Minute, "second": 2 * time.Minute} {
		wantErr(t, "insert", s.InsertCancellation(t.Context(), booking.Cancellation{EventID: id, Version: 1, Due: day0.Add(due)}), nil)
	}
	wantErr(t, "insert", s.InsertCancellation(t.Context(), booking.Cancellation{EventID: "done", Version: 1, DoneAt: day0}), nil)
	for _, tt := range []struct {
		at    time.Duration
		limit int
		want  []string
	}{
		{time.Minute - time.Millisecond, 10, nil},
		{time.Minute, 10, []string{"first"}},
		{time.Hour, 10, []string{"first", "second", "third"}},
		{time.Hour, 2, []string{"first", "second"}},
	} {
		found, err := s.DueCancellations(t.Context(), day0.Add(tt.at), tt.limit)
		var got []string
		for _, c := range found {
			got = append(got, c.EventID)
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("after %s: got %v, %v, want %v", tt.at, got, err, tt.want)
		}
	}
}
