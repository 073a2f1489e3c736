package event_test

import (
	"context"
	"testing"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
)

// paused is a store whose moves and reads of holds wait at a point of a test's.
type paused struct {
	*eventtest.Store
	beforeMove, afterRead func()
}

func (p *paused) MoveHold(ctx context.Context, h event.Hold) error {
	p.beforeMove()
	return p.Store.MoveHold(ctx, h)
}

func (p *paused) GetHolds(ctx context.Context, ids []string) (map[string]event.Hold, error) {
	holds, err := p.Store.GetHolds(ctx, ids)
	p.afterRead()
	return holds, err
}

// A release that reads the hold just before another of the same process moves it,
// and goes on just after, does not count the seats a second time.
func TestTwinReleasesCountOnce(t *testing.T) {
	f := newFixture(t)
	f.open(nil)
	f.reserve("a_1_x", "u1", 2)
	f.reserve("b_1_x", "u2", 3)
	none := func() {}
	holds := &paused{Store: f.store, beforeMove: none, afterRead: none}
	svc := event.New(event.Config{
		Events: f.store, Catalogue: f.store, Holds: holds, Limits: f.store, Bookings: f,
		Locks: eventtest.Unlocked{}, Batches: eventtest.Unbatched{}, Clock: f, IDs: f, HoldSettleAfter: settleAfter,
	})
	release := func() error { return svc.OnBookingExpired(t.Context(), f.fact("a_1_x", "u1", 2)) }

	counted, read, first := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	holds.beforeMove = func() {
		holds.beforeMove = none
		close(counted)
		<-read // by the twin
	}
	go func() { first <- release() }()
	<-counted
	holds.afterRead = func() {
		holds.afterRead = none
		close(read)
		f.is("the first", <-first, nil)
	}
	f.is("the twin", release(), nil)
	f.state("released", "a_1_x", event.Released)
	f.seats("released", 7, 3, 0)
}
