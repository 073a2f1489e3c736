package booking_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

func (f *fixture) confirm(id string) (bookingapi.Booking, error) {
	return f.ConfirmBooking(f.t.Context(), bookingapi.ConfirmRequest{BookingID: id, UserID: "u1"})
}

func TestConfirm(t *testing.T) {
	f := newFixture(t)
	f.book(request("", 2))
	f.calls = nil
	f.now = f.now.Add(time.Minute)
	reference := "PAY-1"
	got, err := f.ConfirmBooking(t.Context(), bookingapi.ConfirmRequest{BookingID: "own-id", UserID: "u1", PaymentReference: &reference})
	f.is("confirm", err, nil)
	f.cost("confirm", "bookings.read", "bookings.replace")
	if got.Status != "confirmed" || *got.ConfirmedAt != contract.At(f.now) || f.record("own-id").PaymentReference != reference {
		t.Errorf("got %+v", got)
	}
	again, err := f.confirm("own-id")
	f.is("confirm again", err, nil)
	f.cost("confirm again", "bookings.read")
	if again.Status != "confirmed" || *again.ConfirmedAt != *got.ConfirmedAt {
		t.Errorf("again: got %+v", again)
	}
	f.facts("once", "created", "confirmed")

	long := strings.Repeat("ü", 129)
	_, err = f.ConfirmBooking(t.Context(), bookingapi.ConfirmRequest{BookingID: "own-id", UserID: "u1", PaymentReference: &long})
	if got, want := wrongFields(err), []string{"paymentReference:too_long"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestConfirmLate(t *testing.T) {
	for _, tt := range []struct {
		name string
		// reserve answers the reserve of the second hold.
		reserve func(f *fixture, hold string) error
		want    error
		state   booking.State
		n       int64
	}{
		{"there are seats", nil, nil, booking.Confirmed, 2},
		{"sold out", func(*fixture, string) error { return errSoldOut }, booking.ErrExpired, booking.Expired, 2},
		{"the event is over", func(*fixture, string) error {
			return apperr.New(apperr.Conflict, eventapi.ReasonStarted, "")
		}, booking.ErrExpired, booking.Expired, 2},
		{"no answer", func(*fixture, string) error { return errUnknown }, errUnknown, booking.Expired, 1},
		{"a tombstone", func(*fixture, string) error { return errDead }, errAgain, booking.Expired, 2},
		{"settled meanwhile", func(f *fixture, hold string) error {
			got, err := f.SettleHold(f.t.Context(), bookingapi.SettleRequest{HoldID: hold})
			if err != nil || got.Live {
				f.t.Errorf("settle: got %v, %v, want dead", got, err)
			}
			return nil
		}, errAgain, booking.Expired, 2},
		{"confirmed by a twin meanwhile", func(f *fixture, _ string) error {
			f.onReserve = nil
			_, err := f.confirm("own-id")
			f.is("twin", err, nil)
			return nil
		}, nil, booking.Confirmed, 2},
		{"confirmed by a twin, and sold out", func(f *fixture, _ string) error {
			f.onReserve = nil
			_, err := f.confirm("own-id")
			f.is("twin", err, nil)
			return errSoldOut
		}, nil, booking.Confirmed, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.book(request("", 2))
			first := f.record("own-id").HoldID
			f.now = f.now.Add(ttl)
			if tt.reserve != nil {
				f.onReserve = func(hold string) error { return tt.reserve(f, hold) }
			}
			_, err := f.confirm("own-id")
			f.is("confirm", err, tt.want)
			b := f.record("own-id")
			if b.State != tt.state || b.HoldNumber != tt.n {
				t.Errorf("got %s %d, want %s %d", b.State, b.HoldNumber, tt.state, tt.n)
			}
			if (b.HoldID == first) != (tt.state == booking.Expired) {
				t.Errorf("its hold is %s", b.HoldID)
			}
			if !slices.Contains(f.released, first) || slices.Contains(f.released, b.HoldID) != (tt.state == booking.Expired) {
				t.Errorf("released %v", f.released)
			}
			// Later there are seats.
			f.onReserve = nil
			if got, err := f.confirm("own-id"); err != nil || got.Status != "confirmed" {
				t.Errorf("later: got %v, %v", got.Status, err)
			}
		})
	}
}

// A confirm that began before another was refused for good, and goes on after it,
// takes no seats: the client has been told that there are none.
func TestAConfirmOvertakenByARefusal(t *testing.T) {
	f := newFixture(t)
	f.book(request("", 2))
	f.now = f.now.Add(ttl)
	f.onReserve = func(string) error { return errSoldOut }

	stalls := true
	gated := f.store.WithGate(func(op string) (before, after error) {
		if stalls && op == "bookings.replace" {
			stalls = false
			_, err := f.confirm("own-id")
			f.is("the one that overtakes", err, booking.ErrExpired)
			f.onReserve = nil // seats come back
		}
		return nil, nil
	})
	stalled := *f
	stalled.Service = booking.New(booking.Config{
		Store: gated, Finder: gated, Seats: f, Events: f, Locks: bookingtest.NoLocks{}, Clock: f, IDs: f,
		TTL: ttl, MaxPerBooking: 10,
	})
	_, err := stalled.confirm("own-id")
	f.is("the one that stalled", err, errAgain)
	if got := f.record("own-id").State; got != booking.Expired {
		t.Errorf("the booking is %s, want expired", got)
	}
	_, err = f.confirm("own-id")
	f.is("one that begins now", err, nil)
}
