package event

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/coalesce"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/page"
	"boxoffice/shared/rpc"
)

// Config is what a Service needs. All fields must be set but Alone, with which Follow
// need not be.
type Config struct {
	Events    Events
	Catalogue Catalogue
	Holds     Holds
	Limits    Limits
	Bookings  Bookings
	Locks     Locker // among all processes
	Clock     Clock
	IDs       IDs
	Cursors   page.Cursors // of lists
	// HoldSettleAfter is after how long a hold that nobody has heard of is asked
	// about.
	HoldSettleAfter time.Duration
	// Follow is told of a request whose seats another's round moves; see
	// coalesce.Config.
	Follow func(ctx, leader context.Context) (through func())
	// Alone lets each move go by itself, at once: for callers that go on one at a
	// time and must not wait for one another.
	Alone bool
}

// Service is the use cases. It is safe for concurrent use.
type Service struct {
	events      Events
	catalogue   Catalogue
	holds       Holds
	limits      Limits
	bookings    Bookings
	locks       Locker
	alone       bool
	batches     *coalesce.Group[*mover]
	clock       Clock
	ids         IDs
	cursors     page.Cursors
	settleAfter time.Duration
	finished    finished
	heard       heard
}

// New returns a service.
func New(cfg Config) *Service {
	return &Service{
		events: cfg.Events, catalogue: cfg.Catalogue, holds: cfg.Holds, limits: cfg.Limits,
		bookings: cfg.Bookings, locks: cfg.Locks, batches: newBatches(cfg.Follow), alone: cfg.Alone, clock: cfg.Clock, ids: cfg.IDs, cursors: cfg.Cursors,
		settleAfter: cfg.HoldSettleAfter,
	}
}

func (s *Service) now() time.Time { return instant(s.clock.Now()) }

// CreateEvent makes an event; see eventapi.CreateEvent. Repeated with the same id and
// request it answers the event as it is now.
func (s *Service) CreateEvent(ctx context.Context, req eventapi.CreateRequest) (eventapi.Versioned, error) {
	now := s.now()
	e, err := newEvent(req, now)
	if err != nil {
		return eventapi.Versioned{}, err
	}
	defer s.locks.Lock(ctx, "event_create:"+e.OrganizerID)()
	fact, err := s.fact(eventapi.FactCreated, e)
	if err != nil {
		return eventapi.Versioned{}, err
	}
	err = s.events.InsertEvent(ctx, e, fact)
	switch {
	case errors.Is(err, ErrExists):
		return s.repeated(ctx, e)
	case errors.Is(err, ErrNameTaken):
		// Its own first try may be what took the name: stores check both at once.
		if again, found := s.repeated(ctx, e); found == nil {
			return again, nil
		}
		return eventapi.Versioned{}, ErrDuplicate
	case err != nil:
		return eventapi.Versioned{}, fmt.Errorf("create event: %w", err)
	}
	return e.versioned(), nil
}

// repeated answers a create whose id is taken: by itself, tried before, or by
// another event, which no caller may learn more of.
func (s *Service) repeated(ctx context.Context, e Event) (eventapi.Versioned, error) {
	there, err := s.events.GetEvent(ctx, e.ID)
	switch {
	case errors.Is(err, ErrNoEvent):
		return eventapi.Versioned{}, ErrDuplicate
	case err != nil:
		return eventapi.Versioned{}, fmt.Errorf("create event %s again: %w", e.ID, err)
	case there.Identity() != e.Identity():
		return eventapi.Versioned{}, apperr.InvalidFields(apperr.Field{Field: "eventId", Code: "taken", Message: "is another event's"})
	}
	return there.versioned(), nil
}

// GetEvent returns an event; see eventapi.GetEvent.
func (s *Service) GetEvent(ctx context.Context, req eventapi.GetRequest) (eventapi.Versioned, error) {
	e, err := s.visible(ctx, req)
	if err != nil {
		return eventapi.Versioned{}, err
	}
	return e.versioned(), nil
}

// GetAvailability returns how many seats there are; see
// eventapi.GetAvailability.
func (s *Service) GetAvailability(ctx context.Context, req eventapi.GetRequest) (eventapi.Availability, error) {
	e, err := s.visible(ctx, req)
	if err != nil {
		return eventapi.Availability{}, err
	}
	return eventapi.Availability{
		EventID: e.ID, Capacity: e.Seats.Capacity, Available: e.Seats.Available,
		Held: e.Seats.Held, Sold: e.Seats.Sold, Version: e.Seats.Version,
	}, nil
}

