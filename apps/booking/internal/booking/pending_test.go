package booking_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
)

var errPendingLimit = apperr.New(apperr.Conflict, bookingapi.ReasonPendingLimit, "")

// limitPending replaces the service of the fixture with one that allows a user most pending
// tickets. countFails is the result of each count, unless it is nil.
func (f *fixture) limitPending(most int64, countFails error) {
	gated := f.store.WithGate(func(op string) (before, after error) {
		if op == "bookings.pending" {
			return countFails, nil
		}
		return nil, nil
	})
	f.Service = booking.New(booking.Config{
		Store: gated, Finder: gated, Cancellations: bookingtest.CancellationConfig(gated), Seats: f, Events: f, Locks: bookingtest.NoLocks{}, Clock: f, IDs: f,
		TTL: ttl, MaxPerBooking: 10, MaxPendingPerUser: most,
	})
}

func TestPendingTicketsOfAUserAreLimited(t *testing.T) {
	f := newFixture(t)
	f.limitPending(10, nil)
	req := func(key, user, event string, quantity int64) bookingapi.CreateRequest {
		return bookingapi.CreateRequest{BookingID: "own-" + key, IdempotencyKey: key, UserID: user, EventID: event, Quantity: quantity}
	}
	refused := func(what string, r bookingapi.CreateRequest) {
		t.Helper()
		_, err := f.CreateBooking(t.Context(), r)
		f.wantErr(what, err, errPendingLimit)
	}
	first := f.book(req("1", "u1", "gala", 6))
	f.calls = nil
	refused("eleven tickets in two events", req("2", "u1", "other", 5))
	f.wantCalls("a refused create makes no reserve")
	if b := f.record(bookingtest.KeyedID("u1", "2")); b.State != booking.Refused || b.HoldNumber != 2 {
		t.Errorf("got %+v, want a refused record with hold number 2", b)
	}
	second := f.book(req("3", "u1", "other", 4)) // exactly the limit
	if got := f.book(req("1", "u1", "gala", 6)); !got.Replayed || got.Booking != first.Booking {
		t.Errorf("replay at the limit: got %+v, want the first answer", got)
	}
	f.book(req("4", "u2", "gala", 10)) // another user
	refused("one more", req("5", "u1", "gala", 1))

	confirm, err := f.ConfirmBooking(t.Context(), bookingapi.ConfirmRequest{BookingID: first.Booking.ID, UserID: "u1"})
	f.wantErr("confirm "+confirm.ID, err, nil)
	f.book(req("5", "u1", "gala", 5)) // the refused key again
	refused("ten tickets again, of them five", req("6", "u1", "gala", 2))
	_, err = f.CancelBooking(t.Context(), bookingapi.CancelRequest{BookingID: second.Booking.ID, UserID: "u1"})
	f.wantErr("cancel", err, nil)
	f.book(req("6", "u1", "gala", 5))
	refused("ten tickets again", req("7", "u1", "gala", 1))
	f.now = f.now.Add(ttl) // bookings past their expiry do not count, whatever the sweep does
	f.book(req("7", "u1", "gala", 10))
}

// A sidecar may repeat the create that reached the limit. The duplicate must get the
// booking, although that booking itself now counts.
func TestDuplicateOfACreateAtTheLimitGetsTheBooking(t *testing.T) {
	f := newFixture(t)
	f.limitPending(10, nil)
	first := f.book(request("", 10))
	if got := f.book(request("", 10)); got.Booking != first.Booking {
		t.Errorf("got %+v, want %+v", got, first)
	}
}

// Creates that are under way count too, in the order in which they began.
func TestCreatesUnderWayCountAsPending(t *testing.T) {
	f := newFixture(t)
	f.limitPending(10, nil)
	f.onReserve = func(string) error {
		f.onReserve = nil
		for quantity, want := range map[int64]error{5: errPendingLimit, 4: nil} {
			_, err := f.CreateBooking(t.Context(), request(fmt.Sprint(quantity), quantity))
			f.wantErr(fmt.Sprint(quantity, " tickets"), err, want)
		}
		return nil
	}
	f.book(request("first", 6))
}

func TestConcurrentDuplicatesDoNotCountForEachOther(t *testing.T) {
	f := newFixture(t)
	f.limitPending(10, nil)
	f.onReserve = func(string) error {
		f.onReserve = nil
		f.book(request("key", 6))
		return nil
	}
	if got := f.book(request("key", 6)); !got.Replayed {
		t.Errorf("got %+v, want the booking of the duplicate", got)
	}
}

func TestCreateFailsIfPendingTicketsCannotBeCounted(t *testing.T) {
	f := newFixture(t)
	f.limitPending(10, apperr.Unreachable(errors.New("no primary")))
	_, err := f.CreateBooking(t.Context(), request("key", 1))
	if apperr.From(err).Code != apperr.Unavailable || len(f.store.Contents()) != 0 || len(f.calls) != 0 {
		t.Errorf("got %v, records %v and calls %v, want unavailable, and nothing done", err, f.store.Contents(), f.calls)
	}
}

func TestLimitOfPendingTicketsKeepsNothingOfEndedCreates(t *testing.T) {
	f := newFixture(t)
	f.limitPending(10, nil)
	for i := range 20 { // the last ten are refused
		_, err := f.CreateBooking(t.Context(), request(fmt.Sprint(i), 1))
		if i < 10 == (err != nil) {
			t.Errorf("create %d: got %v", i, err)
		}
	}
	if n := f.CreatesUnderWay(); n != 0 {
		t.Errorf("got %d users with creates under way, want 0", n)
	}
	f.now = f.now.Add(time.Hour)
	f.book(request("later", 10))
}
