package event_test

import (
	"errors"
	"fmt"
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
	f.wantErr("sweep", f.Sweep(f.t.Context()), nil)
}

func TestSweepAsksAboutUnlinkedHolds(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("dead_1_x", "u1", 1)
	f.reserve("live_1_x", "u1", 2)
	f.reserve("sold_1_x", "u1", 3)
	f.reserve("linked_1_x", "u1", 1)
	f.wantErr("created", f.OnBookingCreated(t.Context(), f.fact("linked_1_x", "u1", 1)), nil)
	f.settlements = map[string]bookingapi.Settlement{
		"live_1_x": {Live: true}, "sold_1_x": {Live: true, Confirmed: true}, "linked_1_x": {Live: true},
	}
	f.sweep(settleAfter - time.Millisecond)
	if len(f.asked) > 0 {
		t.Errorf("asked about %v before they were due", f.asked)
	}
	f.sweep(time.Millisecond)
	if want := []string{"dead_1_x", "live_1_x", "sold_1_x"}; !slices.Equal(f.asked, want) {
		t.Errorf("asked about %v, want %v", f.asked, want)
	}
	f.wantState("dead", "dead_1_x", event.Released)
	f.wantState("live", "live_1_x", event.Held)
	f.wantState("confirmed", "sold_1_x", event.Sold)
	f.wantSeats("settled", 4, 3, 3)
	f.sweep(10 * time.Minute)
	if len(f.asked) > 0 {
		t.Errorf("asked again about %v", f.asked)
	}
	// The bookings should have expired long ago, so their facts must have been lost.
	delete(f.settlements, "linked_1_x")
	f.sweep(10 * time.Minute)
	if want := []string{"linked_1_x", "live_1_x"}; !slices.Equal(f.asked, want) {
		t.Errorf("asked about %v, want %v", f.asked, want)
	}
	f.wantState("dead in the end", "linked_1_x", event.Released)
}

// The sweep stops asking after the first time-out. Each further request would wait until
// its deadline too, and delay the rest of the sweep.
func TestSweepAsksOnceWhileTheBookingAppHangs(t *testing.T) {
	f := newFixture(t)
	const many = 3 * bookingapi.MaxSettles // one page of the sweep
	f.createGala(func(d *eventapi.Definition) { d.Capacity = many })
	for i := range many {
		f.reserve(fmt.Sprintf("b%d_1_x", i), "u1", 1)
	}
	f.now = f.now.Add(settleAfter)
	f.settleErr = apperr.TimedOut(nil)
	f.wantErr("sweep", f.Sweep(t.Context()), f.settleErr)
	if f.settleCalls != 1 {
		t.Errorf("got %d calls, want one", f.settleCalls)
	}
	// The holds are claimed for a while. Then all of them are asked about again.
	f.sweepErr(time.Minute, apperr.New(apperr.Invalid, "", ""))
	if f.settleCalls != 1+many/bookingapi.MaxSettles {
		t.Errorf("got %d calls, want one for each %d holds", f.settleCalls-1, bookingapi.MaxSettles)
	}
}

// sweepErr sweeps after the given time, while all calls of SettleHolds return an error.
func (f *fixture) sweepErr(after time.Duration, err error) {
	f.t.Helper()
	f.now, f.settleErr = f.now.Add(after), err
	f.wantErr("sweep", f.Sweep(f.t.Context()), err)
	f.settleErr = nil
}

// stopAt returns a service that stops at the given operation, as in a crash: this and all
// later operations of its store fail.
func (f *fixture) stopAt(op string) *event.Service {
	crash := errors.New("crashed")
	stopped := false
	gated := f.store.WithGate(func(next string) (before, after error) {
		if stopped = stopped || next == op; stopped {
			return crash, nil
		}
		return nil, nil
	})
	return event.New(event.Config{
		Events: gated, Catalogue: gated, Holds: gated, Limits: gated, Log: gated, Bookings: f,
		Locks: eventtest.Unlocked{}, Batches: eventtest.Unbatched{}, Clock: f, IDs: f, HoldSettleAfter: settleAfter,
		Both: eventtest.InOrder, Cache: eventtest.NoCache{}, Observer: f, SweepParallel: 1,
	})
}

