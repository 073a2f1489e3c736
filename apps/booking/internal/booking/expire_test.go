package booking_test

import (
	"testing"
	"time"
)

func TestSweepExpiresDueBookings(t *testing.T) {
	f := newFixture(t)
	f.book(request("a", 1))
	f.now = f.now.Add(time.Second)
	f.book(request("b", 1))
	f.now = f.now.Add(ttl - time.Second)
	for i, want := range []int{1, 0} {
		if n, err := f.Sweep(t.Context()); err != nil || n != want {
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
	if n, err := f.Sweep(t.Context()); err != nil || n != many {
		t.Errorf("got %d expired, %v, want %d", n, err, many)
	}
}

// The seats of each event's due bookings are released in few calls.
func TestSweepReleasesInBatches(t *testing.T) {
	f := newFixture(t)
	for i := range 100 {
		req := request(f.NewID(), 1)
		if i%2 == 0 {
			req.EventID = "other"
		}
		f.book(req)
	}
	f.now = f.now.Add(ttl)
	if n, err := f.Sweep(t.Context()); err != nil || n != 100 || len(f.released) != 100 || f.releases != 4 {
		t.Errorf("got %d expired, %v, %d released in %d calls, want 100, 100 and 4", n, err, len(f.released), f.releases)
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
	if n, err := f.Sweep(t.Context()); err != nil || n != many || f.releases != 1 {
		t.Errorf("got %d expired, %v, %d releases, want %d and 1", n, err, f.releases, many)
	}
	// The next sweep releases again. A refusal does not stop it.
	f.onRelease, f.releases = errSoldOut, 0
	for range 40 {
		f.book(request(f.NewID(), 1))
	}
	f.now = f.now.Add(ttl)
	if n, err := f.Sweep(t.Context()); err != nil || n != 40 || f.releases != 2+15 {
		t.Errorf("got %d expired, %v, %d releases, want 40, 2 for them and 15 for the earlier ones", n, err, f.releases)
	}
}
