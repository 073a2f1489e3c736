package event_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

func (f *fixture) ReconcileBookings(_ context.Context, req bookingapi.ReconcileRequest) (bookingapi.ReconcilePage, error) {
	var page bookingapi.ReconcilePage
	for _, b := range f.live {
		if b.BookingID > req.Cursor {
			page.Bookings = append(page.Bookings, b)
		}
	}
	slices.SortFunc(page.Bookings, func(a, b bookingapi.LiveBooking) int { return strings.Compare(a.BookingID, b.BookingID) })
	if len(page.Bookings) > req.Limit {
		page.Bookings = page.Bookings[:req.Limit]
		page.Next = page.Bookings[req.Limit-1].BookingID
	}
	return page, f.settleErr
}

func (f *fixture) ReportDrift(_ context.Context, r eventapi.Reconciliation) {
	f.reports = append(f.reports, r)
}

func (f *fixture) CountComparison(_ context.Context, outcome event.Compared) {
	f.counted = append(f.counted, outcome)
}

func (f *fixture) wait(_ context.Context, d time.Duration) error {
	f.now = f.now.Add(d)
	if f.onWait != nil {
		f.onWait()
	}
	return nil
}

// book reserves a hold of one seat for a booking with the given status, and sells it if the
// booking is confirmed.
func (f *fixture) book(id, status string) {
	f.t.Helper()
	holdID := id + "_1_x"
	f.reserve(holdID, "u1", 1)
	if f.live == nil {
		f.live = map[string]bookingapi.LiveBooking{}
	}
	f.live[holdID] = bookingapi.LiveBooking{BookingID: id, HoldID: holdID, Quantity: 1, Status: status}
	f.settlements[holdID] = bookingapi.Settlement{Live: true, Confirmed: status == bookingapi.StatusConfirmed}
	if status == bookingapi.StatusConfirmed {
		f.wantErr("sell", f.OnBookingConfirmed(f.t.Context(), f.fact(holdID, "u1", 1)), nil)
	}
}

// cancelBooking makes the booking of a hold dead, and leaves the hold as it is.
func (f *fixture) cancelBooking(holdID string) {
	delete(f.live, holdID)
	delete(f.settlements, holdID)
}

// driftLine returns a difference, and the action that mended it, as text.
func driftLine(d eventapi.Drift, action string) string {
	line := d.Kind
	if d.HoldID != "" {
		line += " " + d.BookingID + " " + d.HoldID
	}
	if d.Counters != nil {
		line += fmt.Sprintf(" %d %d %d, want %d %d %d", d.Counters.Available, d.Counters.Held, d.Counters.Sold, d.Holds.Available, d.Holds.Held, d.Holds.Sold)
	}
	if action != "" {
		line += ": " + action
	}
	return line
}

func driftLines(drift []eventapi.Drift) (lines []string) {
	for _, d := range drift {
		lines = append(lines, driftLine(d, ""))
	}
	return lines
}

func mendLines(mended []eventapi.Mend) (lines []string) {
	for _, m := range mended {
		lines = append(lines, driftLine(m.Drift, m.Action))
	}
	return lines
}

func (f *fixture) reconcile(mend bool) eventapi.Reconciliation {
	f.t.Helper()
	r, err := f.ReconcileEvent(f.t.Context(), eventapi.ReconcileRequest{EventID: "gala", Mend: mend})
	f.wantErr("reconcile", err, nil)
	if r.EventID != "gala" || !r.CheckedAt.Equal(f.now) || r.DriftTotal < len(r.Drift) {
		f.t.Errorf("got event %q, time %s and %d differences, want gala, %s and at least %d", r.EventID, r.CheckedAt, r.DriftTotal, f.now, len(r.Drift))
	}
	return r
}

