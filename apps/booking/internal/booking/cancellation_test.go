package booking_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// The consumer of facts must not wait for the bookings of a large event.
func TestEventCancelledStoresAJobAndReturns(t *testing.T) {
	f := newJobFixture(t)
	f.book("gala", 3)
	var ops []string
	svc := f.process(func(op string) (before, after error) {
		ops = append(ops, op)
		return nil, nil
	})
	f.eventCancelled(svc, "gala")
	if want := []string{"cancellations.read", "cancellations.insert"}; !slices.Equal(ops, want) {
		t.Errorf("got operations %v, want %v", ops, want)
	}
	f.wantCancelled("before the job", "gala", 0)
	f.wantDone("before the job", "gala", false)
}

func TestCancellationCancelsTheLiveBookingsOfItsEvent(t *testing.T) {
	f := newJobFixture(t)
	const many = 3*pageOfJob + 67
	f.book("gala", many)
	other := f.book("other", 1)[0]
	f.advance(1000 * time.Hour) // no cut-off applies
	svc := f.process(nil)
	f.eventCancelled(svc, "gala")
	f.eventCancelled(svc, "gala")
	f.wantWorked("job", svc, nil)
	f.wantCancelled("job", "gala", many)
	f.wantDone("job", "gala", true)
	if c := f.store.Cancellations()["gala"]; c.Cancelled != many {
		t.Errorf("got %d bookings counted, want %d", c.Cancelled, many)
	}
	if len(f.released) != many || f.releases != 3*4+3 || len(f.published) != many || f.paced != many {
		t.Errorf("got %d holds released in %d calls, %d bookings published and %d paced, want %d in 15 calls, and all published and paced",
			len(f.released), f.releases, len(f.published), f.paced, many)
	}
	if b := f.store.Contents()[other]; b.State != booking.Confirmed {
		t.Errorf("booking of the other event: got state %s, want confirmed", b.State)
	}

	// A repeated fact finds nothing to do, or a booking that was created meanwhile.
	f.eventCancelled(svc, "gala")
	f.wantDone("repeated fact", "gala", false)
	f.wantWorked("repeated fact", svc, nil)
	f.book("gala", 1)
	f.wantWorked("without a fact", svc, nil)
	f.wantCancelled("without a fact", "gala", many)
	f.eventCancelled(svc, "gala")
	f.wantWorked("late booking", svc, nil)
	f.wantCancelled("late booking", "gala", many+1)
	f.wantDone("late booking", "gala", true)
	for id, n := range f.released {
		if n != 1 {
			t.Errorf("hold %s was released %d times, want once", id, n)
		}
	}
}

// A process may be killed before any of its operations. Another process then continues the
// job when the lease ends.
func TestCancellationContinuesAfterACrash(t *testing.T) {
	const many = pageOfJob + 12
	crash := errors.New("crashed")
	for stopAt := 1; ; stopAt++ {
		f := newJobFixture(t)
		f.book("gala", many)
		f.eventCancelled(f.process(nil), "gala")
		var n atomic.Int64
		crashing := f.process(func(string) (before, after error) {
			if n.Add(1) >= int64(stopAt) {
				return crash, nil
			}
			return nil, nil
		})
		err := crashing.ContinueCancellations(t.Context())
		if err == nil {
			if stopAt < many {
				t.Errorf("the job needed only %d operations for %d bookings", stopAt-1, many)
			}
			return
		}
		survivor := f.process(nil)
		c := f.store.Cancellations()["gala"]
		_, isDone := c.PurgeAt()
		isClaimed := c.Claim != ""
		f.wantWorked("during the lease", survivor, nil)
		if got := f.store.Cancellations()["gala"]; isClaimed && !isDone && got != c {
			t.Fatalf("operation %d: got job %+v, want it left to its claim %+v", stopAt, got, c)
		}
		f.advance(leaseOfJob)
		f.wantWorked("after the lease", survivor, nil)
		f.wantCancelled("after the lease", "gala", many)
		f.wantDone("after the lease", "gala", true)
		if t.Failed() {
			t.Fatalf("crash before operation %d", stopAt)
		}
	}
}

