package event

import (
	"context"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"boxoffice/shared/page"
)

// Config holds the dependencies and settings of a Service, all of which are required.
type Config struct {
	Events    Events
	Catalogue Catalogue
	Holds     Holds
	Limits    Limits
	Cache     Cache
	Log       CapacityLog
	Bookings  Bookings
	Drifts    Drifts
	Observer  Observer
	Batches   Batcher // see NewBatches
	Locks     Locker
	Clock     Clock
	IDs       IDs
	Cursors   page.Cursors // for ListEvents
	// HoldSettleAfter is how long a hold may stay unlinked to a booking before a sweep
	// asks the booking app about it. Sweeps also ignore marks and stamps that are younger
	// than that.
	HoldSettleAfter time.Duration
	// SweepParallel is the number of pages of one kind that a sweep handles at a time, from
	// 1. With 1, it also handles the kinds one after another.
	SweepParallel int
	// Both calls two functions and returns when both have returned. It is optional; by
	// default the functions run concurrently. Tests that control the order of operations
	// set it.
	Both func(a, b func())
	// Wait waits for a duration. It returns ctx.Err() if ctx ends before.
	Wait func(ctx context.Context, d time.Duration) error
}

// Service implements the use cases of the event app. It is safe for concurrent use.
type Service struct {
	events      Events
	catalogue   Catalogue
	holds       Holds
	limits      Limits
	cache       Cache
	log         CapacityLog
	bookings    Bookings
	drifts      Drifts
	observer    Observer
	batches     Batcher
	locks       Locker
	clock       Clock
	ids         IDs
	cursors     page.Cursors
	settleAfter time.Duration

	sweepParallel int

	both       func(a, b func())
	wait       func(ctx context.Context, d time.Duration) error
	reconciler reconciler
	steps      stepCache
	released   *lru.Cache[string, struct{}] // holds that this process has released; a hold stays released
	logged     logCache
	links      pendingLinks
	cacheTimes cacheTimes
}

// maxReleased limits the released holds that a process remembers: those of the last seconds of
// a busy sweep, whose facts are still on their way.
const maxReleased = 32_768

// New returns a Service.
func New(cfg Config) *Service {
	both := cfg.Both
	if both == nil {
		both = concurrently
	}
	released, err := lru.New[string, struct{}](maxReleased)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &Service{
		released: released,
		events:   cfg.Events, catalogue: cfg.Catalogue, holds: cfg.Holds, limits: cfg.Limits, cache: cfg.Cache, log: cfg.Log, bookings: cfg.Bookings, drifts: cfg.Drifts, observer: cfg.Observer, sweepParallel: cfg.SweepParallel,
		batches: cfg.Batches, locks: cfg.Locks, clock: cfg.Clock, ids: cfg.IDs, cursors: cfg.Cursors,
		settleAfter: cfg.HoldSettleAfter, both: both, wait: cfg.Wait,
	}
}

// concurrently runs two functions concurrently, a in the goroutine of the caller. It waits
// for b even if a panics.
func concurrently(a, b func()) {
	var other sync.WaitGroup
	defer other.Wait()
	other.Go(b)
	a()
}

func (s *Service) now() time.Time { return instant(s.clock.Now()) }