// newDriftFixture returns an event with three bookings: a is pending, b and c are confirmed.
// There is no drift.
func newDriftFixture(t *testing.T) *fixture {
	f := newFixture(t)
	f.createGala(nil)
	f.book("a", bookingapi.StatusPending)
	f.book("b", bookingapi.StatusConfirmed)
	f.book("c", bookingapi.StatusConfirmed)
	f.now = f.now.Add(settleAfter)
	return f
}

func TestReconcileFindsAndMendsDrift(t *testing.T) {
	setState := func(id string, state event.HoldState) func(f *fixture) {
		return func(f *fixture) {
			f.store.Tamper("gala", func(_ *event.Seats, holds map[string]event.Hold) {
				h := holds[id]
				h.State = state
				holds[id] = h
			})
		}
	}
	setCounters := func(available, held, sold int64) func(f *fixture) {
		return func(f *fixture) {
			f.store.Tamper("gala", func(seats *event.Seats, _ map[string]event.Hold) {
				seats.Available, seats.Held, seats.Sold = available, held, sold
			})
		}
	}
	for _, tt := range []struct {
		name   string
		tamper func(f *fixture)
		want   []string
		mended []string
		seats  [3]int64 // afterwards
		rest   []string // the drift that cannot be mended
	}{
		{name: "no drift", tamper: func(*fixture) {}, seats: [3]int64{7, 1, 2}},
		{
			name: "a pending booking is dead", tamper: func(f *fixture) { f.cancelBooking("a_1_x") },
			want: []string{"booking_not_live a a_1_x"}, mended: []string{"booking_not_live a a_1_x: released"}, seats: [3]int64{8, 0, 2},
		},
		{
			name: "a confirmed booking is dead", tamper: func(f *fixture) { f.cancelBooking("b_1_x") },
			want: []string{"booking_not_live b b_1_x"}, mended: []string{"booking_not_live b b_1_x: released"}, seats: [3]int64{8, 1, 1},
		},
		{
			name: "a live booking has no hold", tamper: func(f *fixture) { f.release("a_1_x", "u1", 1); f.now = f.now.Add(settleAfter) },
			want: []string{"hold_missing a a_1_x"}, rest: []string{"hold_missing a a_1_x"}, seats: [3]int64{8, 0, 2},
		},
		{
			name: "the hold of a confirmed booking is held", tamper: func(f *fixture) {
				f.live["a_1_x"] = bookingapi.LiveBooking{BookingID: "a", HoldID: "a_1_x", Quantity: 1, Status: bookingapi.StatusConfirmed}
				f.settlements["a_1_x"] = bookingapi.Settlement{Live: true, Confirmed: true}
			},
			want: []string{"hold_not_sold a a_1_x"}, mended: []string{"hold_not_sold a a_1_x: sold"}, seats: [3]int64{7, 0, 3},
		},
		{
			name: "a booking has another quantity", tamper: func(f *fixture) {
				f.live["a_1_x"] = bookingapi.LiveBooking{BookingID: "a", HoldID: "a_1_x", Quantity: 2, Status: bookingapi.StatusPending}
			},
			want: []string{"quantity_differs a a_1_x"}, rest: []string{"quantity_differs a a_1_x"}, seats: [3]int64{7, 1, 2},
		},
		{
			name: "a seat is lost", tamper: setCounters(6, 1, 2),
			want:   []string{"counters_differ 6 1 2, want 7 1 2"},
			mended: []string{"counters_differ 6 1 2, want 7 1 2: counters_written"}, seats: [3]int64{7, 1, 2},
		},
		{
			name: "a counter differs", tamper: setCounters(5, 3, 2),
			want:   []string{"counters_differ 5 3 2, want 7 1 2"},
			mended: []string{"counters_differ 5 3 2, want 7 1 2: counters_written"}, seats: [3]int64{7, 1, 2},
		},
		{
			// The move of the hold is lost: the counters and the log have it, the hold does not.
			name: "a hold lost its move", tamper: setState("b_1_x", event.Held),
			want: []string{"counters_differ 7 1 2, want 7 2 1", "hold_not_sold b b_1_x"},
			mended: []string{
				"counters_differ 7 1 2, want 7 2 1: counters_written", "hold_not_sold b b_1_x: sold",
			}, seats: [3]int64{7, 1, 2},
		},
		{
			name: "the holds exceed the capacity", tamper: func(f *fixture) {
				f.store.Tamper("gala", func(seats *event.Seats, _ map[string]event.Hold) { seats.Capacity = 2 })
			},
			want: []string{"counters_differ 7 1 2, want -1 1 2"}, rest: []string{"counters_differ 7 1 2, want -1 1 2"}, seats: [3]int64{7, 1, 2},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newDriftFixture(t)
			tt.tamper(f)
			f.reports = nil
			f.sweepMarks()
			before, writes := f.store.Contents(), f.store.Writes()
			r := f.reconcile(false)
			if got := driftLines(r.Drift); !slices.Equal(got, tt.want) || len(r.Mended) > 0 || !r.Complete {
				t.Errorf("got drift %q, mended %v, complete %v, want %q, none and true", got, r.Mended, r.Complete, tt.want)
			}
			if f.store.Writes() != writes {
				t.Errorf("a reconciliation without a mend wrote: before %+v, after %+v", before, f.store.Contents())
			}
			if want := min(len(tt.want), 1); len(f.reports) != want {
				t.Errorf("got %d reports, want %d", len(f.reports), want)
			}

			r = f.reconcile(true)
			if got := mendLines(r.Mended); !slices.Equal(got, tt.mended) {
				t.Errorf("got mended %q, want %q", got, tt.mended)
			}
			f.wantSeats("mended", tt.seats[0], tt.seats[1], tt.seats[2])
			f.now = f.now.Add(settleAfter)
			if got := driftLines(f.reconcile(true).Drift); !slices.Equal(got, tt.rest) {
				t.Errorf("after the mend: got drift %q, want %q", got, tt.rest)
			}
			if tt.name != "the holds exceed the capacity" {
				f.wantLogSum("mended")
			}
		})
	}
}