// A process that is suspended with a claim loses the job when the lease ends. It does not
// disturb the process that has claimed the job since.
func TestSuspendedProcessLosesItsClaim(t *testing.T) {
	for _, op := range []string{"bookings.live", "bookings.replace", "cancellations.replace"} {
		t.Run(op, func(t *testing.T) {
			f := newJobFixture(t)
			const many = 2*pageOfJob + 1
			f.book("gala", many)
			suspended, resume := make(chan struct{}), make(chan struct{})
			var calls atomic.Int64
			first := f.process(func(next string) (before, after error) {
				// The first write of the job is the claim.
				if next == op && calls.Add(1) == 2 {
					close(suspended)
					<-resume
				}
				return nil, nil
			})
			f.eventCancelled(first, "gala")
			var wg sync.WaitGroup
			wg.Go(func() { f.wantWorked("first process", first, nil) })
			<-suspended
			second := f.process(nil)
			f.wantWorked("second process during the lease", second, nil)
			f.wantDone("during the lease", "gala", false)
			f.advance(leaseOfJob)
			f.wantWorked("second process after the lease", second, nil)
			f.wantCancelled("after the lease", "gala", many)
			done := f.store.Cancellations()["gala"]
			close(resume)
			wg.Wait()
			f.wantCancelled("in the end", "gala", many)
			f.wantDone("in the end", "gala", true)
			if got := f.store.Cancellations()["gala"]; got != done {
				t.Errorf("got job %+v, want it as the second process left it: %+v", got, done)
			}
		})
	}
}

// A booking may be created after the job has looked for the last time. The event app then
// repeats the fact, which keeps the job from being done.
func TestFactDuringTheLastLookCausesAnother(t *testing.T) {
	f := newJobFixture(t)
	f.book("gala", 3)
	looks := 0
	svc := f.process(func(op string) (before, after error) {
		if op == "bookings.live" {
			looks++
		}
		if op == "cancellations.replace" && looks == 2 { // the job is about to be done
			looks++
			f.book("gala", 1)
			f.eventCancelled(f.process(nil), "gala")
		}
		return nil, nil
	})
	f.eventCancelled(svc, "gala")
	f.wantWorked("job", svc, nil)
	f.wantCancelled("job", "gala", 4)
	f.wantDone("job", "gala", true)
}

// failingStore is a store whose writes of some bookings fail.
type failingStore struct {
	booking.Store
	fail func(ctx context.Context, id string) error
}

func (s failingStore) ReplaceBooking(ctx context.Context, b booking.Booking, state booking.State, holdNumber int64, facts ...booking.Fact) error {
	if err := s.fail(ctx, b.ID); err != nil {
		return err
	}
	return s.Store.ReplaceBooking(ctx, b, state, holdNumber, facts...)
}

// Bookings that cannot be cancelled, that hang or that make the process panic do not keep
// the job from the others. It is not done before they are cancelled.
func TestBookingThatFailsDoesNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newJobFixture(t)
		const many = 2*pageOfJob + 50
		ids := f.book("gala", many)
		bad := map[string]func(ctx context.Context) error{
			ids[0]:           func(context.Context) error { return errDown },
			ids[1]:           func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			ids[pageOfJob+1]: func(context.Context) error { panic("a bug") },
			ids[many-1]:      func(context.Context) error { return errDown },
		}
		svc := f.processOver(f.store, failingStore{f.store, func(ctx context.Context, id string) error {
			if do := bad[id]; do != nil {
				return do(ctx)
			}
			return nil
		}})
		f.eventCancelled(svc, "gala")
		for range 2 {
			began := time.Now()
			err := svc.ContinueCancellations(t.Context())
			if !errors.Is(err, errDown) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "a bug") {
				t.Errorf("got %v, want the errors of all bad bookings", err)
			}
			if d := time.Since(began); d > leaseOfJob {
				t.Errorf("got an attempt of %s, want less than the lease of %s", d, leaseOfJob)
			}
			f.wantCancelled("with bad bookings", "gala", many-len(bad))
			f.wantDone("with bad bookings", "gala", false)
			f.wantWorked("during the pause", svc, nil)
			f.advance(5 * time.Second)
		}
		clear(bad)
		f.wantWorked("healed", svc, nil)
		f.wantCancelled("healed", "gala", many)
		f.wantDone("healed", "gala", true)
	})
}

