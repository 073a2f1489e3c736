package event_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/eventapi"
)

func releaseOf(id, user string, quantity int64) eventapi.ReleaseRequest {
	return eventapi.ReleaseRequest{HoldID: id, EventID: "gala", UserID: user, Quantity: quantity}
}

// countingService returns a service whose moves are batched, and a function that returns
// how often each operation was called since its last call. Operations for which fail
// returns an error have no effect. fail may be nil.
func (f *fixture) countingService(fail func(op string) error) (svc *event.Service, ops func() map[string]int) {
	var mu sync.Mutex
	count := map[string]int{}
	gated := f.store.WithGate(func(op string) (before, after error) {
		mu.Lock()
		defer mu.Unlock()
		count[op]++
		if fail != nil {
			before = fail(op)
		}
		return before, nil
	})
	svc = event.New(event.Config{
		Observer: eventtest.NoObserver{}, SweepParallel: 1,
		Events: gated, Catalogue: gated, Holds: gated, Limits: gated, Log: gated, Bookings: f, Cache: eventtest.NoCache{}, Locks: eventtest.Unlocked{},
		Clock: f, IDs: f, HoldSettleAfter: settleAfter, Batches: eventtest.NewBatches(),
	})
	return svc, func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		was := count
		count = map[string]int{}
		return was
	}
}

func TestReleasesOfOneRequestShareAWrite(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.Capacity = 100 })
	var reqs []eventapi.ReleaseRequest
	for i := range eventapi.MaxReserves {
		id := fmt.Sprintf("h%d_1_x", i)
		f.reserve(id, "u1", 2)
		reqs = append(reqs, releaseOf(id, "u1", 2))
	}
	svc, ops := f.countingService(nil)
	for range 2 { // the second request finds nothing to do
		results, err := svc.ReleaseSeats(t.Context(), reqs)
		if err != nil || len(results) != len(reqs) {
			t.Fatalf("got %d results, %v, want %d", len(results), err, len(reqs))
		}
		for i, r := range results {
			f.wantErr(reqs[i].HoldID, r.Err, nil)
			f.wantState("released", reqs[i].HoldID, event.Released)
		}
		f.wantSeats("released", 100, 0, 0)
	}
	got := ops()
	for op, want := range map[string]int{"events.read": 2, "holds.read": 2, "events.seats": 1, "holds.move": 1} {
		if got[op] != want {
			t.Errorf("got %d × %s, want %d: %v", got[op], op, want, got)
		}
	}
}

func TestEachReleaseOfARequestHasItsOwnResult(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(9)) })
	f.reserve("held_1_x", "u1", 2)
	f.reserve("sold_1_x", "u1", 3)
	f.reserve("kept_1_x", "u2", 1)
	f.reserve("stuck_1_x", "u2", 1)
	f.wantErr("sell", f.OnBookingConfirmed(t.Context(), f.fact("sold_1_x", "u1", 3)), nil)
	svc, _ := f.countingService(nil)
	mixed := releaseOf("kept_1_x", "u2", 0)
	results, err := svc.ReleaseSeats(t.Context(), []eventapi.ReleaseRequest{
		releaseOf("held_1_x", "u1", 2), mixed, releaseOf("sold_1_x", "u1", 3), releaseOf("unknown_1_x", "u3", 1),
	})
	if err != nil || len(results) != 4 {
		t.Fatalf("got %v, %v, want 4 results", results, err)
	}
	f.wantErr("held", results[0].Err, nil)
	f.wantErr("no quantity", results[1].Err, apperr.InvalidFields())
	f.wantErr("sold", results[2].Err, nil)
	f.wantErr("unknown", results[3].Err, nil)
	f.wantSeats("in the end", 8, 2, 0)
	f.wantState("in the end", "kept_1_x", event.Held)
	f.wantState("tombstone", "unknown_1_x", event.Released)
	f.wantUsed("in the end", "u1", 0)

	// A step that cannot be finished fails its own release only. The seats have moved, and
	// the sweep finishes the step.
	f.reserve("fine_1_x", "u1", 1)
	isFirst := true
	svc, _ = f.countingService(func(op string) error {
		if op == "limits.giveback" && isFirst {
			isFirst = false
			return errLost
		}
		return nil
	})
	results, err = svc.ReleaseSeats(t.Context(), []eventapi.ReleaseRequest{releaseOf("stuck_1_x", "u2", 1), releaseOf("fine_1_x", "u1", 1)})
	if err != nil || len(results) != 2 || (results[0].Err == nil) == (results[1].Err == nil) {
		t.Fatalf("got %v, %v, want one success and one failure", results, err)
	}
	f.wantSeats("after the failure", 9, 1, 0)
	f.sweep(settleAfter + 1)
	f.sweep(0)
	f.wantUsed("swept", "u1", 0)
}

func TestReleasesAfterTheEventWasDeleted(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	_, err := f.DeleteEvent(t.Context(), f.change("gala"))
	f.wantErr("delete", err, nil)
	results, err := f.ReleaseSeats(t.Context(), []eventapi.ReleaseRequest{releaseOf("a_1_x", "u1", 1)})
	if err != nil || results[0].Err != nil {
		t.Errorf("got %v, %v, want a success", results, err)
	}
	f.wantState("released without an event", "a_1_x", event.Released)
}

func TestReleaseRefusesInvalidLists(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("a_1_x", "u1", 1)
	many := make([]eventapi.ReleaseRequest, eventapi.MaxReserves+1)
	for i := range many {
		many[i] = releaseOf(f.NewID(), "u1", 1)
	}
	a, other := releaseOf("a_1_x", "u1", 1), releaseOf("b_1_x", "u1", 1)
	other.EventID = "other"
	for name, tt := range map[string]struct {
		reqs []eventapi.ReleaseRequest
		want string
	}{
		"no releases":  {nil, "data:out_of_range"},
		"too many":     {many, "data:out_of_range"},
		"a hold twice": {[]eventapi.ReleaseRequest{a, many[0], a}, "holdId:duplicate"},
		"two events":   {[]eventapi.ReleaseRequest{a, other}, "eventId:mixed"},
	} {
		_, err := f.ReleaseSeats(t.Context(), tt.reqs)
		if got := strings.Join(invalidFields(err), " "); got != tt.want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, tt.want)
		}
	}
	f.wantSeats("after invalid requests", 9, 1, 0)
}