// sweepMarks lets a sweep remove all marks, so that a comparison has nothing to finish.
func (f *fixture) sweepMarks() {
	f.t.Helper()
	settlements := f.settlements
	f.settlements = map[string]bookingapi.Settlement{}
	for id := range f.store.Contents().Holds { // the sweep must not settle the drift
		f.settlements[id] = bookingapi.Settlement{Live: true}
	}
	f.sweep(settleAfter)
	f.settlements = settlements
}

// wantLogSum checks that the log adds up to the counters.
func (f *fixture) wantLogSum(what string) {
	f.t.Helper()
	c := f.store.Contents()
	s := c.Events["gala"].Seats
	if got, want := c.LogSum("gala"), (event.Change{Available: s.Available, Held: s.Held, Sold: s.Sold}); got != want {
		f.t.Errorf("%s: the log adds up to %+v, want the counters %+v", what, got, want)
	}
}

func TestReconcileRefusals(t *testing.T) {
	f := newDriftFixture(t)
	_, err := f.ReconcileEvent(t.Context(), eventapi.ReconcileRequest{EventID: "none"})
	f.wantErr("an unknown event", err, event.ErrNotFound)
	_, err = f.ReconcileEvent(t.Context(), eventapi.ReconcileRequest{})
	f.wantErr("no event", err, apperr.InvalidFields())
	f.settleErr = errLost
	_, err = f.ReconcileEvent(t.Context(), eventapi.ReconcileRequest{EventID: "gala"})
	f.wantErr("the booking app is unreachable", err, errLost)
}