// A page of bookings that all fail looks like a failure of the store, so the job pauses.
// It then continues behind them.
func TestPageThatFailsPausesTheJob(t *testing.T) {
	f := newJobFixture(t)
	ids := f.book("gala", pageOfJob+1)
	bad := map[string]bool{}
	for _, id := range ids[:pageOfJob] {
		bad[id] = true
	}
	svc := f.processOver(f.store, failingStore{f.store, func(_ context.Context, id string) error {
		if bad[id] {
			return errDown
		}
		return nil
	}})
	f.eventCancelled(svc, "gala")
	f.wantWorked("first page", svc, errDown)
	f.wantCancelled("first page", "gala", 0)
	f.advance(5 * time.Second)
	_ = svc.ContinueCancellations(t.Context()) // the last page succeeds, and then the next pass fails
	f.wantCancelled("second page", "gala", 1)
	clear(bad)
	f.advance(5 * time.Second)
	f.wantWorked("healed", svc, nil)
	f.wantCancelled("healed", "gala", pageOfJob+1)
	f.wantDone("healed", "gala", true)
}

// While the event app hangs, the records are cancelled all the same. The event app
// releases the seats later.
func TestCancellationContinuesWhileTheEventAppHangs(t *testing.T) {
	f := newJobFixture(t)
	f.releaseErr = errUnknown
	f.book("gala", 3*pageOfJob)
	svc := f.process(nil)
	f.eventCancelled(svc, "gala")
	f.wantWorked("job", svc, nil)
	f.wantCancelled("job", "gala", 3*pageOfJob)
	f.wantDone("job", "gala", true)
	if f.releases != 1 || len(f.published) != 3*pageOfJob {
		t.Errorf("got %d calls and %d bookings published, want 1 and %d", f.releases, len(f.published), 3*pageOfJob)
	}
}

// A job is never more than a page ahead of the bus, so that an outage of the bus does not
// end with the facts of a whole event in front of those of other events.
func TestCancellationDoesNotRunAheadOfTheBus(t *testing.T) {
	f := newJobFixture(t)
	f.publishErr = errDown
	f.book("gala", 3*pageOfJob)
	svc := f.process(nil)
	f.eventCancelled(svc, "gala")
	for page := 1; page <= 2; page++ {
		f.wantWorked("without a bus", svc, errDown)
		f.wantCancelled("without a bus", "gala", page*pageOfJob)
		if len(f.released) != page*pageOfJob {
			t.Errorf("got %d holds released, want %d", len(f.released), page*pageOfJob)
		}
		f.wantWorked("during the pause", svc, nil)
		f.advance(5 * time.Second)
	}
	f.publishErr = nil
	f.wantWorked("with a bus", svc, nil)
	f.wantCancelled("with a bus", "gala", 3*pageOfJob)
	f.wantDone("with a bus", "gala", true)
}

// A small event does not wait until a large one is done.
func TestJobsTakeTurns(t *testing.T) {
	f := newJobFixture(t)
	const many = 17 * pageOfJob
	f.book("large", many)
	f.book("small", 3)
	svc := f.process(nil)
	f.eventCancelled(svc, "large")
	f.advance(time.Millisecond)
	f.eventCancelled(svc, "small")
	f.wantWorked("jobs", svc, nil)
	f.wantDone("large", "large", true)
	f.wantDone("small", "small", true)
	last := slices.IndexFunc(f.published, func(id string) bool { return strings.HasPrefix(id, "small") })
	if want := 16 * pageOfJob; last != want {
		t.Errorf("got the small event after %d bookings, want %d", last, want)
	}
}

// Users and the sweep may change bookings while a job works.
func TestCancellationRacesWithOtherChanges(t *testing.T) {
	f := newJobFixture(t)
	ids := f.book("gala", 60)
	svc, other := f.process(nil), f.process(nil)
	f.advance(ttl - time.Nanosecond)
	f.eventCancelled(svc, "gala")
	var wg sync.WaitGroup
	wg.Go(func() { f.wantWorked("job", svc, nil) })
	wg.Go(func() {
		for i, id := range ids {
			if i%3 != 0 { // the confirmed ones need the event app
				_, _ = other.CancelBooking(t.Context(), bookingapi.CancelRequest{BookingID: id, UserID: "u1"})
			}
		}
	})
	wg.Go(func() {
		f.advance(time.Second)
		_, _ = other.Sweep(t.Context())
	})
	wg.Wait()
	f.wantDone("in the end", "gala", true)
	for id, b := range f.store.Contents() {
		if b.IsLive() || f.released[b.HoldID] != 1 {
			t.Errorf("booking %s is %s and was released %d times, want it not live and released once", id, b.State, f.released[b.HoldID])
		}
	}
}

