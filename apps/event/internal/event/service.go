package event

import (
	"time"

	"boxoffice/shared/page"
)

// Config holds the dependencies and settings of a Service, all of which are required.
type Config struct {
	Events    Events
	Catalogue Catalogue
	Holds     Holds
	Limits    Limits
	Cache     Cache
	Bookings  Bookings
	Batches   Batcher // see NewBatches
	Locks     Locker
	Clock     Clock
	IDs       IDs
	Cursors   page.Cursors // for ListEvents
	// HoldSettleAfter is how long a hold may stay unlinked to a booking before a sweep
	// asks the booking app about it. Sweeps also ignore marks and stamps that are younger
	// than that.
	HoldSettleAfter time.Duration
}

// Service implements the use cases of the event app. It is safe for concurrent use.
type Service struct {
	events      Events
	catalogue   Catalogue
	holds       Holds
	limits      Limits
	cache       Cache
	bookings    Bookings
	batches     Batcher
	locks       Locker
	clock       Clock
	ids         IDs
	cursors     page.Cursors
	settleAfter time.Duration
	steps       stepCache
	links       pendingLinks
	cacheTimes  cacheTimes
}

// New returns a Service.
func New(cfg Config) *Service {
	return &Service{
		events: cfg.Events, catalogue: cfg.Catalogue, holds: cfg.Holds, limits: cfg.Limits, cache: cfg.Cache, bookings: cfg.Bookings,
		batches: cfg.Batches, locks: cfg.Locks, clock: cfg.Clock, ids: cfg.IDs, cursors: cfg.Cursors,
		settleAfter: cfg.HoldSettleAfter,
	}
}

func (s *Service) now() time.Time { return instant(s.clock.Now()) }