// Work in flight is not drift: recent holds, and differences that are gone after a while.
func TestReconcileIgnoresWorkInFlight(t *testing.T) {
	f := newDriftFixture(t)
	f.reserve("new_1_x", "u1", 1) // its booking does not exist yet
	f.cancelBooking("b_1_x")      // its release is under way
	f.live["c_1_x"] = bookingapi.LiveBooking{BookingID: "c", HoldID: "c_2_x", Quantity: 1, Status: bookingapi.StatusPending}
	f.onWait = func() {
		f.release("b_1_x", "u1", 1)
		f.cancelBooking("a_1_x") // only the second comparison sees this
		f.live["c_1_x"] = bookingapi.LiveBooking{BookingID: "c", HoldID: "c_1_x", Quantity: 1, Status: bookingapi.StatusConfirmed}
	}
	if r := f.reconcile(true); len(r.Drift) != 0 || len(r.Mended) != 0 || !r.Complete {
		t.Errorf("got %+v, want no drift", r)
	}

	f.release("a_1_x", "u1", 1)
	// A process stopped between the counters and the hold. The comparison finishes the step.
	svc := f.stopAt("holds.insert")
	if _, err := eventtest.Reserve(t.Context(), svc, f.hold("late_1_x", "u1", 1)); err == nil {
		t.Fatal("got no error, want that of the crash")
	}
	f.onWait = nil
	if r := f.reconcile(false); len(r.Drift) != 0 {
		t.Errorf("got %+v, want no drift", r)
	}
	if len(f.reports) != 0 {
		t.Errorf("got the reports %+v, want none", f.reports)
	}
}

// If seats move during each comparison, the counters are not compared.
func TestReconcileSaysWhenSeatsMoveDuringIt(t *testing.T) {
	f := newDriftFixture(t)
	f.store.Tamper("gala", func(seats *event.Seats, _ map[string]event.Hold) { seats.Held++ })
	f.onOp = func(op string) {
		if op == "holds.counted" {
			f.reserve(f.NewID()+"_1_x", "u1", 1)
		}
	}
	if r := f.reconcile(false); r.Complete || len(r.Drift) > 0 {
		t.Errorf("got %+v, want an incomplete reconciliation without drift", r)
	}
	r := f.reconcile(true) // the holds of each attempt are stale
	if len(r.Mended) > 0 {
		t.Errorf("got %+v, want no mends", r)
	}
	f.onOp = nil
	if r := f.reconcile(true); !r.Complete || len(r.Mended) != 1 {
		t.Errorf("got %+v, want one mend", r)
	}
}

// Seats move after a mend has read the holds, and before it writes the counters. The mend
// starts again, so that the move is not lost.
func TestMendStartsAgainWhenSeatsMove(t *testing.T) {
	f := newDriftFixture(t)
	f.store.Tamper("gala", func(seats *event.Seats, _ map[string]event.Hold) { seats.Available, seats.Held = 6, 2 })
	moved := false
	f.onOp = func(op string) {
		if op == "log.list" && !moved {
			moved = true
			f.reserve("new_1_x", "u1", 1)
		}
	}
	if r := f.reconcile(true); len(r.Mended) != 1 || !moved {
		t.Errorf("got %+v, want one mend", r)
	}
	f.wantSeats("mended", 6, 2, 2)
	f.wantLogSum("mended")
	if live := f.store.Contents().Events["gala"].Seats.Live; live != 4 {
		t.Errorf("got %d live holds, want 4", live)
	}
}