func TestSweepRepairsAfterCrashes(t *testing.T) {
	limited := func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(4)) }
	for _, tt := range []struct {
		name, op  string
		release   bool
		available int64
		state     event.HoldState // after the sweeps
	}{
		{"reserve before its claim", "limits.claim", false, 10, ""},
		{"reserve before its write of the seats", "events.seats", false, 10, event.Released},
		{"reserve before its insert of the hold", "holds.insert", false, 10, event.Released},
		{"release before its write of the seats", "events.seats", true, 10, event.Released},
		{"release before its update of the hold", "holds.move", true, 10, event.Released},
		{"release before it gives the limit entry back", "limits.giveback", true, 10, event.Released},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.createGala(limited)
			svc := f.stopAt(tt.op)
			req := f.hold("a_1_x", "u1", 2)
			if tt.release {
				f.reserve("a_1_x", "u1", 2)
				err := eventtest.Release(t.Context(), svc, eventapi.ReleaseRequest{HoldID: req.HoldID, EventID: "gala", UserID: "u1", Quantity: 2})
				if err == nil {
					t.Fatal("got no error, want the crash")
				}
			} else if _, err := eventtest.Reserve(t.Context(), svc, req); err == nil {
				t.Fatal("got no error, want the crash")
			}
			f.sweep(settleAfter + time.Millisecond)
			f.sweep(0)
			f.wantSeats("swept", tt.available, 10-tt.available, 0)
			f.wantState("swept", "a_1_x", tt.state)
			f.wantUsed("swept", "u1", 0)
		})
	}
}

func TestSweepClearsStamps(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(4)) })
	f.reserve("a_1_x", "u1", 2)
	f.settlements["a_1_x"] = bookingapi.Settlement{Live: true}
	f.sweep(settleAfter + time.Millisecond)
	l := f.store.Contents().Limits[event.LimitKey{EventID: "gala", UserID: "u1"}]
	if !l.ClaimedAt.IsZero() || l.Used != 2 {
		t.Errorf("got %+v, want 2 used and no stamp", l)
	}
}

func TestSweepRepeatsCancellations(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("a_1_x", "u1", 1)
	_, err := f.CancelEvent(t.Context(), f.change("gala"))
	f.wantErr("cancel", err, nil)
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
	f.settlements["a_1_x"] = bookingapi.Settlement{Live: true}
	f.sweep(time.Second)
	if count() != 1 {
		t.Errorf("got %d unpublished cancellations, want 1", count())
	}
	publish()
	f.sweep(time.Second)
	if count() != 1 {
		t.Errorf("after publishing: got %d unpublished cancellations, want 1", count())
	}
	publish()
	for range 30 {
		f.sweep(time.Second)
		publish()
	}
	if n := len(f.store.Facts()); n != 2 { // created, and cancelled once
		t.Errorf("got %d facts in the outbox, want 2", n)
	}
	f.release("a_1_x", "u1", 1)
	f.sweep(time.Second)
	if count() != 0 {
		t.Error("the cancellation was repeated without committed seats")
	}
}

func TestCleanupDeletesUnsoldEvents(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("a_1_x", "u1", 1)
	f.now = f.now.Add(51 * time.Hour)
	n, err := f.Cleanup(t.Context())
	f.wantErr("with a pending booking", err, nil)
	f.release("a_1_x", "u1", 1)
	m, err := f.Cleanup(t.Context())
	f.wantErr("without a pending booking", err, nil)
	if n != 0 || m != 1 {
		t.Errorf("deleted %d, then %d, want 0, then 1", n, m)
	}
	_, err = f.GetEvent(t.Context(), eventapi.GetRequest{EventID: "gala", ByAdmin: true})
	f.wantErr("get", err, event.ErrNotFound)
}

// A sweep, or FlushLinks at the end of the process, writes many links at once. A process
// that is killed loses its links, and a later sweep asks about their holds.
func TestLinksAreWrittenInBatches(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.settlements = map[string]bookingapi.Settlement{}
	for _, id := range []string{"a_1_x", "b_1_x", "c_1_x"} {
		f.reserve(id, "u1", 1)
		f.settlements[id] = bookingapi.Settlement{Live: true}
	}
	link := func(id string) { f.wantErr("created", f.OnBookingCreated(t.Context(), f.fact(id, "u1", 1)), nil) }
	link("a_1_x")
	link("a_1_x")
	link("b_1_x")
	f.ops = nil
	f.sweep(settleAfter)
	if n := len(slices.DeleteFunc(f.ops, func(op string) bool { return op != "holds.postpone" })); n != 2 { // the second one postpones c_1_x, which is live
		t.Errorf("got %d writes of links, want 2", n)
	}
	if want := []string{"c_1_x"}; !slices.Equal(f.asked, want) {
		t.Errorf("asked about %v, want %v", f.asked, want)
	}

	f.settlements["d_1_x"], f.settlements["e_1_x"] = bookingapi.Settlement{Live: true}, bookingapi.Settlement{Live: true}
	f.reserve("d_1_x", "u1", 1)
	f.reserve("e_1_x", "u1", 1)
	link("d_1_x")
	f.wantErr("flush", f.FlushLinks(t.Context()), nil)
	link("e_1_x")
	f.restart() // as if it were killed
	f.sweep(settleAfter)
	if want := []string{"e_1_x"}; !slices.Equal(f.asked, want) {
		t.Errorf("after a restart: asked about %v, want %v", f.asked, want)
	}
}
