package eventtest

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"boxoffice/apps/event/internal/event"
)

func testSearch(t *testing.T, s Subject) {
	ctx := t.Context()
	add := func(id, name, description string, status event.Status, start time.Duration) {
		e := NewEvent(id)
		e.Name, e.Description, e.Category, e.Venue, e.Status = name, description, "", "", status
		e.StartsAt, e.EndsAt = day0.Add(start), day0.Add(start+time.Hour)
		insert(t, s, e)
	}
	add("in-text", "Jazz", "and Röck, and more", event.Published, 1*time.Hour)
	add("longer", "Rocky", "", event.Cancelled, 2*time.Hour)
	add("late", "Rock night", "", event.Published, 5*time.Hour)
	add("early", "The rock show rock", "rocks", event.Published, 3*time.Hour)
	add("draft", "Rock draft", "", event.Draft, 1*time.Hour)
	add("gone", "Rock gone", "", event.Deleted, 1*time.Hour)
	add("rare", "𠮷𠮷家", "", event.Published, 1*time.Hour) // outside the Basic Multilingual Plane
	add("no-words", "🎭", "", event.Published, 1*time.Hour)
	expect := func(name string, q event.SearchQuery, want ...string) {
		t.Helper()
		candidates, err := s.SearchEvents(ctx, q)
		var got []string
		for _, c := range candidates {
			got = append(got, c.ID)
			e := read(t, s, c.ID)
			if !c.StartsAt.Equal(e.StartsAt) || !reflect.DeepEqual(c.Words, e.SearchWords()) {
				t.Errorf("%s: got the candidate %+v, want the start and the words of %+v", name, c, e)
			}
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
	expect("prefix", event.SearchQuery{Prefix: "rock", Limit: 10}, "early", "late", "in-text", "longer")
	expect("limit", event.SearchQuery{Prefix: "rock", Limit: 2}, "early", "late")
	expect("with drafts", event.SearchQuery{Prefix: "rock", Drafts: true, Limit: 10}, "early", "late", "in-text", "longer", "draft")
	expect("with drafts, limit", event.SearchQuery{Prefix: "rock", Drafts: true, Limit: 4}, "early", "late", "in-text", "longer")
	expect("only drafts match", event.SearchQuery{Prefix: "draft", Drafts: true, Limit: 10}, "draft")
	expect("longer prefix", event.SearchQuery{Prefix: "rocky", Limit: 10}, "longer")
	expect("no match", event.SearchQuery{Prefix: "rocket", Drafts: true, Limit: 10})
	expect("part of a word", event.SearchQuery{Prefix: "ock", Limit: 10})
	expect("rare letters", event.SearchQuery{Prefix: "𠮷", Limit: 10}, "rare")

	change := func(id string, edit func(*event.Event)) {
		t.Helper()
		e := read(t, s, id)
		edit(&e)
		e.Version++
		wantErr(t, "change "+id, s.WriteDefinition(ctx, e, e.Version-1), nil)
	}
	change("early", func(e *event.Event) { e.Name, e.Description = "Pop", "" })
	change("draft", func(e *event.Event) { e.Status = event.Published })
	change("late", func(e *event.Event) { e.Status = event.Deleted })
	change("in-text", func(e *event.Event) { e.Status = event.Draft })
	expect("after changes", event.SearchQuery{Prefix: "rock", Limit: 10}, "draft", "longer")
	expect("after changes, with drafts", event.SearchQuery{Prefix: "rock", Drafts: true, Limit: 10}, "draft", "longer", "in-text")
	expect("new name", event.SearchQuery{Prefix: "pop", Limit: 10}, "early")

	// A move of seats does not affect the words.
	e := read(t, s, "early")
	w, _ := seatsWrite(e, []event.Move{{To: NewHold("b_1_x", "early", 1)}}, nil)
	wantErr(t, "reserve", s.WriteSeats(ctx, w), nil)
	expect("after a reserve", event.SearchQuery{Prefix: "pop", Limit: 10}, "early")
}

func testGetEvents(t *testing.T, s Subject) {
	insert(t, s, NewEvent("a"))
	b := NewEvent("b")
	b.Seats.Marks = map[string]event.Hold{"b_1_x": NewHold("b_1_x", "b", 2)}
	insert(t, s, b)
	insert(t, s, NewEvent("other"))
	got, err := s.GetEvents(t.Context(), []string{"b", "unknown", "a"})
	if err != nil || len(got) != 2 {
		t.Fatalf("got %d events, %v, want 2", len(got), err)
	}
	wantEvent(t, got["a"], read(t, s, "a"))
	b.Seats.Marks = nil
	wantEvent(t, got["b"], b)
}
