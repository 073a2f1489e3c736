package event_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// service returns another process over the fixture's store. gate is called before each
// operation of its store.
func (f *fixture) service(gate eventtest.Gate) *event.Service {
	store := f.store.WithGate(gate)
	return event.New(event.Config{
		Events: store, Catalogue: store, Holds: store, Limits: store, Log: store, Bookings: f, Drifts: f, Observer: f,
		Locks: eventtest.Unlocked{}, Batches: eventtest.Unbatched{}, Clock: f, IDs: f, HoldSettleAfter: settleAfter,
		Both: eventtest.InOrder, Cache: eventtest.NoCache{}, SweepParallel: 1,
	})
}

// A crash of the booking app leaves many holds. A sweep settles all of them, in calls of many.
func TestSweepDrainsTheBacklogOfHolds(t *testing.T) {
	f := newFixture(t)
	const many = 300
	f.createGala(func(d *eventapi.Definition) { d.Capacity = many })
	for i := range many {
		f.reserve(fmt.Sprintf("b%d_1_x", i), "u1", 1)
	}
	f.sweep(settleAfter)
	if f.settleCalls > many/bookingapi.MaxSettles+3 {
		t.Errorf("got %d calls, want about one for each %d holds", f.settleCalls, bookingapi.MaxSettles)
	}
	f.wantSeats("settled", many, 0, 0)
}

// Two sweeps at the same time ask about different holds.
func TestSweepsClaimTheHoldsThatTheySettle(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	for _, id := range []string{"a_1_x", "b_1_x", "c_1_x"} {
		f.reserve(id, "u1", 1)
	}
	f.now = f.now.Add(settleAfter)
	other, once := f.service(func(string) (before, after error) { return nil, nil }), false
	first := f.service(func(op string) (before, after error) {
		if op == "holds.claim" && !once {
			once = true
			f.wantErr("other sweep", other.Sweep(t.Context()), nil)
		}
		return nil, nil
	})
	f.wantErr("first sweep", first.Sweep(t.Context()), nil)
	if want := []string{"a_1_x", "b_1_x", "c_1_x"}; !slices.Equal(f.asked, want) {
		t.Errorf("asked about %v, want each of %v once", f.asked, want)
	}
}

// A sweep that dies after its claim delays its holds, but does not lose them.
func TestClaimedHoldsAreDueAgain(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("a_1_x", "u1", 2)
	f.now = f.now.Add(settleAfter)
	f.settleErr = errors.New("killed")
	f.wantErr("sweep", f.Sweep(t.Context()), f.settleErr)
	f.settleErr = nil
	f.sweep(time.Second)
	f.wantSeats("claimed", 8, 2, 0)
	f.sweep(time.Minute)
	f.wantSeats("due again", 10, 0, 0)
}

// One answer that fails does not keep the other holds of the call from being settled.
func TestSweepSettlesTheOtherHoldsOfACall(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	for _, id := range []string{"dead_1_x", "fails_1_x", "pending_1_x", "sold_1_x"} {
		f.reserve(id, "u1", 1)
	}
	f.settlements = map[string]bookingapi.Settlement{"pending_1_x": {Live: true}, "sold_1_x": {Live: true, Confirmed: true}}
	refused := apperr.New(apperr.Invalid, "", "")
	f.unsettled = map[string]error{"fails_1_x": refused}
	f.now = f.now.Add(settleAfter)
	f.wantErr("sweep", f.Sweep(t.Context()), refused)
	f.wantSeats("settled", 7, 2, 1)
}

// An event whose booking was confirmed and then cancelled has sold tickets, even if the event
// app never heard of the confirmation.
func TestReleaseOfAConfirmedBookingCountsAsASale(t *testing.T) {
	for _, tt := range []struct {
		name    string
		release func(f *fixture)
		want    bool
	}{
		{"released by the booking app", func(f *fixture) {
			req := releaseOf("a_1_x", "u1", 1)
			req.WasConfirmed = true
			f.wantErr("release", eventtest.Release(t.Context(), f.Service, req), nil)
		}, true},
		{"released by the fact", func(f *fixture) {
			fact := f.fact("a_1_x", "u1", 1)
			f.settlements["a_1_x"] = bookingapi.Settlement{Confirmed: true}
			f.wantErr("fact", f.OnBookingCancelled(t.Context(), fact), nil)
		}, true},
		{"released by the sweep", func(f *fixture) {
			f.settlements = map[string]bookingapi.Settlement{"a_1_x": {Confirmed: true}}
			f.sweep(settleAfter)
		}, true},
		{"never confirmed", func(f *fixture) { f.release("a_1_x", "u1", 1) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.createGala(nil)
			f.reserve("a_1_x", "u1", 1)
			tt.release(f)
			f.wantSeats("released", 10, 0, 0)
			f.now = f.now.Add(100 * 24 * time.Hour)
			n, err := f.Cleanup(t.Context())
			if err != nil || (n == 0) != tt.want {
				t.Errorf("cleanup: got %d deleted events, %v, want none: %v", n, err, tt.want)
			}
		})
	}
}

