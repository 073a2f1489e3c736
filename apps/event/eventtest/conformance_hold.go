package eventtest

import (
	"slices"
	"testing"
	"time"

	"boxoffice/apps/event/internal/event"
)

func testHolds(t *testing.T, s Subject) {
	ctx := t.Context()
	h := NewHold("b_1_x", "e", 2)
	if got, err := s.GetHolds(ctx, []string{h.ID}); err != nil || len(got) > 0 {
		t.Errorf("unknown hold: got %v, %v, want none", got, err)
	}
	if missing, err := s.MoveHolds(ctx, []event.Hold{h}); err != nil || !missing[h.ID] {
		t.Errorf("move an unknown hold: got %v, %v, want it missing", missing, err)
	}
	wantErr(t, "postpone an unknown hold", s.PostponeSettle(ctx, map[string]time.Time{h.ID: day0}), nil)
	wantErr(t, "insert", s.InsertHolds(ctx, []event.Hold{h}), nil)
	second := NewHold("b_2_x", "e", 3)
	wantErr(t, "insert a taken id and a new one", s.InsertHolds(ctx, []event.Hold{NewHold(h.ID, "other", 9), second}), nil)
	if got, err := s.GetHolds(ctx, []string{second.ID, "unknown", h.ID}); err != nil || len(got) != 2 || got[h.ID] != h || got[second.ID] != second {
		t.Errorf("two holds: got %+v, %v, want %+v and %+v", got, err, h, second)
	}
	expect := func(name string, want event.Hold) {
		t.Helper()
		if got, err := s.GetHolds(ctx, []string{h.ID}); err != nil || got[h.ID] != want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got[h.ID], err, want)
		}
	}
	expect("inserted", h)
	later := day0.Add(time.Hour)
	wantErr(t, "postpone", s.PostponeSettle(ctx, map[string]time.Time{h.ID: later, second.ID: later.Add(time.Hour), "unknown": day0}), nil)
	h.SettleAt, second.SettleAt = later, later.Add(time.Hour)
	expect("postponed", h)
	if got, err := s.GetHolds(ctx, []string{second.ID}); err != nil || got[second.ID] != second {
		t.Errorf("postponed, second hold: got %+v, %v, want %+v", got, err, second)
	}
	wantErr(t, "postpone no holds", s.PostponeSettle(ctx, nil), nil)

	sold := h
	sold.State, sold.MovedAt, sold.SettleAt = event.Sold, day0.Add(time.Second), time.Time{}
	moveHolds(t, s, "sell", sold)
	expect("sold", sold)
	wantErr(t, "postpone a sold hold", s.PostponeSettle(ctx, map[string]time.Time{h.ID: later}), nil)
	again := sold
	again.MovedAt = day0.Add(time.Minute)
	moveHolds(t, s, "sell again", again)
	expect("sold once", sold)

	released := sold
	released.State, released.MovedAt = event.Released, day0.Add(2*time.Second)
	moveHolds(t, s, "release", released)
	expect("released", released)
	moveHolds(t, s, "sell a released hold", again)
	expect("released after a late sell", released)

	tombstone := event.Hold{ID: "t_1_x", EventID: "e", UserID: "user", Quantity: 1, State: event.Released, MovedAt: day0}
	wantErr(t, "tombstone", s.InsertHolds(ctx, []event.Hold{tombstone}), nil)
	h = tombstone
	expect("tombstone", tombstone)
}

func testHoldsToSettle(t *testing.T, s Subject) {
	ctx := t.Context()
	add := func(id string, state event.HoldState, at time.Duration) {
		h := NewHold(id, "e", 1)
		h.State, h.SettleAt = state, day0.Add(at)
		if state != event.Held {
			h.SettleAt = time.Time{}
		}
		wantErr(t, "insert", s.InsertHolds(ctx, []event.Hold{h}), nil)
	}
	add("late", event.Held, 3*time.Minute)
	add("second", event.Held, 2*time.Minute)
	add("first", event.Held, 1*time.Minute)
	add("sold", event.Sold, 0)
	add("released", event.Released, 0)
	for _, tt := range []struct {
		at    time.Duration
		limit int
		want  []string
	}{
		{0, 10, nil},
		{time.Minute, 10, []string{"first"}},
		{2 * time.Minute, 10, []string{"first", "second"}},
		{time.Hour, 2, []string{"first", "second"}},
	} {
		found, err := s.HoldsToSettle(ctx, day0.Add(tt.at), tt.limit)
		var got []string
		for _, h := range found {
			got = append(got, h.ID)
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("after %s, limit %d: got %v, %v, want %v", tt.at, tt.limit, got, err, tt.want)
		}
	}
}

// moveHolds moves holds that exist.
func moveHolds(t *testing.T, s Subject, what string, holds ...event.Hold) {
	t.Helper()
	if missing, err := s.MoveHolds(t.Context(), holds); err != nil || len(missing) > 0 {
		t.Errorf("%s: got %v missing, %v, want none", what, missing, err)
	}
}

func testMoveHolds(t *testing.T, s Subject) {
	var all []event.Hold
	for _, id := range []string{"held", "sold", "released", "unknown"} {
		all = append(all, NewHold(id, "e", 1))
	}
	wantErr(t, "insert", s.InsertHolds(t.Context(), all[:3]), nil)
	at := func(h event.Hold, state event.HoldState, d time.Duration) event.Hold {
		h.State, h.MovedAt, h.SettleAt = state, day0.Add(d), time.Time{}
		return h
	}
	want := []event.Hold{all[0], at(all[1], event.Sold, time.Second), at(all[2], event.Released, time.Second)}
	moveHolds(t, s, "move two", want[1:]...)
	var released []event.Hold
	for _, h := range all {
		released = append(released, at(h, event.Released, time.Minute))
	}
	missing, err := s.MoveHolds(t.Context(), released)
	if err != nil || len(missing) != 1 || !missing["unknown"] {
		t.Errorf("release all: got %v missing, %v, want only the unknown one", missing, err)
	}
	want[0], want[1] = released[0], released[1] // the third one was released before
	for _, h := range want {
		if got, err := s.GetHolds(t.Context(), []string{h.ID}); err != nil || got[h.ID] != h {
			t.Errorf("hold %s: got %+v, %v, want %+v", h.ID, got[h.ID], err, h)
		}
	}
}
