package booking_test

import (
	"testing"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/booking/internal/booking"
)

// A confirm that began before another was refused for good, and goes on after it,
// takes no seats: the client has been told that there are none.
func TestAConfirmOvertakenByARefusal(t *testing.T) {
	f := newFixture(t)
	f.book(request("", 2))
	f.now = f.now.Add(ttl)
	f.onReserve = func(string) error { return errSoldOut }

	stalls := true
	gated := f.store.Through(func(op string) (before, after error) {
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
		Store: gated, Finder: gated, Seats: f, Events: f, Locks: bookingtest.Unlocked{}, Clock: f, IDs: f,
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
