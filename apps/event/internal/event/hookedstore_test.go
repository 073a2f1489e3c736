package event_test

import (
	"context"
	"sync"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
)

// hookedStore is a store that calls hooks of a test before its operations. All hooks
// except claims may be nil.
type hookedStore struct {
	*eventtest.Store
	once    sync.Once
	first   func() // called before the first write of seats
	claims  func(ctx context.Context, user string) error
	limits  func(ctx context.Context, user string) error
	inserts func(holds []event.Hold)
}

func (s *hookedStore) service(f *fixture, batches event.Batcher) *event.Service {
	return event.New(event.Config{
		Observer: eventtest.NoObserver{}, SweepParallel: 1,
		Events: s, Catalogue: s, Holds: s, Limits: s, Log: s, Bookings: f, Batches: batches,
		Cache: eventtest.NoCache{}, Locks: eventtest.Unlocked{}, Clock: f, IDs: f, HoldSettleAfter: settleAfter,
	})
}

func (s *hookedStore) GetLimit(ctx context.Context, key event.LimitKey) (event.Limit, error) {
	if s.limits != nil {
		if err := s.limits(ctx, key.UserID); err != nil {
			return event.Limit{}, err
		}
	}
	return s.Store.GetLimit(ctx, key)
}

func (s *hookedStore) WriteSeats(ctx context.Context, w event.SeatsWrite) error {
	if s.first != nil {
		s.once.Do(s.first)
	}
	return s.Store.WriteSeats(ctx, w)
}

func (s *hookedStore) Claim(ctx context.Context, c event.Claim) (event.ClaimResult, error) {
	if err := s.claims(ctx, c.UserID); err != nil {
		return event.ClaimRefused, err
	}
	return s.Store.Claim(ctx, c)
}

func (s *hookedStore) InsertHolds(ctx context.Context, holds []event.Hold) error {
	if s.inserts != nil {
		s.inserts(holds)
	}
	return s.Store.InsertHolds(ctx, holds)
}
