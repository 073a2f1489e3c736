package eventtest

import (
	"slices"
	"testing"
	"time"

	"boxoffice/apps/event/internal/event"
)

func testList(t *testing.T, s Subject) {
	add := func(id, name, category, organizer string, status event.Status, start, made time.Duration) {
		e := Full(id)
		e.Name, e.Category, e.OrganizerID, e.Status = name, category, organizer, status
		e.StartsAt, e.EndsAt, e.CreatedAt = day0.Add(start), day0.Add(start+time.Hour), day0.Add(made)
		insert(t, s, e)
	}
	add("a", "Zebra", "zoo", "o1", event.Published, 3*time.Hour, 1*time.Hour)
	add("b", "Apple", "food", "o1", event.Published, 1*time.Hour, 3*time.Hour)
	add("c", "Mango", "food", "o2", event.Cancelled, 2*time.Hour, 2*time.Hour)
	add("d", "Mango", "food", "o3", event.Draft, 2*time.Hour, 2*time.Hour)
	add("e", "Gone", "food", "o1", event.Deleted, 2*time.Hour, 2*time.Hour)
	all := []event.Status{event.Draft, event.Published, event.Cancelled}
	for _, tt := range []struct {
		name string
		q    event.Query
		want []string
	}{
		{"by start", event.Query{Statuses: all, Sort: event.ByStart}, []string{"b", "c", "d", "a"}},
		{"by start backwards", event.Query{Statuses: all, Sort: event.ByStartDesc}, []string{"a", "d", "c", "b"}},
		{"by name", event.Query{Statuses: all, Sort: event.ByName}, []string{"b", "c", "d", "a"}},
		{"by creation", event.Query{Statuses: all, Sort: event.ByCreation}, []string{"a", "c", "d", "b"}},
		{"of a status", event.Query{Statuses: []event.Status{event.Cancelled}, Sort: event.ByStart}, []string{"c"}},
		{"of a category", event.Query{Statuses: all, Category: "food", Sort: event.ByStart}, []string{"b", "c", "d"}},
		{"of an organizer", event.Query{Statuses: all, OrganizerID: "o1", Sort: event.ByStart}, []string{"b", "a"}},
		{"from", event.Query{Statuses: all, From: day0.Add(2 * time.Hour), Sort: event.ByStart}, []string{"c", "d", "a"}},
		{"to", event.Query{Statuses: all, To: day0.Add(2 * time.Hour), Sort: event.ByStart}, []string{"b"}},
		{"nothing", event.Query{Statuses: all, Category: "none", Sort: event.ByStart}, nil},
	} {
		// The same whether it comes at once or one by one.
		for _, limit := range []int{100, 2, 1} {
			q := tt.q
			q.Limit = limit
			var got []string
			for range 10 {
				found, err := s.ListEvents(t.Context(), q)
				if err != nil || len(found) > limit {
					t.Fatalf("%s: got %d events, %v", tt.name, len(found), err)
				}
				for _, e := range found {
					got = append(got, e.ID)
				}
				if len(found) < limit {
					break
				}
				at := q.Sort.At(found[len(found)-1])
				q.After = &at
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s, %d at a time: got %v, want %v", tt.name, limit, got, tt.want)
			}
		}
	}
}