// Holds and bookings are read page by page, in orders that differ slightly.
func TestReconcileReadsAllPages(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.Capacity = 5000 })
	for i := range 1200 {
		f.book(fmt.Sprintf("b%d", i), bookingapi.StatusPending)
		f.book(fmt.Sprintf("b%d-", i), bookingapi.StatusPending)
	}
	f.now = f.now.Add(settleAfter)
	if r := f.reconcile(false); len(r.Drift) != 0 || !r.Complete {
		t.Errorf("got %+v, want no drift", r)
	}
	for i := range 150 {
		f.cancelBooking(fmt.Sprintf("b%d_1_x", i*7))
	}
	if r := f.reconcile(false); len(r.Drift) != eventapi.MaxDrift || r.DriftTotal != 150 {
		t.Errorf("got %d of %d differences, want %d of 150", len(r.Drift), r.DriftTotal, eventapi.MaxDrift)
	}
	if r := f.reconcile(true); len(r.Mended) != eventapi.MaxDrift {
		t.Errorf("got %d mends, want %d", len(r.Mended), eventapi.MaxDrift)
	}
	if r := f.reconcile(true); len(r.Mended) != 50 || r.DriftTotal != 50 {
		t.Errorf("got %d mends of %d differences, want 50", len(r.Mended), r.DriftTotal)
	}
	f.wantSeats("mended", 5000-2250, 2250, 0)
	f.wantLogSum("mended")

	// A comparison that takes too long ends early.
	f.onOp = func(op string) {
		if op == "holds.counted" {
			f.now = f.now.Add(2 * time.Second)
		}
	}
	if r := f.reconcile(false); r.Complete {
		t.Errorf("got %+v, want an incomplete reconciliation", r)
	}
}