func (s *Service) visible(ctx context.Context, req eventapi.GetRequest) (Event, error) {
	e, err := s.events.GetEvent(ctx, req.EventID)
	switch {
	case errors.Is(err, ErrNoEvent):
		return Event{}, ErrNotFound
	case err != nil:
		return Event{}, fmt.Errorf("fetch event %s: %w", req.EventID, err)
	case !e.Visible(req.ByAdmin):
		return Event{}, ErrNotFound
	}
	return e, nil
}

// ReserveSeats counts the seats of holds; see eventapi.ReserveSeats.
func (s *Service) ReserveSeats(ctx context.Context, reqs []eventapi.ReserveRequest) ([]rpc.Result[eventapi.Reservation], error) {
	if err := validReserves(reqs); err != nil {
		return nil, err
	}
	results := make([]rpc.Result[eventapi.Reservation], len(reqs))
	reserves := make([]*reserve, len(reqs))
	var first []*mover
	for i, req := range reqs {
		if results[i].Err = validReserve(req); results[i].Err == nil {
			reserves[i] = s.newReserve(req)
			first = append(first, &reserves[i].mover)
		}
	}
	s.start(ctx, reqs[0].EventID, first...)
	// Each by itself from here on: most are through. One that is not takes its time
	// from nobody.
	ctx, cancel := context.WithTimeout(ctx, resultWithin)
	defer cancel()
	var others sync.WaitGroup
	result := func(i int) {
		if r := reserves[i]; r != nil {
			results[i].Data, results[i].Err = r.result(ctx)
		}
	}
	for i := range reserves[1:] {
		others.Go(func() { result(i + 1) })
	}
	result(0)
	others.Wait()
	return results, nil
}

// reserve is the way of one hold from nothing to held.
type reserve struct {
	*Service
	wanted Hold
	seen   Event // as it was when the mover decided
	mover  mover
}

func (s *Service) newReserve(req eventapi.ReserveRequest) *reserve {
	r := &reserve{Service: s, wanted: Hold{
		ID: req.HoldID, EventID: req.EventID, UserID: req.UserID, Quantity: req.Quantity, State: Held,
		ExpiresAt: instant(req.ExpiresAt.Time),
	}}
	r.mover = r.newMover()
	return r
}

func (r *reserve) newMover() mover {
	return mover{holdID: r.wanted.ID, limited: true, decide: func(e Event, h *Hold) (*Hold, error) {
		r.seen = e
		switch {
		case h != nil && h.State == Released:
			return nil, ErrHoldDead
		case h != nil:
			return nil, nil // it is counted already: nothing to move
		}
		next := r.wanted
		next.MovedAt = r.now()
		next.SettleAt = next.MovedAt.Add(r.settleAfter)
		next.UnitPrice = e.Price
		if err := e.Sells(next.MovedAt); err != nil {
			return nil, err
		}
		if next.Quantity > e.Seats.Available {
			return nil, soldOut(e.Seats.Available)
		}
		return &next, nil
	}}
}

// result says what became of the mover, which was started. When it was refused after
// it claimed an entry of the user's limit, that is given back first.
func (r *reserve) result(ctx context.Context) (taken eventapi.Reservation, err error) {
	defer recovered("reserve of hold "+r.wanted.ID, &err)
	for range maxTries {
		h, err := r.outcome(ctx)
		switch {
		case err == nil && h != nil:
			return eventapi.Reservation{UnitPrice: h.UnitPrice}, nil
		case !r.mover.claimed || !errors.Is(err, ErrHoldDead) && apperr.VerdictOf(err) != apperr.Refused:
			return eventapi.Reservation{}, err
		}
		// A refusal after the claim: what saw the entry must fail before it goes.
		entry := r.wanted
		entry.Limited = true
		counted, buried := r.abandon(ctx, entry)
		switch {
		case buried != nil:
			return eventapi.Reservation{}, buried
		case !counted:
			return eventapi.Reservation{}, err
		}
		// A twin's reserve of the same hold went through meanwhile.
		r.mover = r.newMover()
		r.start(ctx, r.wanted.EventID, &r.mover)
	}
	return eventapi.Reservation{}, apperr.Overloaded(busyFor)
}

// outcome is what one round came to.
func (r *reserve) outcome(ctx context.Context) (*Hold, error) {
	h, err := r.moved(ctx, &r.mover)
	switch {
	case errors.Is(err, errGone):
		return nil, ErrNotFound
	case errors.Is(err, ErrSoldOut):
		// Of two refusals the limit's comes first.
		if exceeds, failed := r.exceeds(ctx, r.seen, r.wanted); failed != nil {
			return nil, failed
		} else if exceeds {
			return nil, ErrLimitExceeded
		}
	}
	return h, err
}

