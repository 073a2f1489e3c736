package booking_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// wantOwes checks the obligations of the record own-id, as cause:number of the hold.
func (f *fixture) wantOwes(what string, want ...string) {
	f.t.Helper()
	var got []string
	b := f.record("own-id")
	for _, o := range b.Owes.List() {
		_, number, err := bookingapi.ParseHoldID(o.HoldID)
		if err != nil {
			f.t.Fatal(err)
		}
		got = append(got, o.Cause+":"+string(rune('0'+number)))
	}
	if !slices.Equal(got, want) || b.DischargeAt.IsZero() != (len(want) == 0) {
		f.t.Errorf("%s: the booking owes %v, due at %s, want %v", what, got, b.DischargeAt, want)
	}
}

// sweepLater sweeps after enough time for each obligation to be due.
func (f *fixture) sweepLater() {
	f.t.Helper()
	f.now = f.now.Add(time.Minute)
	if _, err := f.Sweep(f.t.Context()); err != nil {
		f.t.Error(err)
	}
}

// The record names every move that the event app has not acknowledged, whatever happens to
// facts and direct calls.
func TestObligationsStayUntilTheEventAppAcknowledgesThem(t *testing.T) {
	f := newFixture(t)
	f.onRelease = errUnknown
	f.book(request("", 2))
	f.wantOwes("pending")
	f.now = f.now.Add(ttl)
	_, err := f.Sweep(t.Context())
	f.wantErr("sweep", err, nil)
	f.wantOwes("expired", "expired:1")
	f.now = f.now.Add(time.Second)
	_, err = f.confirm("own-id")
	f.wantErr("late confirm", err, nil)
	f.wantOwes("confirmed late", "expired:1", "sold:2")
	_, err = f.CancelBooking(t.Context(), getAsOwner("own-id"))
	f.wantErr("cancel", err, nil)
	f.wantOwes("cancelled", "expired:1", "cancelled:2")
	f.sweepLater()
	f.wantOwes("the event app hangs", "expired:1", "cancelled:2")
	f.onRelease, f.released = nil, nil
	f.sweepLater()
	f.wantOwes("the event app answers again")
	if want := []string{f.record("own-id").HoldID}; len(f.released) != 2 || !slices.Equal(f.released[1:], want) {
		t.Errorf("got released holds %v, want both, at last %v", f.released, want)
	}
	f.calls = nil
	f.sweepLater()
	f.wantCalls("nothing is owed", "bookings.due", "bookings.owing")
}

func TestSweepSellsTheHoldsOfConfirmedBookings(t *testing.T) {
	f := newFixture(t)
	f.book(request("", 2))
	_, err := f.confirm("own-id")
	f.wantErr("confirm", err, nil)
	f.calls = nil
	_, err = f.Sweep(t.Context())
	f.wantErr("sweep at once", err, nil)
	f.wantCalls("sweep at once", "bookings.due", "bookings.owing")
	f.sweepLater()
	f.wantCalls("sweep later", "bookings.due", "bookings.owing", "bookings.claim", "sell", "bookings.discharge", "bookings.owing")
	if want := []string{f.record("own-id").HoldID}; !slices.Equal(f.sold, want) {
		t.Errorf("got sold holds %v, want %v", f.sold, want)
	}
	f.wantOwes("sold")
}

// The event counts as one that has sold tickets even if the release overtakes the sale.
func TestReleaseSaysWhetherTheBookingWasConfirmed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(f *fixture)
		want   bool
	}{
		{"pending", func(*fixture) {}, false},
		{"confirmed", func(f *fixture) { _, _ = f.confirm("own-id") }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.book(request("", 2))
			tt.before(f)
			_, err := f.CancelBooking(t.Context(), getAsOwner("own-id"))
			f.wantErr("cancel", err, nil)
			if n := len(f.releaseRequests); n != 1 || f.releaseRequests[0].WasConfirmed != tt.want {
				t.Errorf("got %+v, want one request with wasConfirmed %v", f.releaseRequests, tt.want)
			}
		})
	}
}

// A sweep that stalls after its call must not discharge what the booking owes by then.
func TestStalledDischargeKeepsNewObligations(t *testing.T) {
	f := newFixture(t)
	f.book(request("", 2))
	_, err := f.confirm("own-id")
	f.wantErr("confirm", err, nil)
	f.onSell = func() {
		f.onSell = nil
		f.onRelease = errUnknown
		_, err := f.CancelBooking(t.Context(), getAsOwner("own-id"))
		f.wantErr("cancel", err, nil)
		f.onRelease = nil
	}
	f.sweepLater()
	f.wantOwes("cancelled while the sweep sold", "cancelled:1")
}

