package booking_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
)

func TestListPagesThroughAllBookings(t *testing.T) {
	f := newFixture(t)
	var want []string
	for range 5 {
		f.now = f.now.Add(time.Second)
		want = append([]string{f.book(request(f.NewID(), 1)).Booking.ID}, want...)
	}
	req := bookingapi.ListRequest{UserID: "u1", Count: true}
	req.Limit = 2
	var got []string
	for range 3 {
		page, err := f.ListBookings(t.Context(), req)
		if err != nil || *page.Total != 5 || page.Limit != 2 {
			t.Fatalf("got %+v, %v, want a page of 2 and a total of 5", page, err)
		}
		for _, b := range page.Items {
			got = append(got, b.ID)
		}
		req.Cursor = page.NextCursor
	}
	if !slices.Equal(got, want) || req.Cursor != "" {
		t.Errorf("got %v and cursor %q, want %v and no cursor", got, req.Cursor, want)
	}
}

// The zero time is a bound like any other.
func TestNoBookingIsBeforeTheZeroTime(t *testing.T) {
	f := newFixture(t)
	f.book(request(f.NewID(), 1))
	zero := new(contract.At(time.Time{}))
	for name, tt := range map[string]struct {
		req  bookingapi.ListRequest
		want int64
	}{"to": {bookingapi.ListRequest{To: zero, Count: true}, 0}, "from": {bookingapi.ListRequest{From: zero, Count: true}, 1}} {
		page, err := f.ListBookings(t.Context(), tt.req)
		if err != nil || int64(len(page.Items)) != tt.want || *page.Total != tt.want {
			t.Errorf("%s: got %+v, %v, want %d bookings", name, page, err, tt.want)
		}
	}
}

func TestTotalIsExactUpToMaxCount(t *testing.T) {
	f := newFixture(t)
	for n := range int64(booking.MaxCount + 2) {
		b := bookingtest.PendingBooking(fmt.Sprint("b", n))
		if err := f.store.InsertBooking(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if n+1 < booking.MaxCount {
			continue
		}
		page, err := f.ListBookings(t.Context(), bookingapi.ListRequest{Count: true})
		if err != nil || *page.Total != booking.MaxCount || page.TotalIsEstimate != (n+1 > booking.MaxCount) {
			t.Errorf("%d bookings: got the total %d, estimate %v, %v, want %d and an estimate only above that",
				n+1, *page.Total, page.TotalIsEstimate, err, booking.MaxCount)
		}
	}
}

func TestListRejectsForeignCursorsAndInvalidFilters(t *testing.T) {
	f := newFixture(t)
	for range 2 {
		f.now = f.now.Add(time.Second)
		f.book(request(f.NewID(), 1))
	}
	first := bookingapi.ListRequest{UserID: "u1"}
	first.Limit = 1
	firstPage, err := f.ListBookings(t.Context(), first)
	if err != nil || firstPage.NextCursor == "" {
		t.Fatalf("got %+v, %v, want a cursor", firstPage, err)
	}
	cursor := firstPage.NextCursor
	for _, tt := range []struct {
		name string
		req  bookingapi.ListRequest
		want []string
	}{
		{"cursor of another list", bookingapi.ListRequest{UserID: "u2", PageRequest: contract.PageRequest{Cursor: cursor}}, []string{"cursor:invalid"}},
		{"forged cursor", bookingapi.ListRequest{UserID: "u1", PageRequest: contract.PageRequest{Cursor: "x" + cursor[1:]}}, []string{"cursor:invalid"}},
		{"several invalid fields", bookingapi.ListRequest{UserID: "ü", EventID: "?", Status: "refused", PageRequest: contract.PageRequest{Limit: 101}},
			[]string{"limit:too_large", "userId:invalid", "eventId:invalid", "status:invalid"}},
		{"unknown ids", bookingapi.ListRequest{UserID: "unknown", EventID: "unknown"}, nil},
	} {
		page, err := f.ListBookings(t.Context(), tt.req)
		if got := invalidFields(err); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if page.Items == nil || len(page.Items) > 0 {
			t.Errorf("%s: got %v, want an empty list", tt.name, page.Items)
		}
	}
}
