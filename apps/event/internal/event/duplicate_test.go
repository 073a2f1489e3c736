package event_test

import (
	"context"
	"testing"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
)

// pausingStore is a store that calls hooks of a test before it moves a hold and after it
// has read holds.
type pausingStore struct {
	*eventtest.Store
	beforeMove, afterRead func()
}

func (p *pausingStore) MoveHolds(ctx context.Context, holds []event.Hold) (missing map[string]bool, err error) {
	p.beforeMove()
	return p.Store.MoveHolds(ctx, holds)
}

func (p *pausingStore) GetHolds(ctx context.Context, ids []string) (map[string]event.Hold, error) {
	holds, err := p.Store.GetHolds(ctx, ids)
	p.afterRead()
	return holds, err
}

// Two releases of one hold run in the same process. The second one reads the hold just
// before the first one writes it as released. It must not count the seats again.
func TestDuplicateReleasesCountOnce(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("a_1_x", "u1", 2)
	f.reserve("b_1_x", "u2", 3)
	none := func() {}
	holds := &pausingStore{Store: f.store, beforeMove: none, afterRead: none}
	svc := event.New(event.Config{
		Observer: eventtest.NoObserver{}, SweepParallel: 1,
		Events: f.store, Catalogue: f.store, Holds: holds, Limits: f.store, Log: f.store, Bookings: f,
		Cache: eventtest.NoCache{}, Locks: eventtest.Unlocked{}, Batches: eventtest.Unbatched{}, Clock: f, IDs: f, HoldSettleAfter: settleAfter,
	})
	release := func() error { return svc.OnBookingExpired(t.Context(), f.fact("a_1_x", "u1", 2)) }

	counted, read, first := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	holds.beforeMove = func() {
		holds.beforeMove = none
		close(counted)
		<-read // by the duplicate
	}
	go func() { first <- release() }()
	<-counted
	holds.afterRead = func() {
		holds.afterRead = none
		close(read)
		f.wantErr("first release", <-first, nil)
	}
	f.wantErr("duplicate release", release(), nil)
	f.wantState("after both", "a_1_x", event.Released)
	f.wantSeats("after both", 7, 3, 0)
}