func TestSellSeatsIsIdempotent(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("a_1_x", "u1", 2)
	f.reserve("gone_1_x", "u1", 1)
	f.release("gone_1_x", "u1", 1)
	for range 2 {
		results, err := f.SellSeats(t.Context(), []eventapi.SellRequest{
			{HoldID: "a_1_x", EventID: "gala"}, {HoldID: "gone_1_x", EventID: "gala"}, {HoldID: "unknown_1_x", EventID: "gala"},
		})
		f.wantErr("sell", err, nil)
		for i, r := range results {
			f.wantErr(fmt.Sprint("result ", i), r.Err, nil)
		}
		f.wantSeats("sold", 8, 0, 2)
	}
	results, err := f.SellSeats(t.Context(), []eventapi.SellRequest{{HoldID: "a_1_x", EventID: "unknown"}})
	if err != nil || len(results) != 1 || results[0].Err != nil {
		t.Errorf("unknown event: got %v, %v, want no error", results, err)
	}
	results, err = f.SellSeats(t.Context(), []eventapi.SellRequest{{HoldID: "a.b", EventID: "gala"}})
	if err != nil || len(results) != 1 || apperr.From(results[0].Err).Code != apperr.Invalid {
		t.Errorf("malformed hold: got %v, %v, want it refused as invalid", results, err)
	}
	for _, reqs := range [][]eventapi.SellRequest{{}, {{HoldID: "a_1_x", EventID: "gala"}, {HoldID: "a_1_x", EventID: "gala"}}} {
		if _, err := f.SellSeats(t.Context(), reqs); apperr.From(err).Code != apperr.Invalid {
			t.Errorf("%d requests: got %v, want them refused as invalid", len(reqs), err)
		}
	}
}

// A process reserves the hold, without a limit, while a sweep looks for it. The entry of an
// earlier attempt must be given back, because nothing else would do so.
func TestSweepGivesBackTheEntryOfAHoldThatAppearsWithoutALimit(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(4)) })
	req := f.hold("a_1_x", "u1", 2)
	if _, err := eventtest.Reserve(t.Context(), f.stopAt("events.seats"), req); err == nil {
		t.Fatal("the reserve did not stop after its claim")
	}
	f.now = f.now.Add(2 * settleAfter)
	isFirst := true
	sweeper := f.service(func(op string) (before, after error) {
		if op == "events.read" && isFirst { // the first read of the tombstone's batch
			isFirst = false
			unlimited := f.service(func(string) (before, after error) { return nil, nil })
			f.wantErr("drop the limit", f.update(unlimited, eventapi.Changes{MaxPerUser: contract.Clear[int64]()}), nil)
			_, err := eventtest.Reserve(t.Context(), unlimited, req)
			f.wantErr("reserve without a limit", err, nil)
		}
		return nil, nil
	})
	f.wantErr("sweep", sweeper.Sweep(t.Context()), nil)
	f.wantState("reserved", "a_1_x", event.Held)
	for key, l := range f.store.Contents().Limits {
		if len(l.By) > 0 {
			t.Errorf("limit %s: got entries %v, want none", key, l.By)
		}
	}
}

// Two sweeps at the same time settle different limits, and read the holds of many in one call.
func TestSweepDrainsTheBacklogOfLimits(t *testing.T) {
	f := newFixture(t)
	const users = 300
	f.createGala(func(d *eventapi.Definition) { d.Capacity, d.MaxPerUser = users, ptr(int64(1)) })
	for i := range users {
		f.reserve(fmt.Sprintf("b%d_1_x", i), fmt.Sprint("u", i), 1)
		f.wantErr("created", f.OnBookingCreated(t.Context(), f.fact(fmt.Sprintf("b%d_1_x", i), fmt.Sprint("u", i), 1)), nil)
	}
	f.wantErr("flush", f.FlushLinks(t.Context()), nil)
	f.now = f.now.Add(2 * settleAfter)
	reads := 0
	sweeper := f.service(func(op string) (before, after error) {
		if op == "holds.read" {
			reads++
		}
		return nil, nil
	})
	f.wantErr("sweep", sweeper.Sweep(t.Context()), nil)
	for key, l := range f.store.Contents().Limits {
		if !l.ClaimedAt.IsZero() {
			t.Fatalf("limit %s still has a stamp", key)
		}
	}
	if reads > 10 {
		t.Errorf("got %d reads of holds, want one for each page", reads)
	}
}

