package eventtest

import (
	"slices"
	"testing"

	"boxoffice/apps/event/internal/event"
)

func testReconcile(t *testing.T, s Subject) {
	ctx := t.Context()
	add := func(id, eventID string, state event.HoldState) {
		h := NewHold(id, eventID, 1)
		h.State = state
		wantErr(t, "insert "+id, s.InsertHolds(ctx, []event.Hold{h}), nil)
	}
	add("b_1_x", "e", event.Sold)
	add("a_1_x", "e", event.Held)
	add("a-_1_x", "e", event.Held)
	add("c_1_x", "e", event.Released)
	add("d_1_x", "e", event.Held)
	add("a0_1_x", "other", event.Held)
	holds := func(after string, limit int, want ...string) {
		t.Helper()
		found, err := s.CountedHolds(ctx, "e", after, limit)
		var got []string
		for _, h := range found {
			got = append(got, h.ID)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("holds after %q, limit %d: got %v, %v, want %v", after, limit, got, err, want)
		}
	}
	holds("", 10, "a-_1_x", "a_1_x", "b_1_x", "d_1_x")
	holds("", 2, "a-_1_x", "a_1_x")
	holds("a_1_x", 2, "b_1_x", "d_1_x")
	holds("d_1_x", 2)

	for _, id := range []string{"c", "a", "b", "deleted"} {
		e := NewEvent(id)
		if id == "deleted" {
			e.Status = event.Deleted
		}
		insert(t, s, e)
	}
	after := "" // the position of the walk
	ids := func(limit int, want ...string) {
		t.Helper()
		page, err := s.EventIDs(ctx, after, limit)
		var got []string
		for _, e := range page {
			got, after = append(got, e.ID), e.Identity
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("the next %d events: got %v, %v, want %v", limit, got, err, want)
		}
	}
	ids(2, "a", "b")
	ids(2, "c")
	ids(2)
}
