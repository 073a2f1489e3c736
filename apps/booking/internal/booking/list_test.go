package booking_test

import (
	"slices"
	"testing"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
)

func TestList(t *testing.T) {
	f := newFixture(t)
	var want []string
	for range 5 {
		f.now = f.now.Add(time.Second)
		want = append([]string{f.book(request(f.NewID(), 1)).Booking.ID}, want...)
	}
	req := bookingapi.ListRequest{UserID: "u1", Count: true}
	req.Limit = 2
	var got []string
	cursor := ""
	for range 3 {
		page, err := f.ListBookings(t.Context(), req)
		if err != nil || *page.Total != 5 || page.Limit != 2 {
			t.Fatalf("got %+v, %v", page, err)
		}
		for _, b := range page.Items {
			got = append(got, b.ID)
		}
		if req.Cursor = page.NextCursor; req.Cursor != "" {
			cursor = req.Cursor
		}
	}
	if !slices.Equal(got, want) || req.Cursor != "" {
		t.Errorf("got %v, %q, want %v", got, req.Cursor, want)
	}
	for _, tt := range []struct {
		name string
		req  bookingapi.ListRequest
		want []string
	}{
		{"another user's cursor", bookingapi.ListRequest{UserID: "u2", PageRequest: contract.PageRequest{Cursor: cursor}}, []string{"cursor:invalid"}},
		{"a forged one", bookingapi.ListRequest{UserID: "u1", PageRequest: contract.PageRequest{Cursor: "x" + cursor[1:]}}, []string{"cursor:invalid"}},
		{"all at once", bookingapi.ListRequest{UserID: "ü", EventID: "?", Status: "refused", PageRequest: contract.PageRequest{Limit: 101}},
			[]string{"limit:too_large", "userId:invalid", "eventId:invalid", "status:invalid"}},
		{"unknown ids", bookingapi.ListRequest{UserID: "nobody", EventID: "nothing"}, nil},
	} {
		page, err := f.ListBookings(t.Context(), tt.req)
		if got := wrongFields(err); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if page.Items == nil || len(page.Items) > 0 {
			t.Errorf("%s: got %v, want an empty list", tt.name, page.Items)
		}
	}
}
