package event_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/eventapi"
)

var errLost = errors.New("the connection was lost")

func TestConcurrentMovesShareAWrite(t *testing.T) {
	b := newBatchFixture(t, nil)
	b.reserve("z_1_x", "u9", 4)
	b.ops = nil
	// The batch of the duplicate waits for the inserts of the second batch. Otherwise it
	// could find a hold missing and finish the step itself, with two more operations.
	var reads atomic.Int64
	b.onOp = func(op string) error {
		if op == "events.read" && reads.Add(1) == 2 {
			b.waitHolds("a_1_x", "b_1_x", "d_1_x")
		}
		return nil
	}
	b.startFirst("a_1_x")
	five := b.enqueue(b.reserving("b_1_x", "u1", 5))
	none := b.enqueue(b.reserving("c_1_x", "u2", 3))
	duplicate := b.enqueue(b.reserving("b_1_x", "u1", 5))
	back := b.enqueue(b.releasing("z_1_x", "u9", 4))
	late := b.enqueue(b.reserving("d_1_x", "u3", 4))
	b.finish()

	b.wantErr("five seats", five(), nil)
	b.wantErr("more seats than the member before leaves", none(), event.ErrSoldOut)
	b.wantErr("a duplicate of the same hold", duplicate(), nil)
	b.wantErr("a release", back(), nil)
	b.wantErr("seats that the release before freed", late(), nil)
	b.wantSeats("in the end", 0, 10, 0)
	b.wantState("in the end", "z_1_x", event.Released)
	for _, id := range []string{"a_1_x", "b_1_x", "d_1_x"} {
		b.wantState("in the end", id, event.Held)
	}
	// There are three batches: the first, the second, and that of the duplicate, which
	// writes nothing. The operations after their writes may interleave.
	count := map[string]int{}
	for _, op := range b.ops {
		count[op]++
	}
	for op, want := range map[string]int{"events.read": 3, "holds.read": 3, "events.seats": 2, "holds.insert": 2, "holds.move": 1, "log.insert": 2} {
		if count[op] != want {
			t.Errorf("got %d × %s, want %d: %v", count[op], op, want, b.ops)
		}
	}
	if got := b.followers.Load(); got != 3 {
		t.Errorf("Follow was called %d times, want 3", got)
	}
}

// The reserves of one request share a batch. Each has its own result.
func TestReservesOfOneRequestShareABatch(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("z_1_x", "u9", 4)
	var ops []string
	var mu sync.Mutex
	gated := f.store.WithGate(func(op string) (before, after error) {
		mu.Lock()
		defer mu.Unlock()
		ops = append(ops, op)
		return nil, nil
	})
	svc := event.New(event.Config{
		Events: gated, Catalogue: gated, Holds: gated, Limits: gated, Log: gated, Bookings: f, Cache: eventtest.NoCache{}, Locks: eventtest.Unlocked{},
		Clock: f, IDs: f, HoldSettleAfter: settleAfter, Batches: eventtest.NewBatches(), Both: eventtest.InOrder, Observer: f, SweepParallel: 1,
	})
	invalid := f.hold("w_1_x", "u5", 0)
	got, err := svc.ReserveSeats(t.Context(), []eventapi.ReserveRequest{
		f.hold("a_1_x", "u1", 2), f.hold("b_1_x", "u2", 5), invalid, f.hold("z_1_x", "u9", 4), f.hold("c_1_x", "u3", 4),
	})
	if err != nil || len(got) != 5 {
		t.Fatalf("got results %v, %v, want 5", got, err)
	}
	f.wantErr("two seats", got[0].Err, nil)
	f.wantErr("five of four seats", got[1].Err, event.ErrSoldOut)
	f.wantErr("no seats", got[2].Err, apperr.InvalidFields())
	f.wantErr("a hold that exists", got[3].Err, nil)
	f.wantErr("four seats", got[4].Err, nil)
	f.wantSeats("in the end", 0, 10, 0)
	if want := []string{"events.read", "holds.read", "events.seats", "holds.insert", "log.insert"}; !slices.Equal(ops, want) {
		t.Errorf("got operations %v, want %v", ops, want)
	}

	many := make([]eventapi.ReserveRequest, eventapi.MaxReserves+1)
	for i := range many {
		many[i] = f.hold(f.NewID(), "u1", 1)
	}
	other := f.hold("y_1_x", "u1", 1)
	other.EventID = "other"
	for name, reqs := range map[string][]eventapi.ReserveRequest{
		"no reserves": nil, "too many": many, "a hold twice": {many[0], many[1], many[0]}, "two events": {many[0], other},
	} {
		_, err := svc.ReserveSeats(t.Context(), reqs)
		f.wantErr(name, err, apperr.InvalidFields())
	}
	f.wantSeats("after invalid requests", 0, 10, 0)
}

