package event_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/coalesce"
	"boxoffice/shared/contract/eventapi"
)

var errLost = errors.New("the connection was lost")

// crowd is a service whose moves share writes. The first round waits before its
// write, so that the moves of a test come together in the second.
type crowd struct {
	*fixture
	svc     *event.Service
	batches *coalesce.Group[*event.Member]
	joined  atomic.Int64
	wg      sync.WaitGroup

	mu     sync.Mutex
	second bool          // the first round has come to its write
	writes chan struct{} // it may go on
	onOp   func(op string) error
}

func newCrowd(t *testing.T, change func(*eventapi.Definition)) *crowd {
	c := &crowd{fixture: newFixture(t), writes: make(chan struct{})}
	c.open(change)
	gated := c.store.Through(func(op string) (before, after error) {
		c.mu.Lock()
		c.ops = append(c.ops, op)
		first := op == "events.seats" && !c.second
		c.second = c.second || first
		second, onOp := c.second && !first, c.onOp
		c.mu.Unlock()
		if first {
			<-c.writes
		}
		if second && onOp != nil {
			return onOp(op), nil
		}
		return nil, nil
	})
	c.batches = event.NewBatches(func(_, _ context.Context) func() {
		c.joined.Add(1)
		return nil
	})
	c.svc = event.New(event.Config{
		Events: gated, Catalogue: gated, Holds: gated, Limits: gated, Bookings: c, Batches: c.batches,
		Locks: eventtest.Unlocked{}, Clock: c, IDs: c, HoldSettleAfter: settleAfter,
	})
	return c
}

// begin starts a move when those before it wait, in their order.
func (c *crowd) begin(move func() error) (result func() error) {
	c.t.Helper()
	waiting := c.batches.Queued("gala")
	done := make(chan struct{})
	var err error
	c.wg.Go(func() {
		defer close(done)
		err = move()
	})
	c.waiting(waiting + 1)
	return func() error {
		<-done
		return err
	}
}

// waiting returns when so many wait.
func (c *crowd) waiting(n int) {
	c.t.Helper()
	for end := time.Now().Add(10 * time.Second); c.batches.Queued("gala") != n; {
		if time.Now().After(end) {
			c.t.Fatalf("%d wait, want %d", c.batches.Queued("gala"), n)
		}
		time.Sleep(time.Millisecond)
	}
}

// lead begins the first round, of a hold of one seat, and returns when it is about
// to write.
func (c *crowd) lead(id string) {
	c.t.Helper()
	c.wg.Go(func() { c.is(id, c.take(id, "first", 1)(), nil) })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		there := c.second
		c.mu.Unlock()
		if there {
			return
		}
		if time.Now().After(end) {
			c.t.Fatal("the first round never writes")
		}
	}
}

// goOn lets the first round write, and returns when all are through.
func (c *crowd) goOn() {
	close(c.writes)
	c.wg.Wait()
}

func (c *crowd) take(id, user string, quantity int64) func() error {
	return func() error {
		_, err := eventtest.Reserve(c.t.Context(), c.svc, c.hold(id, user, quantity))
		return err
	}
}

func (c *crowd) giveBack(id, user string, quantity int64) func() error {
	return func() error {
		_, err := c.svc.ReleaseSeats(c.t.Context(), eventapi.ReleaseRequest{HoldID: id, EventID: "gala", UserID: user, Quantity: quantity})
		return err
	}
}

func TestMovesThatComeTogetherShareAWrite(t *testing.T) {
	c := newCrowd(t, nil)
	c.reserve("z_1_x", "u9", 4)
	c.ops = nil
	c.lead("a_1_x")
	five := c.begin(c.take("b_1_x", "u1", 5))
	none := c.begin(c.take("c_1_x", "u2", 3))
	twin := c.begin(c.take("b_1_x", "u1", 5))
	back := c.begin(c.giveBack("z_1_x", "u9", 4))
	late := c.begin(c.take("d_1_x", "u3", 4))
	c.goOn()

	c.is("five seats", five(), nil)
	c.is("more than the one before leaves", none(), event.ErrSoldOut)
	c.is("the same hold again", twin(), nil)
	c.is("a release", back(), nil)
	c.is("what the release before has left", late(), nil)
	c.seats("in the end", 0, 10, 0)
	c.state("in the end", "z_1_x", event.Released)
	for _, id := range []string{"a_1_x", "b_1_x", "d_1_x"} {
		c.state("in the end", id, event.Held)
	}
	// The first, its followers, and the twin: what is after the writes may mix.
	count := map[string]int{}
	for _, op := range c.ops {
		count[op]++
	}
	for op, want := range map[string]int{"events.read": 3, "holds.read": 3, "events.seats": 2, "holds.insert": 2, "holds.move": 1} {
		if count[op] != want {
			t.Errorf("%d × %s, want %d: %v", count[op], op, want, c.ops)
		}
	}
	if got := c.joined.Load(); got != 3 {
		t.Errorf("%d were told whose round they are in, want 3", got)
	}
}

