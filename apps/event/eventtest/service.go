package eventtest

import (
	"context"
	"time"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/coalesce"
	"boxoffice/shared/contract/eventapi"
)

// Tests that span several apps cannot import the internal package event. These aliases
// give them its types.
type (
	// Service is event.Service, the use cases.
	Service = event.Service
	// Hold is event.Hold.
	Hold = event.Hold
	// Event is event.Event.
	Event = event.Event
)

// Env holds the dependencies of a Service under test.
type Env struct {
	Store           Ports
	Bookings        event.Bookings
	Clock           event.Clock
	IDs             event.IDs
	HoldSettleAfter time.Duration
}

// NewService returns a Service without locks, whose moves are not batched and whose
// operations never run concurrently.
func NewService(env Env) *Service {
	return event.New(event.Config{
		Events: env.Store, Catalogue: env.Store, Holds: env.Store, Limits: env.Store, Log: env.Store,
		Bookings: env.Bookings, Drifts: Unreported{}, Batches: Unbatched{}, Cache: NoCache{}, Locks: Unlocked{}, Clock: env.Clock, IDs: env.IDs,
		HoldSettleAfter: env.HoldSettleAfter, Both: InOrder, SweepParallel: 1, Observer: NoObserver{},
	})
}

// Unbatched is an event.Batcher that runs every move immediately, in a batch of its own. It
// suits tests that control the order of operations.
type Unbatched struct{}

// Do implements event.Batcher.
func (Unbatched) Do(ctx context.Context, _ string, work coalesce.Work[*event.Member], members ...*event.Member) error {
	for _, m := range members {
		work(ctx, []*event.Member{m}, func() {})
	}
	return nil
}

// NewBatches returns the Batcher that the event app uses, without tracing.
func NewBatches() *coalesce.Group[*event.Member] {
	return event.NewBatches(func(_, _ context.Context) (end func()) { return nil }, nil)
}

// NoCache is an event.Cache that keeps nothing.
type NoCache struct{}

var _ event.Cache = NoCache{}

// PutEvent implements event.Cache.
func (NoCache) PutEvent(context.Context, eventapi.Versioned, time.Duration) error { return nil }

// GetEvent implements event.Cache.
func (NoCache) GetEvent(context.Context, string) (eventapi.Versioned, error) {
	return eventapi.Versioned{}, event.ErrNoEvent
}

// DropEvent implements event.Cache.
func (NoCache) DropEvent(context.Context, string) error { return nil }

// NoObserver is an event.Observer that ignores all figures.
type NoObserver struct{}

// ObserveBacklog implements event.Observer.
func (NoObserver) ObserveBacklog(context.Context, string, time.Duration) {}

// InOrder calls two functions one after the other. It suits tests that control the order of
// operations, as event.Config.Both.
func InOrder(a, b func()) {
	a()
	b()
}

// Unlocked is an event.Locker that takes no locks.
type Unlocked struct{}

// Lock implements event.Locker.
func (Unlocked) Lock(context.Context, string) (unlock func()) { return func() {} }

// Reserve reserves the seats of one hold.
func Reserve(ctx context.Context, svc *Service, req eventapi.ReserveRequest) (eventapi.Reservation, error) {
	results, err := svc.ReserveSeats(ctx, []eventapi.ReserveRequest{req})
	if err != nil {
		return eventapi.Reservation{}, err
	}
	return results[0].Data, results[0].Err
}

// Sell sells the seats of one hold.
func Sell(ctx context.Context, svc *Service, req eventapi.SellRequest) error {
	results, err := svc.SellSeats(ctx, []eventapi.SellRequest{req})
	if err != nil {
		return err
	}
	return results[0].Err
}

// Release releases the seats of one hold.
func Release(ctx context.Context, svc *Service, req eventapi.ReleaseRequest) error {
	results, err := svc.ReleaseSeats(ctx, []eventapi.ReleaseRequest{req})
	if err != nil {
		return err
	}
	return results[0].Err
}
