package event_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

// addEvent creates an event whose id is its name, and which starts some hours from now.
func (f *fixture) addEvent(name string, hours int, change func(*eventapi.Definition)) {
	f.t.Helper()
	_, err := f.CreateEvent(f.t.Context(), eventapi.CreateRequest{
		EventID: strings.ReplaceAll(name, " ", "-"), OrganizerID: "admin", Event: f.define(func(d *eventapi.Definition) {
			d.Name = name
			d.StartsAt, d.EndsAt = contract.At(f.now.Add(time.Duration(hours)*time.Hour)), contract.At(f.now.Add(time.Duration(hours+2)*time.Hour))
			if change != nil {
				change(d)
			}
		}),
	})
	f.wantErr("create "+name, err, nil)
}

// found returns the ids of all events that a search finds, in order.
func (f *fixture) found(req eventapi.SearchRequest) []string {
	f.t.Helper()
	var ids []string
	for {
		page, err := f.SearchEvents(f.t.Context(), req)
		if err != nil || page.Items == nil {
			f.t.Fatalf("search for %q: got %+v, %v, want a page", req.Term, page, err)
		}
		for _, e := range page.Items {
			ids = append(ids, e.ID)
		}
		if req.Cursor = page.NextCursor; req.Cursor == "" {
			return ids
		}
		if len(page.Items) != page.Limit {
			f.t.Fatalf("search for %q: got a page of %d with a cursor, want %d", req.Term, len(page.Items), page.Limit)
		}
	}
}

func TestSearchEvents(t *testing.T) {
	f := newFixture(t)
	f.addEvent("opera", 9, nil)
	f.addEvent("opera-b", 5, nil)
	f.addEvent("opera-a", 5, nil)
	f.addEvent("Gala", 1, func(d *eventapi.Definition) { d.Description = ptr("An opera of Beyonce\u0301 in the Große Straße") })
	f.addEvent("Ball", 2, func(d *eventapi.Definition) { d.Category = ptr("Opera") })
	f.addEvent("Concert", 8, func(d *eventapi.Definition) { d.Venue = ptr("Old Opera House") })
	f.addEvent("operetta draft", 3, func(d *eventapi.Definition) { d.Status = ptr(eventapi.StatusDraft) })
	f.addEvent("operated", 4, nil)
	f.addEvent("opera gone", 4, nil)
	_, err := f.CancelEvent(t.Context(), eventapi.ChangeRequest{EventID: "operated", ChangeID: f.NewID()})
	f.wantErr("cancel", err, nil)
	_, err = f.DeleteEvent(t.Context(), eventapi.ChangeRequest{EventID: "opera-gone", ChangeID: f.NewID()})
	f.wantErr("delete", err, nil)

	all := []string{"operated", "opera-a", "opera-b", "opera", "Concert", "Gala", "Ball"}
	for _, tt := range []struct {
		term string
		want []string
	}{
		{"opera", all},
		{"  OPÉRA!", all},
		{"beyonce", []string{"Gala"}},
		{"Beyoncé", []string{"Gala"}},
		{"strasse", []string{"Gala"}},
		{"STRASSE GROSSE", []string{"Gala"}},
		{"opera house", []string{"Concert"}},
		{"house opera old", []string{"Concert"}},
		{"ho op", []string{"Concert"}},
		{"opera OPERA", all},
		{"opera gala", []string{"Gala"}}, // in different fields
		{"opera nothing", nil},
		{"operetta", nil}, // a draft
		{"gone", nil},     // deleted
		{"pera", nil},     // not a prefix
		{"operas", nil},   // longer than any word
		{".*", nil},
		{"[", nil},
		{"", nil},
		{" ", nil},
		{"🎭", nil},
		{"(o+)+$", all}, // the word o
		{"$regex", nil},
		{strings.Repeat("a", 200), nil},
		{strings.Repeat("a ", 100), []string{"opera-a", "Gala"}}, // one different word
	} {
		for _, limit := range []int{100, 2, 1} {
			got := f.found(eventapi.SearchRequest{Term: tt.term, PageRequest: contract.PageRequest{Limit: limit}})
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q, %d at a time: got %v, want %v", tt.term, limit, got, tt.want)
			}
		}
	}
	want := []string{"operetta-draft", "operated", "opera-a", "opera-b", "opera", "Concert", "Gala", "Ball"}
	if got := f.found(eventapi.SearchRequest{Term: "oper", ByAdmin: true}); !slices.Equal(got, want) {
		t.Errorf("an admin: got %v, want %v", got, want)
	}
	// A change of the event changes its words.
	_, err = f.UpdateEvent(t.Context(), eventapi.UpdateRequest{EventID: "Concert", ChangeID: f.NewID(), Changes: eventapi.Changes{Venue: contract.Optional[string]{Present: true, Value: "Arena"}}})
	f.wantErr("update", err, nil)
	if got := f.found(eventapi.SearchRequest{Term: "opera house"}); got != nil {
		t.Errorf("former venue: got %v, want none", got)
	}
	if got := f.found(eventapi.SearchRequest{Term: "arena"}); !slices.Equal(got, []string{"Concert"}) {
		t.Errorf("new venue: got %v, want the event", got)
	}
}

