package eventtest

import (
	"slices"
	"testing"
	"time"

	"boxoffice/apps/event/internal/event"
)

func testCapacityLog(t *testing.T, s Subject) {
	ctx := t.Context()
	// The ids of the other events are similar, and sort before and after "e".
	for _, id := range []string{"e", "d", "e-", "e0", "f"} {
		// The versions sort differently as numbers and as strings.
		for _, version := range []int64{10, 2, 9} {
			wantErr(t, "insert", s.InsertEntries(ctx, id, []event.Entry{NewEntry(version, 11), NewEntry(version, 2)}), nil)
		}
	}
	ascending := []event.Entry{NewEntry(2, 2), NewEntry(2, 11), NewEntry(9, 2), NewEntry(9, 11), NewEntry(10, 2), NewEntry(10, 11)}
	again := NewEntry(9, 2)
	again.Cause = event.CauseSold
	wantErr(t, "insert an entry that exists and a new one", s.InsertEntries(ctx, "e", []event.Entry{again, NewEntry(11, 0)}), nil)
	ascending = append(ascending, NewEntry(11, 0))

	list := func(name string, after int64, before event.EntryPosition, limit int, want ...event.Entry) {
		t.Helper()
		got, err := s.ListEntries(ctx, event.EntryQuery{EventID: "e", After: after, Before: before, Limit: limit})
		slices.Reverse(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
	end := event.EntryPosition{Version: 12}
	list("all", 0, end, 100, ascending...)
	list("a page", 0, end, 3, ascending[4:]...)
	list("the next page", 0, event.EntryPosition{Version: 10, Number: 2}, 3, ascending[1:4]...)
	list("before a version", 0, event.EntryPosition{Version: 9}, 100, ascending[:2]...)
	list("after a version", 9, end, 100, ascending[4:]...)
	list("none", 11, end, 100)

	oldest := func(name string, after int64, limit int, want ...event.Entry) {
		t.Helper()
		got, err := s.OldestEntries(ctx, "e", after, limit)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
	oldest("oldest", 0, 3, ascending[:3]...)
	oldest("oldest after a version", 2, 100, ascending[2:]...)
	oldest("oldest after the last version", 11, 100)

	got, err := s.OldLogs(ctx, day0.Add(9*time.Minute), 100)
	slices.Sort(got)
	if want := []string{"d", "e", "e-", "e0", "f"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("old logs: got %v, %v, want %v", got, err, want)
	}
	if got, err := s.OldLogs(ctx, day0.Add(2*time.Minute), 100); err != nil || len(got) > 0 {
		t.Errorf("old logs before the first entry: got %v, %v, want none", got, err)
	}
	if got, err := s.OldLogs(ctx, day0.Add(time.Hour), 1); err != nil || len(got) != 1 {
		t.Errorf("old logs, limit 1: got %v, %v, want one", got, err)
	}

	remove := func(name string, through int64, limit, want int) {
		t.Helper()
		if got, err := s.DeleteEntries(ctx, "e", through, limit); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", name, got, err, want)
		}
	}
	remove("delete before the first version", 1, 100, 0)
	remove("delete, limit 1", 9, 1, 1)
	oldest("after the delete", 0, 2, ascending[1:3]...)
	remove("delete the rest", 9, 100, 3)
	remove("delete again", 9, 100, 0)
	list("in the end", 0, end, 100, ascending[4:]...)
	for _, id := range []string{"d", "e-", "e0", "f"} {
		if got, err := s.OldestEntries(ctx, id, 0, 100); err != nil || len(got) != 6 {
			t.Errorf("event %s: got %d entries, %v, want 6", id, len(got), err)
		}
	}
}

func testWriteOpening(t *testing.T, s Subject) {
	ctx := t.Context()
	want := NewEvent("e")
	insert(t, s, want)
	first := event.Opening{Through: 3, At: day0.Add(time.Hour), Sum: event.Change{Available: 7, Held: 2, Sold: 1}}
	wantErr(t, "another version", s.WriteOpening(ctx, "e", 2, first), event.ErrStale)
	wantErr(t, "no event", s.WriteOpening(ctx, "none", 0, first), event.ErrStale)
	wantErr(t, "first", s.WriteOpening(ctx, "e", 0, first), nil)
	wantErr(t, "repeated", s.WriteOpening(ctx, "e", 0, first), event.ErrStale)
	want.Opening = first
	wantEvent(t, read(t, s, "e"), want)
	second := event.Opening{Through: 9, At: day0.Add(2 * time.Hour), Sum: event.Change{Available: 10}}
	wantErr(t, "second", s.WriteOpening(ctx, "e", 3, second), nil)
	want.Opening = second
	wantEvent(t, read(t, s, "e"), want)

	// The other writes keep the opening entry.
	w, err := seatsWrite(want, []event.Move{{To: NewHold("b_1_x", "e", 1)}}, nil)
	wantErr(t, "compute", err, nil)
	wantErr(t, "write seats", s.WriteSeats(ctx, w), nil)
	want.Seats = w.Apply(want.Seats)
	want.Name, want.Version = "Renamed", 2
	wantErr(t, "write definition", s.WriteDefinition(ctx, want, 1), nil)
	want.Seats.Version++
	wantEvent(t, read(t, s, "e"), want)
}
