package event

import (
	"context"
	"errors"
	"time"

	"boxoffice/shared/drain"
)

const (
	// sweepPage limits the items of one kind that a sweep handles together.
	sweepPage = 128
	// sweepLease is how long a claim keeps other sweeps away from an item. It is longer than
	// a page takes. If two sweeps handle one item nevertheless, they only waste work.
	sweepLease = 15 * time.Second
)

// The kinds of a sweep's work, for Observer.
const (
	sweepMarks  = "marks"
	sweepHolds  = "holds"
	sweepLimits = "limits"
)

// SweepKinds returns the kinds of work that an Observer hears of.
func SweepKinds() []string { return []string{sweepMarks, sweepHolds, sweepLimits} }

// Sweep finishes the work that crashes and lost facts left undone. It works through the whole
// backlog of each kind, the oldest items first, until ctx ends. The kinds are handled
// concurrently, so that none waits for another.
//
// Any number of processes may sweep concurrently. Each claims the holds and the limits that
// it handles. A failure does not stop the rest of the sweep; Sweep returns all errors, joined.
func (s *Service) Sweep(ctx context.Context) error {
	flushed := s.FlushLinks(ctx) // first, so that the sweep does not ask about linked holds
	return errors.Join(flushed, drain.Do(s.sweepParallel,
		func() error { return s.sweepMarks(ctx) },
		func() error { return s.sweepHolds(ctx) },
		func() error { return s.sweepLimits(ctx) },
		func() error { return s.sweepCancellations(ctx) },
		func() error { return s.recheckSuspects(ctx) },
	))
}

// observeBacklog reports that the oldest item of a kind has been due since the given time. The
// zero time means that nothing is due.
func (s *Service) observeBacklog(ctx context.Context, kind string, due time.Time) {
	age := time.Duration(0)
	if !due.IsZero() {
		age = s.now().Sub(due)
	}
	s.observer.ObserveBacklog(ctx, kind, age)
}