func TestRunCancellationsWorksWhenItStartsAndWhenItIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newJobFixture(t)
		f.book("first", 2)
		f.book("second", 2)
		f.book("third", 2)
		f.eventCancelled(f.process(nil), "first") // the process dies before it works
		svc := f.process(nil)
		ctx, stop := context.WithCancel(t.Context())
		var reported []error
		var result error
		var wg sync.WaitGroup
		wg.Go(func() {
			result = svc.RunCancellations(ctx, func(_ context.Context, err error) { reported = append(reported, err) })
		})
		synctest.Wait()
		f.wantDone("start", "first", true)
		f.eventCancelled(svc, "second")
		synctest.Wait()
		f.wantDone("fact", "second", true)
		f.eventCancelled(f.process(nil), "third") // in another process
		synctest.Wait()
		f.wantDone("fact in another process", "third", false)
		f.mu.Lock()
		f.publishErr = errDown
		f.mu.Unlock()
		svc.WakeCancellations()
		svc.WakeCancellations()
		synctest.Wait()
		f.wantCancelled("wake-up", "third", 2)
		if len(reported) != 1 || !errors.Is(reported[0], errDown) {
			t.Errorf("got reports %v, want one of %v", reported, errDown)
		}
		stop()
		wg.Wait()
		if !errors.Is(result, context.Canceled) {
			t.Errorf("got %v, want %v", result, context.Canceled)
		}
	})
}

// A process that stops gives its claim up, so that another one continues at once.
func TestStoppingProcessGivesItsClaimUp(t *testing.T) {
	f := newJobFixture(t)
	const many = 4 * pageOfJob
	f.book("gala", many)
	ctx, stop := context.WithCancel(t.Context())
	looks := 0
	svc := f.process(func(op string) (before, after error) {
		if op == "bookings.live" {
			if looks++; looks == 3 {
				stop()
			}
		}
		return nil, nil
	})
	f.eventCancelled(svc, "gala")
	if err := svc.ContinueCancellations(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	f.wantCancelled("stopped", "gala", 2*pageOfJob)
	f.wantWorked("another process", f.process(nil), nil)
	f.wantCancelled("another process", "gala", many)
	f.wantDone("another process", "gala", true)
}

// If the database fails, the fact is delivered again.
func TestEventCancelledFailsWithTheStore(t *testing.T) {
	f := newJobFixture(t)
	svc := f.process(func(string) (before, after error) { return errDown, nil })
	if err := svc.OnEventCancelled(t.Context(), eventapi.Fact{Resource: eventapi.Event{ID: "gala"}}); !errors.Is(err, errDown) {
		t.Errorf("got %v, want %v", err, errDown)
	}
	f.wantWorked("job", svc, errDown)
	if len(f.store.Cancellations()) != 0 {
		t.Errorf("got jobs %v, want none", f.store.Cancellations())
	}
}

// A fact alone cancels nothing: the event app must say that the event is cancelled.
func TestEventCancelledAsksTheEventApp(t *testing.T) {
	for name, tt := range map[string]struct {
		event       eventapi.Event
		err         error
		isRedeliver bool // whether the fact is delivered again
	}{
		"published":             {event: eventapi.Event{ID: "gala", Status: eventapi.StatusPublished}},
		"a draft":               {event: eventapi.Event{ID: "gala", Status: eventapi.StatusDraft}},
		"unknown or deleted":    {err: apperr.New(apperr.NotFound, eventapi.ReasonNotFound, "")},
		"the app hangs":         {err: apperr.TimedOut(errDown)},
		"the app is down":       {err: apperr.Unreachable(errDown)},
		"the app is overloaded": {err: apperr.Overloaded(time.Second), isRedeliver: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newJobFixture(t)
			f.event = func(string) (eventapi.Event, error) { return tt.event, tt.err }
			svc := f.process(nil)
			err := svc.OnEventCancelled(t.Context(), eventapi.Fact{Resource: eventapi.Event{ID: "gala", Status: eventapi.StatusCancelled}})
			if (err != nil) != tt.isRedeliver || err != nil && apperr.VerdictOf(err) == apperr.Refused {
				t.Errorf("got %v, want another delivery: %v", err, tt.isRedeliver)
			}
			f.wantWorked("job", svc, nil)
			if jobs := f.store.Cancellations(); len(jobs) != 0 {
				t.Errorf("got jobs %v, want none", jobs)
			}
			f.event = nil
			f.eventCancelled(svc, "gala")
			f.wantWorked("the event app answers", svc, nil)
			f.wantDone("the event app answers", "gala", true)
		})
	}
}
