package event_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

func message(err error) string { return apperr.From(err).Message }

func (f *fixture) sweep(after time.Duration) {
	f.t.Helper()
	f.now = f.now.Add(after)
	f.asked = nil
	f.is("sweep", f.Sweep(f.t.Context()), nil)
}

func TestSweepAsksAboutHoldsNobodyHeardOf(t *testing.T) {
	f := newFixture(t)
	f.open(nil)
	f.reserve("dead_1_x", "u1", 1)
	f.reserve("live_1_x", "u1", 2)
	f.reserve("sold_1_x", "u1", 3)
	f.reserve("heard_1_x", "u1", 1)
	f.is("created", f.OnBookingCreated(t.Context(), f.fact("heard_1_x", "u1", 1)), nil)
	f.settled = map[string]bookingapi.Settlement{
		"live_1_x": {Live: true}, "sold_1_x": {Live: true, Confirmed: true}, "heard_1_x": {Live: true},
	}
	f.sweep(settleAfter - time.Millisecond)
	if len(f.asked) > 0 {
		t.Errorf("asked about %v before its time", f.asked)
	}
	f.sweep(time.Millisecond)
	if want := []string{"dead_1_x", "live_1_x", "sold_1_x"}; !slices.Equal(f.asked, want) {
		t.Errorf("asked about %v, want %v", f.asked, want)
	}
	f.state("dead", "dead_1_x", event.Released)
	f.state("live", "live_1_x", event.Held)
	f.state("confirmed", "sold_1_x", event.Sold)
	f.seats("settled", 4, 3, 3)
	f.sweep(10 * time.Minute)
	if len(f.asked) > 0 {
		t.Errorf("asked again about %v", f.asked)
	}
	// Long after they were to lapse: a fact must have been lost.
	delete(f.settled, "heard_1_x")
	f.sweep(10 * time.Minute)
	if want := []string{"heard_1_x", "live_1_x"}; !slices.Equal(f.asked, want) {
		t.Errorf("asked about %v, want %v", f.asked, want)
	}
	f.state("dead after all", "heard_1_x", event.Released)
}

// While the booking app hangs each question would wait for its deadline, and the
// rest of the sweep for all of them.
func TestSweepAsksOnceWhileTheBookingAppHangs(t *testing.T) {
	f := newFixture(t)
	f.open(nil)
	for _, id := range []string{"a_1_x", "b_1_x", "c_1_x"} {
		f.reserve(id, "u1", 1)
	}
	f.now = f.now.Add(settleAfter)
	f.hangs = apperr.TimedOut(nil)
	f.is("sweep", f.Sweep(t.Context()), f.hangs)
	if len(f.asked) != 1 {
		t.Errorf("asked about %v, want one", f.asked)
	}
	f.hangs, f.asked = apperr.New(apperr.Invalid, "", ""), nil
	f.is("sweep", f.Sweep(t.Context()), f.hangs)
	if len(f.asked) != 3 {
		t.Errorf("asked about %v, want all", f.asked)
	}
}

// stopAt makes a service that fails from an operation on, as a crash would.
func (f *fixture) stopAt(op string) *event.Service {
	gone := errors.New("crashed")
	stopped := false
	gated := f.store.Through(func(next string) (before, after error) {
		if stopped = stopped || next == op; stopped {
			return gone, nil
		}
		return nil, nil
	})
	return event.New(event.Config{
		Events: gated, Catalogue: gated, Holds: gated, Limits: gated, Bookings: f,
		Locks: eventtest.Unlocked{}, Batches: eventtest.Unbatched{}, Clock: f, IDs: f, HoldSettleAfter: settleAfter,
	})
}

func TestSweepFinishesWhatACrashLeft(t *testing.T) {
	limited := func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(4)) }
	for _, tt := range []struct {
		name, op  string
		release   bool
		available int64
		state     event.HoldState // right after the sweeps
	}{
		{"reserve, before its claim", "limits.claim", false, 10, ""},
		{"reserve, before its write", "events.seats", false, 10, event.Released},
		{"reserve, before its hold", "holds.insert", false, 10, event.Released},
		{"release, before its write", "events.seats", true, 10, event.Released},
		{"release, before its hold", "holds.move", true, 10, event.Released},
		{"release, before the limit", "limits.giveback", true, 10, event.Released},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.open(limited)
			svc := f.stopAt(tt.op)
			req := f.hold("a_1_x", "u1", 2)
			if tt.release {
				f.reserve("a_1_x", "u1", 2)
				_, err := svc.ReleaseSeats(t.Context(), eventapi.ReleaseRequest{HoldID: req.HoldID, EventID: "gala", UserID: "u1", Quantity: 2})
				if err == nil {
					t.Fatal("it did not stop")
				}
			} else if _, err := eventtest.Reserve(t.Context(), svc, req); err == nil {
				t.Fatal("it did not stop")
			}
			f.sweep(settleAfter + time.Millisecond)
			f.sweep(0)
			f.seats("swept", tt.available, 10-tt.available, 0)
			f.state("swept", "a_1_x", tt.state)
			f.used("swept", "u1", 0)
		})
	}
}

