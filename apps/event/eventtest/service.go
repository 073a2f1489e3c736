package eventtest

import (
	"context"
	"time"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract/eventapi"
)

// The use cases, for tests of several apps together: these cannot import what is
// internal to one.
type (
	Service = event.Service
	Hold    = event.Hold
	Event   = event.Event
)

// Env is what a Service of a test stands on.
type Env struct {
	Store           Ports
	Bookings        event.Bookings
	Clock           event.Clock
	IDs             event.IDs
	HoldSettleAfter time.Duration
}

// NewService returns the use cases over a store, without locks.
func NewService(env Env) *Service {
	return event.New(event.Config{
		Events: env.Store, Catalogue: env.Store, Holds: env.Store, Limits: env.Store,
		Bookings: env.Bookings, Locks: Unlocked{}, Alone: true, Clock: env.Clock, IDs: env.IDs,
		HoldSettleAfter: env.HoldSettleAfter,
	})
}

// Unlocked is a Locker that never has a lock to give.
type Unlocked struct{}

// Lock implements event.Locker.
func (Unlocked) Lock(context.Context, string) (unlock func()) { return func() {} }

// Reserve counts the seats of one hold.
func Reserve(ctx context.Context, svc *Service, req eventapi.ReserveRequest) (eventapi.Reservation, error) {
	results, err := svc.ReserveSeats(ctx, []eventapi.ReserveRequest{req})
	if err != nil {
		return eventapi.Reservation{}, err
	}
	return results[0].Data, results[0].Err
}