func TestSweepDrainsTheBacklogOfMarks(t *testing.T) {
	f := newFixture(t)
	const events = 300
	for i := range events {
		id := fmt.Sprint("e", i)
		def := f.define(nil)
		def.Name = id
		_, err := f.CreateEvent(t.Context(), eventapi.CreateRequest{EventID: id, OrganizerID: "admin", Event: def})
		f.wantErr("create", err, nil)
		req := f.hold(id+"_1_x", "u1", 1)
		req.EventID = id
		_, err = eventtest.Reserve(t.Context(), f.Service, req)
		f.wantErr("reserve", err, nil)
		f.wantErr("created", f.OnBookingCreated(t.Context(), f.fact(id+"_1_x", "u1", 1)), nil)
	}
	f.sweep(2 * settleAfter)
	for id, e := range f.store.Contents().Events {
		if len(e.Seats.Marks)+len(e.Seats.Entries) > 0 {
			t.Fatalf("event %s still has %d marks and %d entries", id, len(e.Seats.Marks), len(e.Seats.Entries))
		}
	}
	if len(f.backlog) == 0 {
		t.Error("got no report of a backlog")
	}
}

// A page of marks that cannot be cleared ends the sweep of marks, but not that of holds.
func TestSweepOfMarksEndsWithoutProgress(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("a_1_x", "u1", 1)
	f.now = f.now.Add(2 * settleAfter)
	broken := errors.New("broken")
	sweeper := f.service(func(op string) (before, after error) {
		if op == "events.read" {
			return broken, nil
		}
		return nil, nil
	})
	f.wantErr("sweep", sweeper.Sweep(t.Context()), broken)
	if f.settleCalls != 1 {
		t.Errorf("got %d calls about holds, want one", f.settleCalls)
	}
}

func TestSweepReportsHowLongTheOldestHoldIsDue(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("a_1_x", "u1", 1)
	f.now = f.now.Add(settleAfter + 7*time.Second)
	f.wantErr("sweep", f.Sweep(t.Context()), nil)
	if !slices.Contains(f.backlog, "holds 7s") {
		t.Errorf("got %v, want holds 7s", f.backlog)
	}
}

// A cleanup deletes more events than fit on a page.
func TestCleanupDrainsItsBacklog(t *testing.T) {
	f := newFixture(t)
	const events = 1100
	for i := range events {
		def := f.define(nil)
		def.Name = fmt.Sprint("Gala ", i)
		_, err := f.CreateEvent(t.Context(), eventapi.CreateRequest{EventID: fmt.Sprint("e", i), OrganizerID: "admin", Event: def})
		f.wantErr("create", err, nil)
	}
	f.now = f.now.Add(100 * 24 * time.Hour)
	if n, err := f.Cleanup(t.Context()); err != nil || n != events {
		t.Errorf("got %d deleted events, %v, want %d", n, err, events)
	}
}

func (f *fixture) update(svc *event.Service, changes eventapi.Changes) error {
	_, err := svc.UpdateEvent(context.Background(), eventapi.UpdateRequest{EventID: "gala", ChangeID: f.NewID(), Changes: changes})
	return err
}

// The direct call comes first and the fact after it. The fact then reads nothing.
func TestFactAboutAReleasedHoldReadsNothing(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("a_1_x", "u1", 1)
	f.reserve("b_1_x", "u1", 2)
	ops := 0
	svc := f.service(func(string) (before, after error) { ops++; return nil, nil })
	f.wantErr("release", eventtest.Release(t.Context(), svc, releaseOf("a_1_x", "u1", 1)), nil)
	ops = 0
	f.wantErr("fact", svc.OnBookingExpired(t.Context(), f.fact("a_1_x", "u1", 1)), nil)
	if ops != 0 {
		t.Errorf("got %d operations, want none", ops)
	}
	f.wantErr("fact about another hold", svc.OnBookingExpired(t.Context(), f.fact("b_1_x", "u1", 2)), nil)
	f.wantSeats("both released", 10, 0, 0)
}

// A release that fails after the seats moved is not remembered: the fact must finish it.
func TestFactFinishesAReleaseThatFailed(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(4)) })
	f.reserve("a_1_x", "u1", 1)
	broken := errors.New("broken")
	fails := true
	svc := f.service(func(op string) (before, after error) {
		if op == "limits.giveback" && fails {
			return broken, nil
		}
		return nil, nil
	})
	f.wantErr("release", eventtest.Release(t.Context(), svc, releaseOf("a_1_x", "u1", 1)), broken)
	fails = false
	f.wantErr("fact", svc.OnBookingExpired(t.Context(), f.fact("a_1_x", "u1", 1)), nil)
	for key, l := range f.store.Contents().Limits {
		if len(l.By) > 0 {
			t.Errorf("limit %s: got entries %v, want none", key, l.By)
		}
	}
}