func testCatalogue(t *testing.T, s Subject) {
	add := func(id string, change func(*event.Event)) {
		e := Full(id)
		change(&e)
		insert(t, s, e)
	}
	mark := func(at time.Duration) map[string]event.Hold {
		h := Taken("b_1_x", "", 1)
		h.MovedAt = day0.Add(at)
		return map[string]event.Hold{h.ID: h}
	}
	add("plain", func(*event.Event) {})
	add("old-mark", func(e *event.Event) { e.Seats.Marks = mark(0) })
	add("new-mark", func(e *event.Event) { e.Seats.Marks = mark(time.Hour) })
	add("cancelled-held", func(e *event.Event) { e.Status, e.Seats.Held, e.Seats.Available = event.Cancelled, 1, 9 })
	add("cancelled-sold", func(e *event.Event) {
		e.Status, e.Seats.Sold, e.Seats.Available, e.Seats.Version = event.Cancelled, 1, 9, 5
	})
	add("cancelled-free", func(e *event.Event) { e.Status = event.Cancelled })
	add("held", func(e *event.Event) { e.Seats.Held, e.Seats.Available = 1, 9 })
	past := func(e *event.Event) { e.StartsAt, e.EndsAt = day0.Add(-2*time.Hour), day0.Add(-time.Hour) }
	add("ended", past)
	add("ended-sold", func(e *event.Event) { past(e); e.Seats.EverSold = true })
	add("ended-deleted", func(e *event.Event) { past(e); e.Status = event.Deleted })

	check := func(name string, got []string, err error, want ...string) {
		t.Helper()
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
	ctx := t.Context()
	got, err := s.MarkedEvents(ctx, day0.Add(time.Minute), 10)
	check("marked", got, err, "old-mark")
	got, err = s.MarkedEvents(ctx, day0, 10)
	check("marked before any", got, err)
	got, err = s.UnfinishedCancellations(ctx, 10)
	check("cancelled, and not said yet", got, err)
	s.Publish(t)
	got, err = s.UnfinishedCancellations(ctx, 10)
	check("cancelled", got, err, "cancelled-held", "cancelled-sold")
	got, err = s.UnfinishedCancellations(ctx, 1)
	check("one cancelled", got, err, "cancelled-held")
	got, err = s.EndedUnsold(ctx, day0, 10)
	check("ended", got, err, "ended")
}

func testHolds(t *testing.T, s Subject) {
	ctx := t.Context()
	h := Taken("b_1_x", "e", 2)
	if got, err := s.GetHolds(ctx, []string{h.ID}); err != nil || len(got) > 0 {
		t.Errorf("unknown hold: got %v, %v, want none", got, err)
	}
	is(t, "move an unknown hold", s.MoveHold(ctx, h), event.ErrNoHold)
	is(t, "ask later about an unknown hold", s.PostponeSettle(ctx, map[string]time.Time{h.ID: day0}), nil)
	is(t, "insert", s.InsertHolds(ctx, []event.Hold{h}), nil)
	second := Taken("b_2_x", "e", 3)
	is(t, "insert again, and another", s.InsertHolds(ctx, []event.Hold{Taken(h.ID, "other", 9), second}), nil)
	if got, err := s.GetHolds(ctx, []string{second.ID, "unknown", h.ID}); err != nil || len(got) != 2 || got[h.ID] != h || got[second.ID] != second {
		t.Errorf("two holds: got %+v, %v", got, err)
	}
	expect := func(name string, want event.Hold) {
		t.Helper()
		if got, err := s.GetHolds(ctx, []string{h.ID}); err != nil || got[h.ID] != want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got[h.ID], err, want)
		}
	}
	expect("inserted", h)
	later := day0.Add(time.Hour)
	is(t, "ask later", s.PostponeSettle(ctx, map[string]time.Time{h.ID: later, second.ID: later.Add(time.Hour), "unknown": day0}), nil)
	h.SettleAt, second.SettleAt = later, later.Add(time.Hour)
	expect("ask later", h)
	if got, err := s.GetHolds(ctx, []string{second.ID}); err != nil || got[second.ID] != second {
		t.Errorf("ask later about two: got %+v, %v, want %+v", got, err, second)
	}
	is(t, "ask about none", s.PostponeSettle(ctx, nil), nil)

	sold := h
	sold.State, sold.MovedAt, sold.SettleAt = event.Sold, day0.Add(time.Second), time.Time{}
	is(t, "sell", s.MoveHold(ctx, sold), nil)
	expect("sold", sold)
	is(t, "ask about a sold one", s.PostponeSettle(ctx, map[string]time.Time{h.ID: later}), nil)
	again := sold
	again.MovedAt = day0.Add(time.Minute)
	is(t, "sell again", s.MoveHold(ctx, again), nil)
	expect("sold once", sold)

	released := sold
	released.State, released.MovedAt = event.Released, day0.Add(2*time.Second)
	is(t, "release", s.MoveHold(ctx, released), nil)
	expect("released", released)
	is(t, "sell what was released", s.MoveHold(ctx, again), nil)
	expect("released for ever", released)

	tomb := event.Hold{ID: "t_1_x", EventID: "e", UserID: "user", Quantity: 1, State: event.Released, MovedAt: day0}
	is(t, "tombstone", s.InsertHolds(ctx, []event.Hold{tomb}), nil)
	h = tomb
	expect("tombstone", tomb)
}

func testHoldsToSettle(t *testing.T, s Subject) {
	ctx := t.Context()
	add := func(id string, state event.HoldState, at time.Duration) {
		h := Taken(id, "e", 1)
		h.State, h.SettleAt = state, day0.Add(at)
		if state != event.Held {
			h.SettleAt = time.Time{}
		}
		is(t, "insert", s.InsertHolds(ctx, []event.Hold{h}), nil)
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
			t.Errorf("after %s, %d at most: got %v, %v, want %v", tt.at, tt.limit, got, err, tt.want)
		}
	}
}
