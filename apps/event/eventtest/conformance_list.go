package eventtest

import (
	"slices"
	"testing"
	"time"

	"boxoffice/apps/event/internal/event"
)

func testList(t *testing.T, s Subject) {
	add := func(id, name, category, organizer string, status event.Status, start, created time.Duration) {
		e := NewEvent(id)
		e.Name, e.Category, e.OrganizerID, e.Status = name, category, organizer, status
		e.StartsAt, e.EndsAt, e.CreatedAt = day0.Add(start), day0.Add(start+time.Hour), day0.Add(created)
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
		{"by start, descending", event.Query{Statuses: all, Sort: event.ByStartDesc}, []string{"a", "d", "c", "b"}},
		{"by name", event.Query{Statuses: all, Sort: event.ByName}, []string{"b", "c", "d", "a"}},
		{"by creation", event.Query{Statuses: all, Sort: event.ByCreation}, []string{"a", "c", "d", "b"}},
		{"of a status", event.Query{Statuses: []event.Status{event.Cancelled}, Sort: event.ByStart}, []string{"c"}},
		{"of two statuses", event.Query{Statuses: []event.Status{event.Cancelled, event.Published}, Sort: event.ByStart}, []string{"b", "c", "a"}},
		{"of two other statuses", event.Query{Statuses: []event.Status{event.Cancelled, event.Draft}, Sort: event.ByStart}, []string{"c", "d"}},
		{"of a status and a category", event.Query{Statuses: []event.Status{event.Published}, Category: "food", Sort: event.ByName}, []string{"b"}},
		{"of a status and an organizer", event.Query{Statuses: []event.Status{event.Draft}, OrganizerID: "o3", Sort: event.ByName}, []string{"d"}},
		{"of an organizer and a category", event.Query{Statuses: all, OrganizerID: "o1", Category: "zoo", Sort: event.ByStart}, []string{"a"}},
		{"of a deleted event's status", event.Query{Statuses: []event.Status{event.Deleted}, Sort: event.ByStart}, nil},
		{"from and to, by name", event.Query{Statuses: all, From: new(day0.Add(2 * time.Hour)), To: new(day0.Add(3 * time.Hour)), Sort: event.ByName}, []string{"c", "d"}},
		{"from and to, descending", event.Query{Statuses: all, From: new(day0.Add(time.Hour)), To: new(day0.Add(3 * time.Hour)), Sort: event.ByStartDesc}, []string{"d", "c", "b"}},
		{"of a category", event.Query{Statuses: all, Category: "food", Sort: event.ByStart}, []string{"b", "c", "d"}},
		{"of an organizer", event.Query{Statuses: all, OrganizerID: "o1", Sort: event.ByStart}, []string{"b", "a"}},
		{"from", event.Query{Statuses: all, From: new(day0.Add(2 * time.Hour)), Sort: event.ByStart}, []string{"c", "d", "a"}},
		{"to", event.Query{Statuses: all, To: new(day0.Add(2 * time.Hour)), Sort: event.ByStart}, []string{"b"}},
		{"from the zero time", event.Query{Statuses: all, From: new(time.Time{}), Sort: event.ByStart}, []string{"b", "c", "d", "a"}},
		{"to the zero time", event.Query{Statuses: all, To: new(time.Time{}), Sort: event.ByStart}, nil},
		{"from a time to the zero time, by name", event.Query{Statuses: all, From: new(day0), To: new(time.Time{}), Sort: event.ByName}, nil},
		{"no match", event.Query{Statuses: all, Category: "none", Sort: event.ByStart}, nil},
	} {
		// The result must not depend on the size of the pages.
		for _, limit := range []int{100, 2, 1} {
			q := tt.q
			q.Limit = limit
			var got []string
			for range 10 {
				found, err := s.ListEvents(t.Context(), q)
				if err != nil || len(found) > limit {
					t.Fatalf("%s: got %d events, %v, want at most %d", tt.name, len(found), err, limit)
				}
				for _, e := range found {
					got = append(got, e.ID)
				}
				if len(found) < limit {
					break
				}
				last := q.Sort.At(found[len(found)-1])
				q.After = &last
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s, %d at a time: got %v, want %v", tt.name, limit, got, tt.want)
			}
		}
	}
}

// testListTies lists events that are equal in the order, page by page.
func testListTies(t *testing.T, s Subject) {
	var want []string
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		e := NewEvent(id)
		e.Name = "Same"
		insert(t, s, e)
		want = append(want, id)
	}
	for _, sort := range []event.Sort{event.ByStart, event.ByStartDesc, event.ByName, event.ByCreation} {
		if sort == event.ByStartDesc {
			slices.Reverse(want)
		}
		var got []string
		q := event.Query{Statuses: []event.Status{event.Published}, Sort: sort, Limit: 3}
		for range 4 {
			found, err := s.ListEvents(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(found) == 0 {
				break
			}
			for _, e := range found {
				got = append(got, e.ID)
			}
			at := sort.At(found[len(found)-1])
			q.After = &at
		}
		if !slices.Equal(got, want) {
			t.Errorf("sort %s: got %v, want %v", sort, got, want)
		}
		if sort == event.ByStartDesc {
			slices.Reverse(want)
		}
	}
}

func testCatalogue(t *testing.T, s Subject) {
	add := func(id string, change func(*event.Event)) {
		e := NewEvent(id)
		change(&e)
		insert(t, s, e)
	}
	mark := func(at time.Duration) map[string]event.Hold {
		h := NewHold("b_1_x", "", 1)
		h.MovedAt = day0.Add(at)
		return map[string]event.Hold{h.ID: h}
	}
	add("plain", func(*event.Event) {})
	add("old-mark", func(e *event.Event) { e.Seats.Marks = mark(0) })
	add("new-mark", func(e *event.Event) { e.Seats.Marks = mark(time.Hour) })
	add("old-entry", func(e *event.Event) { e.Seats.Entries = []event.Entry{NewEntry(2, 0), NewEntry(9, 0)} })
	add("new-entry", func(e *event.Event) { e.Seats.Entries = []event.Entry{NewEntry(7, 0), NewEntry(8, 0)} })
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
	check("marked before a time", got, err, "old-mark")
	got, err = s.MarkedEvents(ctx, day0, 10)
	check("marked before the first mark", got, err)
	got, err = s.UnloggedEvents(ctx, day0.Add(7*time.Minute), 10)
	check("with an entry before a time", got, err, "old-entry")
	got, err = s.UnloggedEvents(ctx, day0.Add(2*time.Minute), 10)
	check("with an entry before the first one", got, err)
	got, err = s.UnfinishedCancellations(ctx, 10)
	check("cancelled with unpublished facts", got, err)
	s.Publish(t)
	got, err = s.UnfinishedCancellations(ctx, 10)
	check("cancelled with published facts", got, err, "cancelled-held", "cancelled-sold")
	got, err = s.UnfinishedCancellations(ctx, 1)
	check("cancelled, limit 1", got, err, "cancelled-held")
	got, err = s.EndedUnsold(ctx, day0, 10)
	check("ended and unsold", got, err, "ended")
}
