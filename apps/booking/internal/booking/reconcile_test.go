package booking_test

import (
	"fmt"
	"slices"
	"testing"

	"boxoffice/shared/contract/bookingapi"
)

func TestReconcileReturnsTheLiveBookingsOfAnEventPageByPage(t *testing.T) {
	f := newFixture(t)
	var want []bookingapi.LiveBooking
	for i := range 7 {
		id := fmt.Sprintf("b%d", i)
		req := request("", int64(i%3+1))
		req.BookingID = id
		f.book(req)
		live := bookingapi.LiveBooking{BookingID: id, HoldID: f.record(id).HoldID, Quantity: req.Quantity, Status: bookingapi.StatusPending}
		switch i {
		case 2:
			_, err := f.CancelBooking(t.Context(), getAsOwner(id))
			f.wantErr("cancel", err, nil)
			continue
		case 4:
			_, err := f.confirm(id)
			f.wantErr("confirm", err, nil)
			live.Status = bookingapi.StatusConfirmed
		}
		want = append(want, live)
	}
	other := request("", 1)
	other.BookingID, other.EventID = "b9", "other"
	f.book(other)
	writes := f.store.Writes()
	for _, limit := range []int{1, 2, 3, 6, 500} {
		var got []bookingapi.LiveBooking
		cursor := ""
		for pages := 0; ; pages++ {
			page, err := f.ReconcileBookings(t.Context(), bookingapi.ReconcileRequest{EventID: "gala", Limit: limit, Cursor: cursor})
			if err != nil || len(page.Bookings) > limit || pages > len(want) {
				t.Fatalf("limit %d, cursor %q: got %+v, %v, want at most %d bookings", limit, cursor, page, err, limit)
			}
			got = append(got, page.Bookings...)
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: got %+v, want %+v", limit, got, want)
		}
	}
	page, err := f.ReconcileBookings(t.Context(), bookingapi.ReconcileRequest{EventID: "unknown", Limit: 1})
	if err != nil || page.Bookings == nil || len(page.Bookings) != 0 || page.Next != "" {
		t.Errorf("unknown event: got %+v, %v, want an empty page", page, err)
	}
	if f.store.Writes() != writes {
		t.Error("a reconcile wrote to the store")
	}
}

func TestReconcileRefusesInvalidRequests(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct {
		req  bookingapi.ReconcileRequest
		want []string
	}{
		{bookingapi.ReconcileRequest{EventID: "gala", Limit: bookingapi.MaxReconcile}, nil},
		{bookingapi.ReconcileRequest{EventID: "gala", Limit: 0}, []string{"limit:too_small"}},
		{bookingapi.ReconcileRequest{EventID: "gala", Limit: bookingapi.MaxReconcile + 1}, []string{"limit:too_large"}},
		{bookingapi.ReconcileRequest{Limit: 1, Cursor: "a b"}, []string{"eventId:required", "cursor:invalid"}},
	} {
		_, err := f.ReconcileBookings(t.Context(), tt.req)
		if got := invalidFields(err); !slices.Equal(got, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%+v: got %v, %v, want %v", tt.req, got, err, tt.want)
		}
	}
}