// A reserve that panics or hangs after its batch does not affect the process or the
// other reserves of its request.
func TestFailureAfterTheBatchIsContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.createGala(func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(10)) })
		f.reserve("z_1_x", "u9", 6)
		failures := map[string]func(ctx context.Context){
			"u1": func(context.Context) { panic("a bug") }, "u2": func(ctx context.Context) { <-ctx.Done() },
		}
		svc := (&hookedStore{Store: f.store, claims: func(context.Context, string) error { return nil }, limits: func(ctx context.Context, user string) error {
			if fail := failures[user]; fail != nil {
				fail(ctx)
			}
			return ctx.Err()
		}}).service(f, eventtest.NewBatches())
		got, err := svc.ReserveSeats(t.Context(), []eventapi.ReserveRequest{
			f.hold("a_1_x", "u1", 5), f.hold("b_1_x", "u2", 5), f.hold("c_1_x", "u3", 5), f.hold("d_1_x", "u4", 4),
		})
		if err != nil || got[0].Err == nil || !apperr.From(got[0].Err).Failure() {
			t.Fatalf("reserve that panics: got %v, %v, want a failure", got, err)
		}
		f.wantErr("reserve that hangs", got[1].Err, context.DeadlineExceeded)
		f.wantErr("reserve that is refused", got[2].Err, event.ErrSoldOut)
		f.wantErr("reserve that succeeds", got[3].Err, nil)
	})
}

// The seats of a member whose claim is denied are free for the members behind it.
func TestDeniedClaimFreesSeatsForLaterMembers(t *testing.T) {
	b := newBatchFixture(t, func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(4)) })
	b.reserve("z_1_x", "u1", 4)
	b.startFirst("a_1_x")
	denied := b.enqueue(b.reserving("b_1_x", "u1", 1))
	other := b.enqueue(b.reserving("c_1_x", "u2", 4))
	last := b.enqueue(b.reserving("d_1_x", "u3", 1))
	none := b.enqueue(b.reserving("e_1_x", "u4", 1))
	b.finish()
	b.wantErr("over the limit", denied(), event.ErrLimitExceeded)
	b.wantErr("four seats", other(), nil)
	b.wantErr("the seat of the denied member", last(), nil)
	b.wantErr("no seat left", none(), event.ErrSoldOut)
	b.wantSeats("in the end", 0, 10, 0)
	for user, want := range map[string]int64{"first": 1, "u1": 4, "u2": 4, "u3": 1, "u4": 0} {
		b.wantUsed("in the end", user, want)
	}
}

// The result of a failed write is unknown. A member that was refused because of the
// moves before it must therefore fail too, rather than report that the event is sold out.
func TestFailedWriteFailsTheWholeBatch(t *testing.T) {
	b := newBatchFixture(t, nil)
	b.onOp = func(op string) error {
		if op == "events.seats" {
			return errLost
		}
		return nil
	}
	b.startFirst("a_1_x")
	all := b.enqueue(b.reserving("b_1_x", "u1", 9))
	none := b.enqueue(b.reserving("c_1_x", "u2", 1))
	b.finish()
	b.wantErr("nine seats", all(), errLost)
	b.wantErr("more seats than the nine leave", none(), errLost)
	b.wantSeats("first batch only", 9, 1, 0)
	b.onOp = nil
	b.wantErr("retry", b.reserving("c_1_x", "u2", 1)(), nil)
}

// A leader that panics does not leave its followers waiting.
func TestLeaderPanicEndsItsBatch(t *testing.T) {
	b := newBatchFixture(t, nil)
	b.onOp = func(op string) error {
		if op == "events.read" {
			panic("a bug")
		}
		return nil
	}
	b.startFirst("a_1_x")
	b.enqueue(func() error {
		defer func() {
			if recover() == nil {
				t.Error("the leader did not panic")
			}
		}()
		return b.reserving("b_1_x", "u1", 1)()
	})
	follower := b.enqueue(b.reserving("c_1_x", "u2", 1))
	b.finish()
	if follower() == nil {
		t.Error("the follower succeeded, want an error")
	}
	b.onOp = nil
	b.wantErr("retry after the panic", b.reserving("c_1_x", "u2", 1)(), nil)
	b.wantSeats("the two successful reserves", 8, 2, 0)
}

// A request that is cancelled while it is queued is not in the batch. A leader that is
// cancelled still finishes the batch for its followers.
func TestCancelledRequestsDoNotAffectTheBatch(t *testing.T) {
	b := newBatchFixture(t, nil)
	leading, cancelLeader := context.WithCancel(t.Context())
	b.onOp = func(op string) error {
		if op == "events.seats" {
			cancelLeader()
		}
		return nil
	}
	b.startFirst("a_1_x")
	leader := b.enqueue(func() error {
		_, err := eventtest.Reserve(leading, b.svc, b.hold("b_1_x", "u1", 1))
		return err
	})
	waiting, cancelWaiting := context.WithCancel(t.Context())
	cancelled := b.enqueue(func() error {
		_, err := eventtest.Reserve(waiting, b.svc, b.hold("c_1_x", "u2", 1))
		return err
	})
	follower := b.enqueue(b.reserving("d_1_x", "u3", 1))
	cancelWaiting()
	b.wantErr("cancelled while queued", cancelled(), context.Canceled)
	b.finish()
	b.wantErr("the leader", leader(), nil)
	b.wantErr("the follower", follower(), nil)
	b.wantSeats("three of four reserves", 7, 3, 0)
	if _, exists := b.store.Contents().Holds["c_1_x"]; exists {
		t.Error("the cancelled reserve has a hold")
	}
}