// Holds that come in one request share a round, and each has its own answer.
func TestReservesInOneRequest(t *testing.T) {
	f := newFixture(t)
	f.open(nil)
	f.reserve("z_1_x", "u9", 4)
	var ops []string
	var mu sync.Mutex
	gated := f.store.Through(func(op string) (before, after error) {
		mu.Lock()
		defer mu.Unlock()
		ops = append(ops, op)
		return nil, nil
	})
	svc := event.New(event.Config{
		Events: gated, Catalogue: gated, Holds: gated, Limits: gated, Bookings: f, Locks: eventtest.Unlocked{},
		Clock: f, IDs: f, HoldSettleAfter: settleAfter, Batches: eventtest.NewBatches(),
	})
	wrong := f.hold("w_1_x", "u5", 0)
	got, err := svc.ReserveSeats(t.Context(), []eventapi.ReserveRequest{
		f.hold("a_1_x", "u1", 2), f.hold("b_1_x", "u2", 5), wrong, f.hold("z_1_x", "u9", 4), f.hold("c_1_x", "u3", 4),
	})
	if err != nil || len(got) != 5 {
		t.Fatalf("got %v, %v", got, err)
	}
	f.is("two", got[0].Err, nil)
	f.is("five of four", got[1].Err, event.ErrSoldOut)
	f.is("none", got[2].Err, apperr.InvalidFields())
	f.is("one that is there", got[3].Err, nil)
	f.is("four", got[4].Err, nil)
	f.seats("in the end", 0, 10, 0)
	if want := []string{"events.read", "holds.read", "events.seats", "holds.insert"}; !slices.Equal(ops, want) {
		t.Errorf("it took %v, want %v", ops, want)
	}

	many := make([]eventapi.ReserveRequest, eventapi.MaxReserves+1)
	for i := range many {
		many[i] = f.hold(f.NewID(), "u1", 1)
	}
	other := f.hold("y_1_x", "u1", 1)
	other.EventID = "other"
	for name, reqs := range map[string][]eventapi.ReserveRequest{
		"none": nil, "too many": many, "one twice": {many[0], many[1], many[0]}, "two events": {many[0], other},
	} {
		_, err := svc.ReserveSeats(t.Context(), reqs)
		f.is(name, err, apperr.InvalidFields())
	}
	f.seats("nothing of these", 0, 10, 0)
}

// One of a request that panics or hangs after its round takes neither the process
// nor the others with it.
func TestOneOfARequestThatBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.open(func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(10)) })
		f.reserve("z_1_x", "u9", 6)
		breaks := map[string]func(ctx context.Context){
			"u1": func(context.Context) { panic("a bug") }, "u2": func(ctx context.Context) { <-ctx.Done() },
		}
		svc := (&crowded{Store: f.store, claims: func(context.Context, string) error { return nil }, limits: func(ctx context.Context, user string) error {
			if b := breaks[user]; b != nil {
				b(ctx)
			}
			return ctx.Err()
		}}).service(f, eventtest.NewBatches())
		got, err := svc.ReserveSeats(t.Context(), []eventapi.ReserveRequest{
			f.hold("a_1_x", "u1", 5), f.hold("b_1_x", "u2", 5), f.hold("c_1_x", "u3", 5), f.hold("d_1_x", "u4", 4),
		})
		if err != nil || got[0].Err == nil || !apperr.From(got[0].Err).Failure() {
			t.Fatalf("who panics: got %v, %v", got, err)
		}
		f.is("who hangs", got[1].Err, context.DeadlineExceeded)
		f.is("who is refused", got[2].Err, event.ErrSoldOut)
		f.is("who has seats", got[3].Err, nil)
	})
}

