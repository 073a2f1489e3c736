package booking

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"boxoffice/shared/drain"
)

const (
	// sweepPage is the maximum number of bookings that a sweep handles together. It is a
	// multiple of eventapi.MaxReserves.
	sweepPage = 192
)

// The kinds of a sweep's work, for Observer.
const (
	sweepExpiry      = "expiry"
	sweepObligations = "obligations"
)

// SweepKinds returns the kinds of work that an Observer hears of.
func SweepKinds() []string { return []string{sweepExpiry, sweepObligations} }

// Sweep expires all due bookings, and discharges all obligations that are older than
// dischargeAfter. It returns how many bookings it expired. Any number of processes may sweep
// at the same time; each handles different bookings. The two kinds of work run concurrently,
// so neither waits for the other.
//
// The facts of expired bookings are left to the sweep of the outboxes: seats come first, and a
// hundred thousand facts in the relay's queue would delay those of other bookings.
//
// If the event app does not answer, Sweep still expires bookings. Their obligations wait for
// a later sweep.
func (s *Service) Sweep(ctx context.Context) (expired int, err error) {
	d := s.newDischarger()
	var n atomic.Int64
	err = drain.Do(s.sweepParallel, func() error {
		return drain.Run(ctx, s.sweepParallel, s.claimDue, func(ctx context.Context, expired []Booking) error {
			n.Add(int64(len(expired)))
			return d.discharge(ctx, expired...)
		})
	}, func() error {
		return drain.Run(ctx, s.sweepParallel, func(ctx context.Context) ([]Booking, bool, error) {
			return s.claimObligations(ctx, d)
		}, func(ctx context.Context, claimed []Booking) error { return d.discharge(ctx, claimed...) })
	})
	return int(n.Load()), err
}

// claimDue expires the next page of due bookings and returns those that it expired. It
// reports false if none is due. The write that expires a booking is the claim: of several
// sweeps, one succeeds.
func (s *Service) claimDue(ctx context.Context) (expired []Booking, more bool, err error) {
	due, err := s.finder.DueBookings(ctx, "", s.now(), sweepPage)
	if err != nil {
		return nil, false, fmt.Errorf("find due bookings: %w", err)
	}
	s.observeBacklog(ctx, sweepExpiry, due, func(b Booking) time.Time { return b.ExpiresAt })
	if len(due) == 0 {
		return nil, false, nil
	}
	expired, err = s.expireAll(ctx, s.jobs.Unpublished, due)
	if len(expired) > 0 && err != nil {
		// The others are tried again with the next page, which fails if none succeeds.
		err = nil
	}
	return expired, true, err
}

// claimObligations claims the next page of bookings whose obligations are due. It reports
// false if there is none, or if the event app does not answer.
func (s *Service) claimObligations(ctx context.Context, d *discharger) (claimed []Booking, more bool, err error) {
	if d.isStopped.Load() {
		return nil, false, nil
	}
	now := s.now()
	due, err := s.finder.OwingBookings(ctx, now, sweepPage)
	if err != nil {
		return nil, false, fmt.Errorf("find obligations: %w", err)
	}
	s.observeBacklog(ctx, sweepObligations, due, func(b Booking) time.Time { return b.DischargeAt })
	if len(due) == 0 {
		return nil, false, nil
	}
	// The end of the lease identifies the claim, so it should differ from those of other
	// processes.
	lease := dischargeLease + rand.N(dischargeLease/2) //nolint:gosec // not a secret
	claimed, err = s.store.ClaimObligations(ctx, due, storedTime(now.Add(lease)))
	if err != nil {
		return nil, false, fmt.Errorf("claim %d bookings: %w", len(due), err)
	}
	return claimed, true, nil
}

// observeBacklog reports for how long the first of the due bookings has been due. The zero
// duration means that none is due.
func (s *Service) observeBacklog(ctx context.Context, kind string, due []Booking, dueAt func(Booking) time.Time) {
	var age time.Duration
	if len(due) > 0 {
		age = s.now().Sub(dueAt(due[0]))
	}
	s.observer.ObserveBacklog(ctx, kind, age)
}
