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

// confirm confirms a booking as its owner.
func (f *fixture) confirm(id string) (bookingapi.Booking, error) {
	return f.ConfirmBooking(f.t.Context(), bookingapi.ConfirmRequest{BookingID: id, UserID: "u1"})
}

func TestConfirmIsIdempotent(t *testing.T) {
	f := newFixture(t)
	f.book(request("", 2))
	f.calls = nil
	f.now = f.now.Add(time.Minute)
	reference := "PAY-1"
	got, err := f.ConfirmBooking(t.Context(), bookingapi.ConfirmRequest{BookingID: "own-id", UserID: "u1", PaymentReference: &reference})
	f.wantErr("confirm", err, nil)
	f.wantCalls("confirm", "bookings.read", "bookings.replace")
	if got.Status != "confirmed" || *got.ConfirmedAt != contract.At(f.now) || f.record("own-id").PaymentReference != reference {
		t.Errorf("got %+v, want it confirmed now with reference %s", got, reference)
	}
	repeated, err := f.confirm("own-id")
	f.wantErr("confirm a second time", err, nil)
	f.wantCalls("confirm a second time", "bookings.read")
	if repeated.Status != "confirmed" || *repeated.ConfirmedAt != *got.ConfirmedAt {
		t.Errorf("second confirm: got %+v, want %+v", repeated, got)
	}
	f.wantFacts("two confirms", "created", "confirmed")
}

func TestConfirmRejectsALongPaymentReference(t *testing.T) {
	f := newFixture(t)
	f.book(request("", 2))
	long := strings.Repeat("ü", 129)
	_, err := f.ConfirmBooking(t.Context(), bookingapi.ConfirmRequest{BookingID: "own-id", UserID: "u1", PaymentReference: &long})
	if got, want := invalidFields(err), []string{"paymentReference:too_long"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLateConfirmReservesNewSeats(t *testing.T) {
	for _, tt := range []struct {
		name string
		// reserve is the result of reserving the second hold.
		reserve func(f *fixture, hold string) error
		want    error
		// state and holdNumber are those of the record afterwards.
		state      booking.State
		holdNumber int64
	}{
		{"seats are available", nil, nil, booking.Confirmed, 2},
		{"sold out", func(*fixture, string) error { return errSoldOut }, booking.ErrExpired, booking.Expired, 2},
		{"event has started", func(*fixture, string) error {
			return apperr.New(apperr.Conflict, eventapi.ReasonStarted, "")
		}, booking.ErrExpired, booking.Expired, 2},
		{"unknown outcome", func(*fixture, string) error { return errUnknown }, errUnknown, booking.Expired, 1},
		{"hold was released", func(*fixture, string) error { return errHoldReleased }, errSuperseded, booking.Expired, 2},
		{"hold was settled", func(f *fixture, hold string) error {
			got, err := f.SettleHold(f.t.Context(), bookingapi.SettleRequest{HoldID: hold})
			if err != nil || got.Live {
				f.t.Errorf("settle: got %v, %v, want not live", got, err)
			}
			return nil
		}, errSuperseded, booking.Expired, 2},
		{"concurrent confirm succeeded", func(f *fixture, _ string) error {
			f.onReserve = nil
			_, err := f.confirm("own-id")
			f.wantErr("concurrent confirm", err, nil)
			return nil
		}, nil, booking.Confirmed, 2},
		{"concurrent confirm succeeded, this one was refused as sold out", func(f *fixture, _ string) error {
			f.onReserve = nil
			_, err := f.confirm("own-id")
			f.wantErr("concurrent confirm", err, nil)
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
			f.wantErr("confirm", err, tt.want)
			b := f.record("own-id")
			if b.State != tt.state || b.HoldNumber != tt.holdNumber {
				t.Errorf("got state %s and hold number %d, want %s and %d", b.State, b.HoldNumber, tt.state, tt.holdNumber)
			}
			if (b.HoldID == first) != (tt.state == booking.Expired) {
				t.Errorf("got hold %s, want the first hold %s only if the booking is %s", b.HoldID, first, booking.Expired)
			}
			if !slices.Contains(f.released, first) || slices.Contains(f.released, b.HoldID) != (tt.state == booking.Expired) {
				t.Errorf("got released holds %v, want %s, and the current hold %s only if the booking is %s", f.released, first, b.HoldID, booking.Expired)
			}
			// Once seats are available, a new confirm succeeds.
			f.onReserve = nil
			if got, err := f.confirm("own-id"); err != nil || got.Status != "confirmed" {
				t.Errorf("later confirm: got %v, %v, want confirmed", got.Status, err)
			}
		})
	}
}

// A confirm that stalls while a concurrent confirm is refused must not take seats
// afterwards, because the client has already received the refusal.
func TestStalledConfirmTakesNoSeatsAfterARefusal(t *testing.T) {
	f := newFixture(t)
	f.book(request("", 2))
	f.now = f.now.Add(ttl)
	f.onReserve = func(string) error { return errSoldOut }

	isFirst := true
	gated := f.store.WithGate(func(op string) (before, after error) {
		if isFirst && op == "bookings.replace" {
			isFirst = false
			_, err := f.confirm("own-id")
			f.wantErr("concurrent confirm", err, booking.ErrExpired)
			f.onReserve = nil // seats become free
		}
		return nil, nil
	})
	stalled := *f
	stalled.Service = booking.New(booking.Config{
		Store: gated, Finder: gated, Seats: f, Events: f, Locks: bookingtest.NoLocks{}, Clock: f, IDs: f,
		TTL: ttl, MaxPerBooking: 10,
	})
	_, err := stalled.confirm("own-id")
	f.wantErr("stalled confirm", err, errSuperseded)
	if got := f.record("own-id").State; got != booking.Expired {
		t.Errorf("got state %s, want expired", got)
	}
	_, err = f.confirm("own-id")
	f.wantErr("new confirm", err, nil)
}