// The seats of one whom the limit refuses are there for those behind.
func TestWhoIsDeniedLeavesTheSeats(t *testing.T) {
	c := newCrowd(t, func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(4)) })
	c.reserve("z_1_x", "u1", 4)
	c.lead("a_1_x")
	denied := c.begin(c.take("b_1_x", "u1", 1))
	other := c.begin(c.take("c_1_x", "u2", 4))
	last := c.begin(c.take("d_1_x", "u3", 1))
	none := c.begin(c.take("e_1_x", "u4", 1))
	c.goOn()
	c.is("over the limit", denied(), event.ErrLimitExceeded)
	c.is("four", other(), nil)
	c.is("the seat of the denied", last(), nil)
	c.is("no seat", none(), event.ErrSoldOut)
	c.seats("in the end", 0, 10, 0)
	for user, want := range map[string]int64{"first": 1, "u1": 4, "u2": 4, "u3": 1, "u4": 0} {
		c.used("in the end", user, want)
	}
}

// What becomes of a shared write that failed nobody knows, so nobody is told that
// it sold out.
func TestASharedWriteThatFails(t *testing.T) {
	c := newCrowd(t, nil)
	c.onOp = func(op string) error {
		if op == "events.seats" {
			return errLost
		}
		return nil
	}
	c.lead("a_1_x")
	all := c.begin(c.take("b_1_x", "u1", 9))
	none := c.begin(c.take("c_1_x", "u2", 1))
	c.goOn()
	c.is("nine", all(), errLost)
	c.is("what they leave", none(), errLost)
	c.seats("the first one's", 9, 1, 0)
	c.onOp = nil
	c.is("again", c.take("c_1_x", "u2", 1)(), nil)
}

// The round of a leader that breaks down leaves nobody waiting.
func TestALeaderThatPanics(t *testing.T) {
	c := newCrowd(t, nil)
	c.onOp = func(op string) error {
		if op == "events.read" {
			panic("a bug")
		}
		return nil
	}
	c.lead("a_1_x")
	c.begin(func() error {
		defer func() {
			if recover() == nil {
				t.Error("the leader did not panic")
			}
		}()
		return c.take("b_1_x", "u1", 1)()
	})
	follower := c.begin(c.take("c_1_x", "u2", 1))
	c.goOn()
	if follower() == nil {
		t.Error("the follower was told that it has seats")
	}
	c.onOp = nil
	c.is("after that", c.take("c_1_x", "u2", 1)(), nil)
	c.seats("the two that went well", 8, 2, 0)
}

// Who gives up while it waits is not in the round, and a leader that gives up
// takes nobody with it.
func TestWhoGivesUp(t *testing.T) {
	c := newCrowd(t, nil)
	leading, leave := context.WithCancel(t.Context())
	c.onOp = func(op string) error {
		if op == "events.seats" {
			leave()
		}
		return nil
	}
	c.lead("a_1_x")
	leader := c.begin(func() error {
		_, err := eventtest.Reserve(leading, c.svc, c.hold("b_1_x", "u1", 1))
		return err
	})
	waiting, giveUp := context.WithCancel(t.Context())
	gone := c.begin(func() error {
		_, err := eventtest.Reserve(waiting, c.svc, c.hold("c_1_x", "u2", 1))
		return err
	})
	follower := c.begin(c.take("d_1_x", "u3", 1))
	giveUp()
	c.is("who gave up", gone(), context.Canceled)
	c.goOn()
	c.is("the leader", leader(), nil)
	c.is("the follower", follower(), nil)
	c.seats("three of four", 7, 3, 0)
	if _, there := c.store.Contents().Holds["c_1_x"]; there {
		t.Error("who gave up has a hold")
	}
}

// A round is bounded, and nobody is left over.
func TestACrowdGoesThrough(t *testing.T) {
	c := newCrowd(t, func(d *eventapi.Definition) { d.Capacity = 200 })
	c.lead("a_1_x")
	var results []func() error
	for i := range 100 {
		id := c.NewID()
		results = append(results, c.begin(c.take(id+"_1_x", "u"+id, int64(1+i%2))))
	}
	c.goOn()
	for _, result := range results {
		c.is("reserve", result(), nil)
	}
	c.seats("all", 49, 151, 0)
	if got := len(slices.DeleteFunc(c.ops, func(op string) bool { return op != "events.seats" })); got != 5 {
		t.Errorf("%d writes of the seats, want 5", got)
	}
}