// A late confirm must not be refused because of the seats, or of the limit entry, of its own
// old hold, whose release failed.
func TestLateConfirmReleasesItsOldHoldFirst(t *testing.T) {
	for _, tt := range []struct {
		name    string
		refusal error // of the reserve while the old hold is not released
		second  error // the result of the release before the second reserve
		want    error
		state   booking.State
	}{
		{"it had the last seats", errSoldOut, nil, nil, booking.Confirmed},
		{"it used up the limit", errLimit, nil, nil, booking.Confirmed},
		{"it cannot be released", errSoldOut, errUnknown, errUnknown, booking.Expired},
		{"its release is refused", errSoldOut, errLimit, booking.ErrExpired, booking.Expired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.book(request("", 2))
			f.now = f.now.Add(ttl)
			f.onRelease = errUnknown
			isReleased := false
			f.onReserve = func(string) error {
				if isReleased {
					return nil
				}
				f.onRelease = tt.second
				isReleased = tt.second == nil
				return tt.refusal
			}
			_, err := f.confirm("own-id")
			f.wantErr("late confirm", err, tt.want)
			if got := f.record("own-id").State; got != tt.state {
				t.Errorf("got state %s, want %s", got, tt.state)
			}
		})
	}
}

// While the event app hangs, each call would wait for its deadline.
func TestSweepClaimsNoMoreObligationsWhenTheEventAppHangs(t *testing.T) {
	f := newFixture(t)
	const many = 450
	for range many {
		b := f.book(request(f.NewID(), 1)).Booking
		if _, err := f.confirm(b.ID); err != nil {
			t.Fatal(err)
		}
	}
	f.onRelease, f.calls = errUnknown, nil
	f.sweepLater()
	sells := len(slices.DeleteFunc(slices.Clone(f.calls), func(call string) bool { return call != "sell" }))
	claims := len(slices.DeleteFunc(slices.Clone(f.calls), func(call string) bool { return call != "bookings.claim" }))
	if sells != 1 || claims >= many {
		t.Errorf("got %d calls and %d claims, want 1 and fewer than %d", sells, claims, many)
	}
	f.onRelease = nil
	f.sweepLater()
	if got := len(f.sold); got < many {
		t.Errorf("got %d holds sold by later sweeps, want %d", got, many)
	}
	for id, b := range f.store.Contents() {
		if b.Owes != (booking.Obligations{}) {
			t.Errorf("booking %s still owes %v", id, b.Owes.List())
		}
	}
}

// An event that is too busy must not keep the seats of other events.
func TestSweepReleasesTheSeatsOfOtherEventsWhenOneIsOverloaded(t *testing.T) {
	f := newFixture(t)
	busy, other := request("busy", 1), request("other", 1)
	other.EventID = "other"
	f.book(busy)
	f.now = f.now.Add(time.Second) // the sweep comes to the busy event first
	f.book(other)
	f.releaseErrs = map[string]error{"gala": apperr.Overloaded(time.Second)}
	f.now = f.now.Add(ttl)
	_, err := f.Sweep(t.Context())
	f.wantErr("sweep", err, nil)
	for id, b := range f.store.Contents() {
		if owes := b.Owes != (booking.Obligations{}); owes != (b.EventID == "gala") {
			t.Errorf("booking %s of event %s: got obligations %v, want some only for the busy event", id, b.EventID, b.Owes.List())
		}
	}
}

func TestSweepReportsItsBacklog(t *testing.T) {
	f := newFixture(t)
	f.book(request("a", 1))
	f.book(request("b", 1))
	f.now = f.now.Add(ttl + 7*time.Second)
	_, err := f.Sweep(t.Context())
	f.wantErr("sweep", err, nil)
	if want := []string{"expiry 7s", "expiry 0s", "obligations 0s"}; !slices.Equal(f.backlog, want) {
		t.Errorf("got %v, want %v", f.backlog, want)
	}
}

// A store that fails ends the sweep, and its error is reported.
func TestSweepReportsFailuresOfTheStore(t *testing.T) {
	broken := errors.New("broken")
	for _, op := range []string{"bookings.due", "bookings.replace", "bookings.owing", "bookings.claim", "bookings.discharge"} {
		f := newFixture(t)
		f.book(request("a", 1))
		b := f.book(request("b", 1)).Booking
		if _, err := f.confirm(b.ID); err != nil {
			t.Fatal(err)
		}
		f.now = f.now.Add(ttl)
		f.fail = map[string]error{op: broken}
		if _, err := f.Sweep(t.Context()); !errors.Is(err, broken) {
			t.Errorf("%s fails: got %v, want its error", op, err)
		}
	}
}

func TestObligationsHoldAtMostTwo(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("three obligations: got no panic")
		}
	}()
	booking.ObligationsOf([]booking.Obligation{{HoldID: "a", Cause: eventapi.CauseSold}, {HoldID: "b"}, {HoldID: "c"}})
}
