package event_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/coalesce"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/kit"
)

// batchFixture is a service whose moves are batched. Its first batch stops before the
// write of the seats. The moves that a test enqueues meanwhile form the second batch.
type batchFixture struct {
	*fixture
	svc       *event.Service
	batches   *coalesce.Group[*event.Member]
	followers atomic.Int64
	wg        sync.WaitGroup

	mu         sync.Mutex
	hasStopped bool          // the first batch has reached its write
	firstWrite chan struct{} // closed to let the first batch write
	// onOp is called before each operation once the first batch has stopped. If it returns
	// an error, the operation fails. It may be nil.
	onOp func(op string) error
}

func newBatchFixture(t *testing.T, change func(*eventapi.Definition)) *batchFixture {
	b := &batchFixture{fixture: newFixture(t), firstWrite: make(chan struct{})}
	b.createGala(change)
	gated := b.store.WithGate(func(op string) (before, after error) {
		b.mu.Lock()
		b.ops = append(b.ops, op)
		isFirst := op == "events.seats" && !b.hasStopped
		b.hasStopped = b.hasStopped || isFirst
		isLater, onOp := b.hasStopped && !isFirst, b.onOp
		b.mu.Unlock()
		if isFirst {
			<-b.firstWrite
		}
		if isLater && onOp != nil {
			return onOp(op), nil
		}
		return nil, nil
	})
	b.batches = event.NewBatches(func(_, _ context.Context) func() {
		b.followers.Add(1)
		return nil
	}, nil)
	b.svc = event.New(event.Config{
		Observer: eventtest.NoObserver{}, SweepParallel: 1,
		Events: gated, Catalogue: gated, Holds: gated, Limits: gated, Log: gated, Bookings: b, Batches: b.batches,
		Locks: eventtest.Unlocked{}, Clock: b, IDs: b, HoldSettleAfter: settleAfter,
	})
	return b
}

// enqueue starts a move and returns once it is queued behind the earlier ones. The
// returned function waits for the move and returns its error.
func (b *batchFixture) enqueue(move func() error) (result func() error) {
	b.t.Helper()
	queued := b.batches.Queued("gala")
	done := make(chan struct{})
	var err error
	b.wg.Go(func() {
		defer close(done)
		err = move()
	})
	b.waitQueued(queued + 1)
	return func() error {
		<-done
		return err
	}
}

// waitQueued waits until n calls are queued.
func (b *batchFixture) waitQueued(n int) {
	b.t.Helper()
	kit.Eventually(b.t, 10*time.Second, "the calls are queued", func() error {
		if got := b.batches.Queued("gala"); got != n {
			return fmt.Errorf("got %d queued calls, want %d", got, n)
		}
		return nil
	})
}

// waitHolds waits until the store contains the holds.
func (b *batchFixture) waitHolds(ids ...string) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		holds, err := b.store.GetHolds(b.t.Context(), ids)
		if err == nil && len(holds) == len(ids) {
			return
		}
		if time.Now().After(end) {
			b.t.Errorf("got %d of %d holds and error %v", len(holds), len(ids), err)
			return
		}
	}
}

// startFirst starts the first batch, which reserves one seat. It returns when the batch
// has stopped before its write.
func (b *batchFixture) startFirst(id string) {
	b.t.Helper()
	b.wg.Go(func() { b.wantErr(id, b.reserving(id, "first", 1)(), nil) })
	kit.Eventually(b.t, 10*time.Second, "the first batch has reached its write", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.hasStopped
	})
}

// finish lets the first batch write, and waits until all moves have ended.
func (b *batchFixture) finish() {
	close(b.firstWrite)
	b.wg.Wait()
}

func (b *batchFixture) reserving(id, user string, quantity int64) func() error {
	return func() error {
		_, err := eventtest.Reserve(b.t.Context(), b.svc, b.hold(id, user, quantity))
		return err
	}
}

func (b *batchFixture) releasing(id, user string, quantity int64) func() error {
	return func() error {
		return eventtest.Release(b.t.Context(), b.svc, eventapi.ReleaseRequest{HoldID: id, EventID: "gala", UserID: user, Quantity: quantity})
	}
}