// A claim whose reply was lost is given back when its round looks again and
// refuses.
func TestAClaimWhoseReplyIsLost(t *testing.T) {
	c := newCrowd(t, func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(4)) })
	c.reserve("w_1_x", "w", 1)
	lost, stale := false, false
	c.onOp = func(op string) error {
		switch {
		case op == "limits.claim" && !lost:
			lost = true
			_, err := c.store.Claim(t.Context(), event.Claim{
				LimitKey: event.LimitKey{EventID: "gala", UserID: "u1"}, HoldID: "b_1_x", Quantity: 2, Max: 4, At: c.now,
			})
			c.is("the claim", err, nil)
			return errLost
		case op == "events.seats" && !stale: // another process sells all that is left
			stale = true
			c.reserve("y_1_x", "v1", 4)
			c.reserve("z_1_x", "v2", 4)
		}
		return nil
	}
	c.lead("a_1_x")
	refused := c.begin(c.take("b_1_x", "u1", 2))
	other := c.begin(func() error { return c.svc.OnBookingConfirmed(t.Context(), c.fact("w_1_x", "w", 1)) })
	c.goOn()
	c.is("the other, for whom the round writes", other(), nil)
	c.is("who is refused", refused(), event.ErrSoldOut)
	c.used("after a definite refusal", "u1", 0)
}

// A claim of one does not take the time of its round from the others.
func TestAClaimThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.open(func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(4)) })
		holds := &crowded{Store: f.store, claims: func(ctx context.Context, user string) error {
			if user != "u1" {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		svc := holds.service(f, eventtest.NewBatches())
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
		f.is("whose claim hangs", errs["u1"], context.DeadlineExceeded)
		f.is("another", errs["u2"], nil)
		f.is("a third", errs["u3"], nil)
	})
}

// Who panics in a claim takes down neither the others nor the process, and nobody
// is told that he has seats by a round that broke off.
func TestPanicsInARound(t *testing.T) {
	c := newCrowd(t, func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(4)) })
	store := &crowded{Store: c.store, first: func() {
		c.mu.Lock()
		c.second = true
		c.mu.Unlock()
		<-c.writes
	}}
	store.claims = func(_ context.Context, user string) error {
		if user == "u1" {
			panic("a bug")
		}
		return nil
	}
	store.inserts = func(holds []event.Hold) {
		if len(holds) == 2 {
			panic("another")
		}
	}
	c.svc = store.service(c.fixture, c.batches)
	c.lead("a_1_x")
	c.begin(func() error {
		defer func() { _ = recover() }()
		return c.take("b_1_x", "u2", 1)()
	})
	claimer := c.begin(c.take("c_1_x", "u1", 1))
	follower := c.begin(c.take("d_1_x", "u3", 1))
	c.goOn()
	if claimer() == nil {
		t.Error("who panicked in the claim was told that he has seats")
	}
	if _, there := c.store.Contents().Holds["d_1_x"]; follower() == nil && !there {
		t.Error("the follower was told that it has a hold, and there is none")
	}
}

// crowded is a store with points at which a test may step in.
type crowded struct {
	*eventtest.Store
	once    sync.Once
	first   func() // before the first write of seats
	claims  func(ctx context.Context, user string) error
	limits  func(ctx context.Context, user string) error
	inserts func(holds []event.Hold)
}

func (s *crowded) service(f *fixture, batches event.Batcher) *event.Service {
	return event.New(event.Config{
		Events: s, Catalogue: s, Holds: s, Limits: s, Bookings: f, Locks: eventtest.Unlocked{},
		Clock: f, IDs: f, HoldSettleAfter: settleAfter, Batches: batches,
	})
}

func (s *crowded) GetLimit(ctx context.Context, key event.LimitKey) (event.Limit, error) {
	if s.limits != nil {
		if err := s.limits(ctx, key.UserID); err != nil {
			return event.Limit{}, err
		}
	}
	return s.Store.GetLimit(ctx, key)
}

func (s *crowded) WriteSeats(ctx context.Context, w event.SeatsWrite) error {
	if s.first != nil {
		s.once.Do(s.first)
	}
	return s.Store.WriteSeats(ctx, w)
}

func (s *crowded) Claim(ctx context.Context, c event.Claim) (event.ClaimResult, error) {
	if err := s.claims(ctx, c.UserID); err != nil {
		return event.ClaimRefused, err
	}
	return s.Store.Claim(ctx, c)
}

func (s *crowded) InsertHolds(ctx context.Context, holds []event.Hold) error {
	if s.inserts != nil {
		s.inserts(holds)
	}
	return s.Store.InsertHolds(ctx, holds)
}
