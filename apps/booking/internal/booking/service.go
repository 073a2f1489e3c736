package booking

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"boxoffice/shared/page"
)

// Config configures a Service. All fields must be set, except MaxPendingPerUser.
type Config struct {
	Store         Store
	Finder        Finder
	Cancellations CancellationConfig
	Seats         Seats
	Events        Events
	Locks         Locker
	Observer      Observer
	Clock         Clock
	IDs           IDs
	Cursors       page.Cursors  // encodes the cursors of lists
	TTL           time.Duration // time within which a booking must be confirmed
	MaxPerBooking int64         // maximum number of tickets in one booking
	// SweepParallel is the number of pages of one kind that a sweep handles at a time, from
	// 1. With 1, it also handles the kinds one after another.
	SweepParallel int
	// MaxPendingPerUser is the maximum number of tickets in the pending bookings of a user,
	// over all events. Zero means no limit.
	MaxPendingPerUser int64
}

// CancellationConfig configures the jobs that cancel the bookings of cancelled events. All
// fields must be set.
type CancellationConfig struct {
	Jobs Cancellations
	// Unpublished is Config.Store without the publishing of facts: nothing publishes the
	// facts of its writes until PublishFacts or a sweep does.
	Unpublished Store
	Publisher   Publisher
	Pacer       Pacer
	// Trace starts a span with a name. The span ends when end is called.
	Trace func(ctx context.Context, name string) (traced context.Context, end func())
	// Parallel is the maximum number of bookings that a job cancels concurrently, from 1.
	Parallel int
}

// Service implements the use cases. It is safe for concurrent use.
type Service struct {
	store         Store
	finder        Finder
	jobs          CancellationConfig
	wake          chan struct{} // asks RunCancellations to look for due jobs
	seats         Seats
	events        Events
	locks         Locker
	observer      Observer
	clock         Clock
	ids           IDs
	cursors       page.Cursors
	ttl           time.Duration
	maxPerBooking int64
	sweepParallel int
	pending       *pendingLimit

	mu       sync.Mutex
	lastScan map[string]time.Time // last scan for due bookings, by event id; see allowScan
}

// New returns a Service.
func New(cfg Config) *Service {
	return &Service{
		store: cfg.Store, finder: cfg.Finder, jobs: cfg.Cancellations, wake: make(chan struct{}, 1), seats: cfg.Seats, events: cfg.Events, locks: cfg.Locks, observer: cfg.Observer,
		clock: cfg.Clock, ids: cfg.IDs, cursors: cfg.Cursors, ttl: cfg.TTL, maxPerBooking: cfg.MaxPerBooking, sweepParallel: cfg.SweepParallel,
		pending:  newPendingLimit(cfg.MaxPendingPerUser, cfg.Finder),
		lastScan: map[string]time.Time{},
	}
}

func (s *Service) now() time.Time { return storedTime(s.clock.Now()) }

// insert stores a new record and the fact about it. It returns ErrExists if the id
// is taken.
func (s *Service) insert(ctx context.Context, b Booking) error {
	facts, err := s.newFacts("", b)
	if err != nil {
		return err
	}
	if err := s.store.InsertBooking(ctx, b, facts...); err != nil {
		return fmt.Errorf("insert booking %s as %s: %w", b.ID, b.State, err)
	}
	return nil
}

// replace changes a record from was to b and stores the fact about the change. All
// changes of a record go through it or replaceIn. It returns ErrStale if the stored record
// no longer has the state and the hold number of was.
func (s *Service) replace(ctx context.Context, was, b Booking) error {
	return s.replaceIn(ctx, s.store, was, b)
}

// replaceIn is replace in the given store.
func (s *Service) replaceIn(ctx context.Context, store Store, was, b Booking) error {
	facts, err := s.newFacts(was.State, b)
	if err != nil {
		return err
	}
	if err := store.ReplaceBooking(ctx, b, was.State, was.HoldNumber, facts...); err != nil {
		return fmt.Errorf("change booking %s from %s to %s: %w", b.ID, was.State, b.State, err)
	}
	return nil
}

// findRecord returns the record with this id, or nil if there is none.
func (s *Service) findRecord(ctx context.Context, id string) (*Booking, error) {
	b, err := s.store.GetBooking(ctx, id)
	switch {
	case errors.Is(err, ErrNoBooking):
		return nil, nil // a missing record is not an error for the use cases
	case err != nil:
		return nil, fmt.Errorf("read booking %s: %w", id, err)
	}
	return &b, nil
}
