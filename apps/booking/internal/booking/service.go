package booking

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/page"
)

// Config is what a Service needs. All fields must be set.
type Config struct {
	Store         Store
	Finder        Finder
	Seats         Seats
	Events        Events
	Locks         Locker
	Clock         Clock
	IDs           IDs
	Cursors       page.Cursors  // of lists
	TTL           time.Duration // how long a pending booking lives
	MaxPerBooking int64         // how many tickets one booking may be for
}

// Service is the use cases. It is safe for concurrent use.
type Service struct {
	store   Store
	finder  Finder
	seats   Seats
	events  Events
	locks   Locker
	clock   Clock
	ids     IDs
	cursors page.Cursors
	ttl     time.Duration
	max     int64

	mu       sync.Mutex
	searched map[string]time.Time // when due bookings were last looked for, by event
}

// New returns a service.
func New(cfg Config) *Service {
	return &Service{
		store: cfg.Store, finder: cfg.Finder, seats: cfg.Seats, events: cfg.Events, locks: cfg.Locks,
		clock: cfg.Clock, ids: cfg.IDs, cursors: cfg.Cursors, ttl: cfg.TTL, max: cfg.MaxPerBooking,
		searched: map[string]time.Time{},
	}
}

func (s *Service) now() time.Time { return instant(s.clock.Now()) }

// insert stores a record that was not there.
func (s *Service) insert(ctx context.Context, b Booking) error {
	facts, err := s.factsOf("", b)
	if err != nil {
		return err
	}
	if err := s.store.InsertBooking(ctx, b, facts...); err != nil {
		return fmt.Errorf("insert booking %s as %s: %w", b.ID, b.State, err)
	}
	return nil
}

// replace is the only way by which a record changes: where it still has the state
// and n of was. It returns ErrStale when it has not.
func (s *Service) replace(ctx context.Context, was, b Booking) error {
	facts, err := s.factsOf(was.State, b)
	if err != nil {
		return err
	}
	if err := s.store.ReplaceBooking(ctx, b, was.State, was.HoldNumber, facts...); err != nil {
		return fmt.Errorf("make booking %s %s: %w", b.ID, b.State, err)
	}
	return nil
}

// look returns a record, or nil when there is none.
func (s *Service) look(ctx context.Context, id string) (*Booking, error) {
	b, err := s.store.GetBooking(ctx, id)
	switch {
	case errors.Is(err, ErrNoBooking):
		return nil, nil // no record is an answer, and callers need it apart from a failure
	case err != nil:
		return nil, fmt.Errorf("read booking %s: %w", id, err)
	}
	return &b, nil
}

// releases gives holds back at once. When that fails, the facts or the sweep do
// it, so nobody need know.
type releases struct {
	seats Seats
	gone  bool // the event app did not answer
}

// releases is for one piece of work, at however many holds.
func (s *Service) releases() *releases { return &releases{seats: s.seats} }

// release asks no more once the event app did not answer: each hold of a sweep
// would wait for its deadline, and the others' turn never come.
func (r *releases) release(ctx context.Context, b Booking) {
	if r.gone {
		return
	}
	err := r.seats.ReleaseSeats(ctx, eventapi.ReleaseRequest{
		HoldID: b.HoldID, EventID: b.EventID, UserID: b.UserID, Quantity: b.Quantity,
	})
	r.gone = err != nil && apperr.VerdictOf(err) != apperr.Refused
}

// reserve takes the hold that b names. When seats are short it first gives back
// what is due, and asks once more.
func (s *Service) reserve(ctx context.Context, b Booking) (eventapi.Reservation, error) {
	req := eventapi.ReserveRequest{
		HoldID: b.HoldID, EventID: b.EventID, UserID: b.UserID, Quantity: b.Quantity,
	}
	req.ExpiresAt.Time = b.ExpiresAt
	taken, err := s.seats.ReserveSeats(ctx, req)
	if !errors.Is(err, errSoldOut) {
		return taken, err
	}
	freed, failed := s.expireDueOf(ctx, b.EventID)
	if failed != nil || freed == 0 {
		return taken, err
	}
	return s.seats.ReserveSeats(ctx, req)
}

// GetBooking returns a booking; see bookingapi.GetBooking.
func (s *Service) GetBooking(ctx context.Context, req bookingapi.GetRequest) (bookingapi.Booking, error) {
	b, err := s.visible(ctx, req)
	if err != nil {
		return bookingapi.Booking{}, err
	}
	return b.Public(), nil
}

// visible returns a booking that who asks may see, or ErrNotFound.
func (s *Service) visible(ctx context.Context, req bookingapi.GetRequest) (Booking, error) {
	b, err := s.look(ctx, req.BookingID)
	switch {
	case err != nil:
		return Booking{}, err
	case b == nil, b.State == Refused, !req.ByAdmin && b.UserID != req.UserID:
		return Booking{}, ErrNotFound
	}
	return *b, nil
}