func TestSweepTakesStampsOff(t *testing.T) {
	f := newFixture(t)
	f.open(func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(4)) })
	f.reserve("a_1_x", "u1", 2)
	f.settled["a_1_x"] = bookingapi.Settlement{Live: true}
	f.sweep(settleAfter + time.Millisecond)
	l := f.store.Contents().Limits[event.LimitKey{EventID: "gala", UserID: "u1"}]
	if !l.ClaimedAt.IsZero() || l.Used != 2 {
		t.Errorf("got %+v, want 2 and no stamp", l)
	}
}

func TestSweepRepeatsACancellation(t *testing.T) {
	f := newFixture(t)
	f.open(nil)
	f.reserve("a_1_x", "u1", 1)
	_, err := f.CancelEvent(t.Context(), eventapi.GetRequest{EventID: "gala"})
	f.is("cancel", err, nil)
	count := func() int {
		ids := map[string]bool{}
		for _, fact := range f.store.Unsent() {
			if fact.Type == eventapi.FactCancelled {
				ids[fact.ID] = true
			}
		}
		return len(ids)
	}
	publish := func() {
		for _, fact := range f.store.Unsent() {
			f.store.MarkSent(fact.Subject, fact.ID)
		}
	}
	f.settled["a_1_x"] = bookingapi.Settlement{Live: true}
	f.sweep(time.Second)
	if count() != 1 {
		t.Errorf("it waits to be said %d times, want once", count())
	}
	publish()
	f.sweep(time.Second)
	if count() != 1 {
		t.Errorf("it waits to be said %d times again, want once", count())
	}
	publish()
	for range 30 {
		f.sweep(time.Second)
		publish()
	}
	if n := len(f.store.Facts()); n != 2 { // created, and cancelled once
		t.Errorf("the event carries %d facts, want 2", n)
	}
	f.release("a_1_x", "u1", 1)
	f.sweep(time.Second)
	if count() != 0 {
		t.Error("it is said although no seat is taken")
	}
}

func TestCleanupDeletesWhatEndedUnsold(t *testing.T) {
	f := newFixture(t)
	f.open(nil)
	f.reserve("a_1_x", "u1", 1)
	f.now = f.now.Add(51 * time.Hour)
	n, err := f.Cleanup(t.Context())
	f.is("with a pending booking", err, nil)
	f.release("a_1_x", "u1", 1)
	m, err := f.Cleanup(t.Context())
	f.is("without", err, nil)
	if n != 0 || m != 1 {
		t.Errorf("deleted %d, then %d, want 0, then 1", n, m)
	}
	_, err = f.GetEvent(t.Context(), eventapi.GetRequest{EventID: "gala", ByAdmin: true})
	f.is("fetch", err, event.ErrNotFound)
}

// Links are written by the sweep, of many holds at once, or when the process ends.
// One that is killed has forgotten them, and the next one asks.
func TestLinksAreWrittenTogether(t *testing.T) {
	f := newFixture(t)
	f.open(nil)
	f.settled = map[string]bookingapi.Settlement{}
	for _, id := range []string{"a_1_x", "b_1_x", "c_1_x"} {
		f.reserve(id, "u1", 1)
		f.settled[id] = bookingapi.Settlement{Live: true}
	}
	hear := func(id string) { f.is("created", f.OnBookingCreated(t.Context(), f.fact(id, "u1", 1)), nil) }
	hear("a_1_x")
	hear("a_1_x")
	hear("b_1_x")
	f.ops = nil
	f.sweep(settleAfter)
	if n := len(slices.DeleteFunc(f.ops, func(op string) bool { return op != "holds.later" })); n != 2 { // and one by the answer
		t.Errorf("%d writes, want 2", n)
	}
	if want := []string{"c_1_x"}; !slices.Equal(f.asked, want) {
		t.Errorf("asked about %v, want %v", f.asked, want)
	}

	f.settled["d_1_x"], f.settled["e_1_x"] = bookingapi.Settlement{Live: true}, bookingapi.Settlement{Live: true}
	f.reserve("d_1_x", "u1", 1)
	f.reserve("e_1_x", "u1", 1)
	hear("d_1_x")
	f.is("end", f.FlushLinks(t.Context()), nil)
	hear("e_1_x")
	f.restart() // as if it were killed
	f.sweep(settleAfter)
	if want := []string{"e_1_x"}; !slices.Equal(f.asked, want) {
		t.Errorf("after a restart: asked about %v, want %v", f.asked, want)
	}
}