// recovered makes a panic an error, since it is one request's affair, as it would
// be on that one's own goroutine.
func recovered(what string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: panic: %v\n%s", what, p, debug.Stack())
	}
}

// ReleaseSeats gives the seats of a hold back; see eventapi.ReleaseSeats.
func (s *Service) ReleaseSeats(ctx context.Context, req eventapi.ReleaseRequest) (rpc.Nothing, error) {
	if err := validRelease(req); err != nil {
		return rpc.Nothing{}, err
	}
	err := s.release(ctx, Hold{ID: req.HoldID, EventID: req.EventID, UserID: req.UserID, Quantity: req.Quantity})
	return rpc.Nothing{}, err
}

// release ends a hold, counted or unknown.
func (s *Service) release(ctx context.Context, unknown Hold) error {
	_, err := s.end(ctx, unknown, func(Hold) bool { return true })
	return err
}

// bury ends a hold only if it is not counted.
func (s *Service) bury(ctx context.Context, unknown Hold) error {
	_, err := s.abandon(ctx, unknown)
	return err
}

// abandon ends a hold only if it is not counted, and gives its entry back. It
// reports whether the hold is counted.
func (s *Service) abandon(ctx context.Context, unknown Hold) (counted bool, err error) {
	h, err := s.end(ctx, unknown, func(Hold) bool { return false })
	if err != nil {
		return false, err
	}
	if h.State != Released {
		return true, nil
	}
	// A tombstone that another wrote may stand before this claim.
	if err := s.limits.GiveBack(ctx, unknown.limitKey(), unknown.ID, unknown.Quantity); err != nil {
		return false, fmt.Errorf("give back the limit of hold %s: %w", unknown.ID, err)
	}
	return false, nil
}

// end brings a hold to released: one that is unknown, by a tombstone, and one
// that is counted, if also says so. It returns the hold as it is then.
func (s *Service) end(ctx context.Context, unknown Hold, also func(Hold) bool) (Hold, error) {
	now := s.now()
	h, err := s.move(ctx, unknown.EventID, &mover{holdID: unknown.ID, decide: func(e Event, h *Hold) (*Hold, error) {
		var next Hold
		switch {
		case h == nil:
			next = unknown
			next.Limited = unknown.Limited || e.MaxPerUser != nil
		case h.State == Released || !also(*h):
			return nil, nil // nothing to move
		default:
			next = *h
		}
		next.State, next.MovedAt, next.SettleAt = Released, now, time.Time{}
		return &next, nil
	}})
	switch {
	case errors.Is(err, errGone):
		return s.endWithoutEvent(ctx, unknown, now)
	case err != nil:
		return Hold{}, err
	}
	return *h, nil
}

// endWithoutEvent ends a hold of an event that is gone: there is nothing to
// count, and no reserve can be under way that would not miss.
func (s *Service) endWithoutEvent(ctx context.Context, unknown Hold, now time.Time) (Hold, error) {
	h := unknown
	switch there, found, err := s.hold(ctx, unknown.ID); {
	case err != nil:
		return Hold{}, err
	case found:
		h = there
	}
	h.State, h.MovedAt, h.SettleAt = Released, now, time.Time{}
	h.Limited = true // who knows; there is nobody to ask
	return h, s.finish(ctx, h)
}

// hold returns a hold, if there is one.
func (s *Service) hold(ctx context.Context, id string) (h Hold, found bool, err error) {
	holds, err := s.holds.GetHolds(ctx, []string{id})
	if err != nil {
		return Hold{}, false, fmt.Errorf("read hold %s: %w", id, err)
	}
	h, found = holds[id]
	return h, found, nil
}

// sell counts the seats of a held hold as sold. A hold that is sold, released or
// unknown stays as it is.
func (s *Service) sell(ctx context.Context, eventID, holdID string) error {
	now := s.now()
	_, err := s.move(ctx, eventID, &mover{holdID: holdID, decide: func(_ Event, h *Hold) (*Hold, error) {
		if h == nil || h.State != Held {
			return nil, nil // nothing to move
		}
		next := *h
		next.State, next.MovedAt, next.SettleAt = Sold, now, time.Time{}
		return &next, nil
	}})
	if errors.Is(err, errGone) {
		return nil
	}
	return err
}