// The hourly job compares all events in turn, and the sweep compares once more before it
// reports a difference that may be work in flight. Neither mends anything.
func TestJobReportsDrift(t *testing.T) {
	f := newDriftFixture(t)
	for _, id := range []string{"first", "last"} {
		_, err := f.CreateEvent(t.Context(), eventapi.CreateRequest{EventID: id, OrganizerID: "admin", Event: f.define(func(d *eventapi.Definition) { d.Name = id })})
		f.wantErr("create", err, nil)
	}
	f.store.Tamper("last", func(seats *event.Seats, _ map[string]event.Hold) { seats.Sold++ })
	f.cancelBooking("b_1_x")
	f.cancelBooking("c_1_x")
	cleanUp := func() {
		t.Helper()
		_, err := f.Cleanup(t.Context())
		f.wantErr("clean up", err, nil)
	}
	reported := func(what string, want ...string) {
		t.Helper()
		var got []string
		for _, r := range f.reports {
			for _, d := range r.Drift {
				got = append(got, r.EventID+" "+driftLine(d, ""))
			}
			if len(r.Mended) > 0 || r.DriftTotal == 0 {
				t.Errorf("%s: got the report %+v, want drift and no mends", what, r)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got reports of %q, want %q", what, got, want)
		}
		f.reports = nil
	}
	// The bookings of the fixture belong to gala, so the other events have live bookings
	// without holds.
	bookings := f.live
	f.live = map[string]bookingapi.LiveBooking{"a_1_x": bookings["a_1_x"]}
	cleanUp()
	reported("the job", "last counters_differ 10 0 1, want 10 0 0")
	f.release("c_1_x", "u1", 1) // it was in flight
	f.sweep(settleAfter - time.Millisecond)
	reported("too early")
	f.sweep(time.Millisecond)
	reported("the sweep", "first hold_missing a a_1_x", "gala booking_not_live b b_1_x", "last hold_missing a a_1_x")
	f.sweep(settleAfter)
	reported("the next sweep")
	f.wantState("not mended", "b_1_x", event.Sold)

	// The job remembers where it ran out of time.
	var compared []string
	f.onOp = func(op string) {
		if op == "holds.counted" {
			compared = append(compared, op)
			f.now = f.now.Add(7 * time.Second)
		}
	}
	cleanUp()
	cleanUp()
	if n := len(compared); n != 3 {
		t.Errorf("two jobs compared %d events, want the 3 once each", n)
	}
	f.settleErr = errLost
	_, err := f.Cleanup(t.Context())
	f.wantErr("the booking app is unreachable", err, errLost)
}

// Seats are sold while an admin mends the counters. No move is lost.
func TestMendIsCorrectUnderConcurrentSales(t *testing.T) {
	for range 20 {
		store := eventtest.NewStore()
		b := &concurrentBookings{live: map[string]bookingapi.LiveBooking{}}
		svc := event.New(event.Config{
			Observer: eventtest.NoObserver{}, SweepParallel: 1,
			Events: store, Catalogue: store, Holds: store, Limits: store, Log: store, Bookings: b, Drifts: eventtest.Unreported{}, Cache: eventtest.NoCache{},
			Locks: eventtest.Unlocked{}, Batches: eventtest.NewBatches(), Clock: b, IDs: b, HoldSettleAfter: settleAfter,
			Wait: func(context.Context, time.Duration) error { return nil },
		})
		d := eventapi.Definition{Name: "Gala", Capacity: 1000, StartsAt: contract.At(b.Now().Add(48 * time.Hour)), EndsAt: contract.At(b.Now().Add(50 * time.Hour))}
		if _, err := svc.CreateEvent(t.Context(), eventapi.CreateRequest{EventID: "gala", OrganizerID: "admin", Event: d}); err != nil {
			t.Fatal(err)
		}
		store.Tamper("gala", func(seats *event.Seats, _ map[string]event.Hold) { seats.Available, seats.Held = 900, 100 })
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for n := range 25 {
					id := fmt.Sprintf("b%d-%d", i, n)
					b.add(id)
					_, err := eventtest.Reserve(t.Context(), svc, eventapi.ReserveRequest{
						HoldID: id + "_1_x", EventID: "gala", UserID: "u", Quantity: 1, ExpiresAt: contract.At(b.Now().Add(time.Hour)),
					})
					if err != nil {
						t.Errorf("reserve: %v", err)
					}
				}
			})
		}
		mend := func() eventapi.Reconciliation {
			r, err := svc.ReconcileEvent(t.Context(), eventapi.ReconcileRequest{EventID: "gala", Mend: true})
			if err != nil && !errors.Is(err, event.ErrStale) {
				t.Errorf("reconcile: %v", err)
			}
			return r
		}
		wg.Go(func() {
			for range 10 {
				mend()
			}
		})
		wg.Wait()
		mend()
		c := store.Contents()
		seats := c.Events["gala"].Seats
		if got, want := c.LogSum("gala"), (event.Change{Available: 900, Held: 100}); got != want || seats.Held != 100 || seats.Available != 900 {
			t.Fatalf("got %+v and a log that adds up to %+v, want 900 available and 100 held", seats, got)
		}
		if r := mend(); r.DriftTotal != 0 || !r.Complete {
			t.Errorf("in the end: got %+v, want no drift", r)
		}
	}
}

// concurrentBookings is a booking app whose bookings are all pending. Its clock stands still.
type concurrentBookings struct {
	mu   sync.Mutex
	live map[string]bookingapi.LiveBooking
}

func (b *concurrentBookings) add(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live[id] = bookingapi.LiveBooking{BookingID: id, HoldID: id + "_1_x", Quantity: 1, Status: bookingapi.StatusPending}
}

func (b *concurrentBookings) SettleHolds(_ context.Context, holdIDs []string) ([]rpc.Result[bookingapi.Settlement], error) {
	results := make([]rpc.Result[bookingapi.Settlement], len(holdIDs))
	for i := range results {
		results[i].Data.Live = true
	}
	return results, nil
}

func (b *concurrentBookings) ReconcileBookings(context.Context, bookingapi.ReconcileRequest) (bookingapi.ReconcilePage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var page bookingapi.ReconcilePage
	for _, one := range b.live {
		page.Bookings = append(page.Bookings, one)
	}
	slices.SortFunc(page.Bookings, func(a, b bookingapi.LiveBooking) int { return cmp.Compare(a.BookingID, b.BookingID) })
	return page, nil
}

func (b *concurrentBookings) Now() time.Time { return time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC) }

func (b *concurrentBookings) NewID() string { return "id" }
