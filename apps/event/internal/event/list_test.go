package event_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

func TestListEvents(t *testing.T) {
	f := newFixture(t)
	var want []string
	for i := range 5 {
		e, err := f.create(f.NewID(), func(d *eventapi.Definition) {
			d.StartsAt, d.EndsAt = contract.At(f.now.Add(time.Duration(50-i)*time.Hour)), contract.At(f.now.Add(100*time.Hour))
		})
		f.wantErr("create", err, nil)
		want = append([]string{e.Event.ID}, want...)
	}
	req := eventapi.ListRequest{PageRequest: contract.PageRequest{Limit: 2}}
	var got []string
	cursor := ""
	for range 3 {
		page, err := f.ListEvents(t.Context(), req)
		if err != nil || page.Limit != 2 {
			t.Fatalf("got page %+v, %v, want one with limit 2", page, err)
		}
		for _, e := range page.Items {
			got = append(got, e.ID)
		}
		if req.Cursor = page.NextCursor; req.Cursor != "" {
			cursor = req.Cursor
		}
	}
	if !slices.Equal(got, want) || req.Cursor != "" {
		t.Errorf("got events %v and last cursor %q, want %v and no cursor", got, req.Cursor, want)
	}
	at := contract.PageRequest{Cursor: cursor}
	for _, tt := range []struct {
		name string
		req  eventapi.ListRequest
		want []string
	}{
		{"cursor of another sort", eventapi.ListRequest{PageRequest: at, Sort: "name"}, []string{"cursor:invalid"}},
		{"cursor of another filter", eventapi.ListRequest{PageRequest: at, Category: "x"}, []string{"cursor:invalid"}},
		{"all fields invalid", eventapi.ListRequest{
			PageRequest: contract.PageRequest{Limit: -1}, Sort: "price", Status: "deleted", OrganizerID: "a b", Category: strings.Repeat("c", 201),
		}, []string{"category:too_long", "limit:too_small", "organizerId:invalid", "sort:invalid", "status:invalid"}},
		{"unknown organizer and category", eventapi.ListRequest{OrganizerID: "unknown", Category: "unknown"}, nil},
	} {
		page, err := f.ListEvents(t.Context(), tt.req)
		if got := invalidFields(err); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if page.Items == nil || len(page.Items) > 0 {
			t.Errorf("%s: got %v, want an empty list", tt.name, page.Items)
		}
	}
}

// The zero time is a bound like any other.
func TestNoEventStartsBeforeTheZeroTime(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	zero := new(contract.At(time.Time{}))
	for name, tt := range map[string]struct {
		req  eventapi.ListRequest
		want int
	}{"to": {eventapi.ListRequest{To: zero}, 0}, "from": {eventapi.ListRequest{From: zero}, 1}} {
		page, err := f.ListEvents(t.Context(), tt.req)
		if err != nil || len(page.Items) != tt.want {
			t.Errorf("%s: got %+v, %v, want %d events", name, page, err, tt.want)
		}
	}
}