func TestSearchEventsValidates(t *testing.T) {
	f := newFixture(t)
	for i := range 3 {
		f.addEvent(fmt.Sprintf("opera %d", i), 1, nil)
	}
	page, err := f.SearchEvents(t.Context(), eventapi.SearchRequest{Term: "opera", PageRequest: contract.PageRequest{Limit: 1}})
	if err != nil || page.NextCursor == "" {
		t.Fatalf("got %+v, %v, want a page with a cursor", page, err)
	}
	list, err := f.ListEvents(t.Context(), eventapi.ListRequest{PageRequest: contract.PageRequest{Limit: 1}})
	if err != nil || list.NextCursor == "" {
		t.Fatalf("got %+v, %v, want a page with a cursor", list, err)
	}
	var twenty, twentyOne []string
	for i := range 21 {
		word := fmt.Sprintf("w%d", i)
		if twentyOne = append(twentyOne, word); i < 20 {
			twenty = append(twenty, word)
		}
	}
	at := func(cursor string) contract.PageRequest { return contract.PageRequest{Cursor: cursor} }
	for _, tt := range []struct {
		name string
		req  eventapi.SearchRequest
		want []string
	}{
		{"200 code points", eventapi.SearchRequest{Term: strings.Repeat("ü", 200)}, nil},
		{"201 code points", eventapi.SearchRequest{Term: strings.Repeat("ü", 201)}, []string{"searchTerm:too_long"}},
		{"10 KB", eventapi.SearchRequest{Term: strings.Repeat("x", 10<<10)}, []string{"searchTerm:too_long"}},
		{"500 words", eventapi.SearchRequest{Term: strings.Repeat("word ", 500)}, []string{"searchTerm:too_long"}},
		{"20 words", eventapi.SearchRequest{Term: strings.Join(twenty, " ")}, nil},
		{"21 words", eventapi.SearchRequest{Term: strings.Join(twentyOne, " ")}, []string{"searchTerm:too_many_words"}},
		{"invalid UTF-8", eventapi.SearchRequest{Term: "a\xff"}, []string{"searchTerm:invalid"}},
		{"limit", eventapi.SearchRequest{Term: "a", PageRequest: contract.PageRequest{Limit: 101}}, []string{"limit:too_large"}},
		{"cursor", eventapi.SearchRequest{Term: "opera", PageRequest: at(page.NextCursor)}, nil},
		{"cursor of another term", eventapi.SearchRequest{Term: "gala", PageRequest: at(page.NextCursor)}, []string{"cursor:invalid"}},
		{"cursor of an admin", eventapi.SearchRequest{Term: "opera", ByAdmin: true, PageRequest: at(page.NextCursor)}, []string{"cursor:invalid"}},
		{"cursor of a list", eventapi.SearchRequest{Term: "opera", PageRequest: at(list.NextCursor)}, []string{"cursor:invalid"}},
		{"forged cursor", eventapi.SearchRequest{Term: "opera", PageRequest: at("AAAA")}, []string{"cursor:invalid"}},
		{"cursor of a term without words", eventapi.SearchRequest{Term: "*", PageRequest: at("AAAA")}, []string{"cursor:invalid"}},
	} {
		page, err := f.SearchEvents(t.Context(), tt.req)
		if got := invalidFields(err); !slices.Equal(got, tt.want) || (err != nil) != (tt.want != nil) || page.Items == nil {
			t.Errorf("%s: got %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

// manyStore has more events with the word "many" than a query returns. Only the first
// has the word "few" too.
type manyStore struct {
	event.Catalogue
	queries []string // each as prefix:limit
}

func (s *manyStore) SearchEvents(_ context.Context, q event.SearchQuery) ([]event.Candidate, error) {
	s.queries = append(s.queries, fmt.Sprintf("%s:%d", q.Prefix, q.Limit))
	count := q.Limit
	if q.Prefix == "few" {
		count = 1
	}
	candidates := make([]event.Candidate, count)
	for i := range candidates {
		candidates[i] = event.Candidate{ID: fmt.Sprintf("e%04d", i), Words: []event.Word{{Text: "many"}, {Text: "most"}, {Text: "much"}}}
	}
	candidates[0].Words = append([]event.Word{{Text: "few"}}, candidates[0].Words...)
	return candidates, nil
}

func (s *manyStore) GetEvents(_ context.Context, ids []string) (map[string]event.Event, error) {
	events := map[string]event.Event{}
	for _, id := range ids {
		events[id] = event.Event{ID: id, Status: event.Published}
	}
	return events, nil
}

// A search probes all words, and then queries for the longest one. It stops when a query
// returned fewer candidates than its limit, and reads 1,000 candidates at most.
func TestSearchEventsLimitsItsQueries(t *testing.T) {
	for _, tt := range []struct {
		term    string
		queries []string
		items   int
	}{
		{"many", []string{"many:1000"}, 100},
		{"few", []string{"few:1000"}, 1},
		{"many few", []string{"many:50", "few:50"}, 1},
		{"mu few mos many", []string{"many:50", "few:50"}, 1},
		{"many most much m few", []string{"many:50", "most:50", "much:50", "few:50"}, 1},
		{"m mu mo", []string{"mo:50", "mu:50", "m:50", "mo:850"}, 100},
		{"m mu mo ma", []string{"ma:50", "mo:50", "mu:50", "m:50", "ma:800"}, 100},
	} {
		store := &manyStore{}
		svc := event.New(event.Config{Catalogue: store})
		page, err := svc.SearchEvents(t.Context(), eventapi.SearchRequest{Term: tt.term, PageRequest: contract.PageRequest{Limit: 100}})
		if err != nil || len(page.Items) != tt.items || !slices.Equal(store.queries, tt.queries) {
			t.Errorf("%q: got %d events, queries %v, %v, want %d, %v", tt.term, len(page.Items), store.queries, err, tt.items, tt.queries)
		}
	}
}

// An event that is deleted or unpublished between the two reads of a search is left out.
func TestSearchEventsOmitsEventsThatHaveChanged(t *testing.T) {
	f := newFixture(t)
	f.addEvent("opera one", 1, nil)
	f.addEvent("opera two", 2, nil)
	f.addEvent("opera three", 3, nil)
	f.onOp = func(op string) {
		if op != "events.search" {
			return
		}
		f.onOp = func(op string) {
			if op != "events.read" {
				return
			}
			f.onOp = nil
			_, err := f.DeleteEvent(t.Context(), eventapi.ChangeRequest{EventID: "opera-one", ChangeID: f.NewID()})
			f.wantErr("delete", err, nil)
			_, err = f.UpdateEvent(t.Context(), eventapi.UpdateRequest{EventID: "opera-two", ChangeID: f.NewID(), Changes: eventapi.Changes{Status: contract.Optional[string]{Present: true, Value: eventapi.StatusDraft}}})
			f.wantErr("unpublish", err, nil)
		}
	}
	if got := f.found(eventapi.SearchRequest{Term: "opera"}); !slices.Equal(got, []string{"opera-three"}) {
		t.Errorf("got %v, want only the event that has not changed", got)
	}
}
