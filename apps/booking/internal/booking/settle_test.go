package booking_test

import (
	"slices"
	"testing"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/contract/bookingapi"
)

func TestSettleReportsLiveHoldsAndInvalidatesTheRest(t *testing.T) {
	notLive := bookingapi.Settlement{}
	for _, tt := range []struct {
		name   string
		before func(f *fixture) // prepares the record own-id; nil for no record
		// hold returns the id of the hold to settle. If hold is nil, the test settles the
		// record's hold, or hold 1 if the record has none.
		hold func(f *fixture) string
		want bookingapi.Settlement
		// state and holdNumber are those of the record afterwards.
		state      booking.State
		holdNumber int64
	}{
		{"unknown booking", nil, nil, notLive, booking.Refused, 2},
		{"refused record", func(f *fixture) {
			f.onReserve = func(string) error { return errSoldOut }
			_, _ = f.CreateBooking(f.t.Context(), request("", 2))
		}, nil, notLive, booking.Refused, 2},
		{"refused record, next number", func(f *fixture) {
			f.onReserve = func(string) error { return errSoldOut }
			_, _ = f.CreateBooking(f.t.Context(), request("", 2))
		}, func(*fixture) string { return "own-id_2_f" }, notLive, booking.Refused, 3},
		{"pending", func(f *fixture) { f.book(request("", 2)) }, nil, bookingapi.Settlement{Live: true}, booking.Pending, 1},
		{"pending, hold of another request", func(f *fixture) { f.book(request("", 2)) },
			func(*fixture) string { return "own-id_1_f" }, notLive, booking.Pending, 1},
		{"confirmed", func(f *fixture) {
			f.book(request("", 2))
			_, _ = f.confirm("own-id")
		}, nil, bookingapi.Settlement{Live: true, Confirmed: true}, booking.Confirmed, 1},
		{"cancelled", func(f *fixture) {
			f.book(request("", 2))
			_, _ = f.CancelBooking(f.t.Context(), getAsOwner("own-id"))
		}, nil, notLive, booking.Cancelled, 1},
		{"cancelled after it was confirmed", func(f *fixture) {
			f.book(request("", 2))
			_, _ = f.confirm("own-id")
			_, _ = f.CancelBooking(f.t.Context(), getAsOwner("own-id"))
		}, nil, bookingapi.Settlement{Confirmed: true}, booking.Cancelled, 1},
		{"expired", func(f *fixture) {
			f.book(request("", 2))
			f.now = f.now.Add(ttl)
			_, _ = f.Sweep(f.t.Context())
		}, nil, notLive, booking.Expired, 1},
		{"expired, hold of a late confirm", func(f *fixture) {
			f.book(request("", 2))
			f.now = f.now.Add(ttl)
			_, _ = f.Sweep(f.t.Context())
		}, func(*fixture) string { return "own-id_2_f" }, notLive, booking.Expired, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			if tt.before != nil {
				tt.before(f)
			}
			hold := f.record("own-id").HoldID
			if hold == "" {
				hold = "own-id_1_f"
			}
			if tt.hold != nil {
				hold = tt.hold(f)
			}
			for range 2 {
				got, err := f.SettleHold(t.Context(), bookingapi.SettleRequest{HoldID: hold})
				b := f.record("own-id")
				if err != nil || got != tt.want || b.State != tt.state || b.HoldNumber != tt.holdNumber {
					t.Errorf("got %+v, %v, state %s and hold number %d; want %+v, state %s and hold number %d",
						got, err, b.State, b.HoldNumber, tt.want, tt.state, tt.holdNumber)
				}
			}
		})
	}
}

func TestSettleRejectsMalformedHoldIDs(t *testing.T) {
	f := newFixture(t)
	for _, bad := range []string{"", "x", "a_b", "a_0_f", "a_x_f", "_1_f"} {
		_, err := f.SettleHold(t.Context(), bookingapi.SettleRequest{HoldID: bad})
		if got := invalidFields(err); !slices.Equal(got, []string{"holdId:invalid"}) {
			t.Errorf("%q: got %v, want an invalid holdId", bad, err)
		}
	}
}