// The size of a batch is bounded. Moves that do not fit join later batches.
func TestLargeQueueIsSplitIntoBatches(t *testing.T) {
	b := newBatchFixture(t, func(d *eventapi.Definition) { d.Capacity = 200 })
	b.startFirst("a_1_x")
	var results []func() error
	for i := range 100 {
		id := b.NewID()
		results = append(results, b.enqueue(b.reserving(id+"_1_x", "u"+id, int64(1+i%2))))
	}
	b.finish()
	for _, result := range results {
		b.wantErr("reserve", result(), nil)
	}
	b.wantSeats("all", 49, 151, 0)
	if got := len(slices.DeleteFunc(b.ops, func(op string) bool { return op != "events.seats" })); got != 5 {
		t.Errorf("got %d writes of the seats, want 5", got)
	}
}

// The entry of a claim whose reply was lost is given back if a later attempt of the
// batch refuses the reserve.
func TestEntryOfALostClaimIsGivenBack(t *testing.T) {
	b := newBatchFixture(t, func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(4)) })
	b.reserve("w_1_x", "w", 1)
	lost, stale := false, false
	b.onOp = func(op string) error {
		switch {
		case op == "limits.claim" && !lost:
			lost = true
			_, err := b.store.Claim(t.Context(), event.Claim{
				LimitKey: event.LimitKey{EventID: "gala", UserID: "u1"}, HoldID: "b_1_x", Quantity: 2, Max: 4, At: b.now,
			})
			b.wantErr("the claim", err, nil)
			return errLost
		case op == "events.seats" && !stale: // another process reserves all seats that are left
			stale = true
			b.reserve("y_1_x", "v1", 4)
			b.reserve("z_1_x", "v2", 4)
		}
		return nil
	}
	b.startFirst("a_1_x")
	refused := b.enqueue(b.reserving("b_1_x", "u1", 2))
	other := b.enqueue(func() error {
		return eventtest.Sell(t.Context(), b.svc, eventapi.SellRequest{HoldID: "w_1_x", EventID: "gala"})
	})
	b.finish()
	b.wantErr("the other member, whose move makes the batch write", other(), nil)
	b.wantErr("the member that is refused", refused(), event.ErrSoldOut)
	b.wantUsed("after a definite refusal", "u1", 0)
}

// A claim that hangs does not use up the time of the other members of its batch.
func TestHangingClaimDoesNotFailOtherMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.createGala(func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(4)) })
		store := &hookedStore{Store: f.store, claims: func(ctx context.Context, user string) error {
			if user != "u1" {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		svc := store.service(f, eventtest.NewBatches())
		errs := map[string]error{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, user := range []string{"u1", "u2", "u3"} {
			wg.Go(func() {
				_, err := eventtest.Reserve(t.Context(), svc, f.hold(user+"_1_x", user, 1))
				mu.Lock()
				defer mu.Unlock()
				errs[user] = err
			})
		}
		wg.Wait()
		f.wantErr("member whose claim hangs", errs["u1"], context.DeadlineExceeded)
		f.wantErr("second member", errs["u2"], nil)
		f.wantErr("third member", errs["u3"], nil)
	})
}

// A panic in a claim fails only its member. If the leader of a batch panics while it
// inserts the holds, a follower may succeed only if its hold was inserted.
func TestPanicsInABatchAreContained(t *testing.T) {
	b := newBatchFixture(t, func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(4)) })
	store := &hookedStore{Store: b.store, first: func() {
		b.mu.Lock()
		b.hasStopped = true
		b.mu.Unlock()
		<-b.firstWrite
	}}
	store.claims = func(_ context.Context, user string) error {
		if user == "u1" {
			panic("a bug")
		}
		return nil
	}
	store.inserts = func(holds []event.Hold) {
		if len(holds) == 2 {
			panic("another bug")
		}
	}
	b.svc = store.service(b.fixture, b.batches)
	b.startFirst("a_1_x")
	b.enqueue(func() error {
		defer func() { _ = recover() }()
		return b.reserving("b_1_x", "u2", 1)()
	})
	claimer := b.enqueue(b.reserving("c_1_x", "u1", 1))
	follower := b.enqueue(b.reserving("d_1_x", "u3", 1))
	b.finish()
	if claimer() == nil {
		t.Error("the member whose claim panicked succeeded, want an error")
	}
	if _, exists := b.store.Contents().Holds["d_1_x"]; follower() == nil && !exists {
		t.Error("the follower succeeded without a hold")
	}
}
