package booking_test

import (
	"testing"
	"time"

	"boxoffice/shared/contract/eventapi"
)

func TestSweepExpiresDueBookings(t *testing.T) {
	f := newFixture(t)
	f.book(request("a", 1))
	f.now = f.now.Add(time.Second)
	f.book(request("b", 1))
	f.now = f.now.Add(ttl - time.Second)
	for i, want := range []int{1, 0} {
		if n, err := f.ExpireBookings(t.Context()); err != nil || n != want {
			t.Errorf("sweep %d: got %d expired, %v, want %d", i, n, err, want)
		}
	}
	if len(f.released) != 1 {
		t.Errorf("got released holds %v, want one", f.released)
	}
	f.wantFacts("after the sweep", "created", "expired", "created")
}

func TestSweepExpiresMoreThanOneBatch(t *testing.T) {
	f := newFixture(t)
	const many = 450
	for range many {
		f.book(request(f.NewID(), 1))
	}
	f.now = f.now.Add(ttl)
	if n, err := f.ExpireBookings(t.Context()); err != nil || n != many {
		t.Errorf("got %d expired, %v, want %d", n, err, many)
	}
}

// While the event app hangs, each release would wait for its deadline. The sweep must
// stop releasing after the first one and still expire all bookings.
func TestSweepStopsReleasingWhenTheEventAppHangs(t *testing.T) {
	f := newFixture(t)
	f.onRelease = errUnknown
	const many = 450
	for range many {
		f.book(request(f.NewID(), 1))
	}
	f.now = f.now.Add(ttl)
	if n, err := f.ExpireBookings(t.Context()); err != nil || n != many || len(f.released) != 1 {
		t.Errorf("got %d expired, %v, %d releases, want %d and 1", n, err, len(f.released), many)
	}
	for range many {
		f.book(request(f.NewID(), 1))
	}
	f.released = nil
	f.wantErr("event cancelled", f.OnEventCancelled(t.Context(), eventapi.Fact{Resource: eventapi.Event{ID: "gala"}}), nil)
	if len(f.released) != 1 {
		t.Errorf("got %d releases for the cancelled event, want 1", len(f.released))
	}
	// The next sweep releases again. A refusal does not stop it.
	f.onRelease, f.released = errSoldOut, nil
	for range 3 {
		f.book(request(f.NewID(), 1))
	}
	f.now = f.now.Add(ttl)
	if n, err := f.ExpireBookings(t.Context()); err != nil || n != 3 || len(f.released) != 3 {
		t.Errorf("got %d expired, %v, %d releases, want 3 and 3", n, err, len(f.released))
	}
}
