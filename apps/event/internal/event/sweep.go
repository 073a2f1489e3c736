package event

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// sweepBatch limits the documents of each kind that one sweep handles. The others wait
// for the next sweep.
const sweepBatch = 500

// Sweep finishes the work that crashes and lost facts left undone. Any number of
// processes may sweep concurrently. A failure does not stop the rest of the sweep; Sweep
// returns all errors, joined.
func (s *Service) Sweep(ctx context.Context) error {
	defer s.locks.Lock(ctx, "sweep:holds")()
	return errors.Join(
		s.FlushLinks(ctx),
		s.sweepMarks(ctx),
		s.sweepHolds(ctx),
		s.sweepLimits(ctx),
		s.sweepCancellations(ctx),
		s.recheckSuspects(ctx),
	)
}

// sweepMarks finishes the steps of old marks and logs old entries, and removes both from
// their events. Recent ones are left to the next moves of their events.
func (s *Service) sweepMarks(ctx context.Context) error {
	before := s.now().Add(-s.settleAfter)
	ids, err := s.catalogue.MarkedEvents(ctx, before, sweepBatch)
	if err != nil {
		return fmt.Errorf("sweep marks: %w", err)
	}
	unlogged, err := s.catalogue.UnloggedEvents(ctx, before, sweepBatch)
	if err != nil {
		return fmt.Errorf("sweep log entries: %w", err)
	}
	ids = slices.Compact(slices.Sorted(slices.Values(append(ids, unlogged...))))
	var failed []error
	for _, id := range ids {
		e, err := s.events.GetEvent(ctx, id)
		if err == nil {
			err = s.clearMarks(ctx, e)
		}
		// ErrStale means that the event was written meanwhile. The steps are finished;
		// another move or the next sweep removes the marks.
		if err != nil && !errors.Is(err, ErrStale) && !errors.Is(err, ErrNoEvent) {
			failed = append(failed, fmt.Errorf("sweep marks of event %s: %w", id, err))
		}
	}
	return errors.Join(failed...)
}

// sweepHolds asks the booking app about the holds that are due, and settles them.
func (s *Service) sweepHolds(ctx context.Context) error {
	holds, err := s.holds.HoldsToSettle(ctx, s.now(), sweepBatch)
	if err != nil {
		return fmt.Errorf("sweep holds: %w", err)
	}
	var failed []error
	for _, h := range holds {
		settlement, err := s.bookings.SettleHold(ctx, h.ID)
		if err == nil {
			err = s.settle(ctx, h, settlement)
		} else if apperr.Unanswered(err) {
			// Further requests would probably wait until their deadlines too, and delay
			// the rest of the sweep. The next sweep asks again.
			return errors.Join(append(failed, fmt.Errorf("ask about hold %s: %w", h.ID, err))...)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("settle hold %s: %w", h.ID, err))
		}
	}
	return errors.Join(failed...)
}

// settle releases or sells a hold as its booking requires. If the booking is pending, it
// sets the time at which a sweep asks again.
func (s *Service) settle(ctx context.Context, h Hold, b bookingapi.Settlement) error {
	switch {
	case !b.Live:
		return s.release(ctx, h, CauseReleased, b.Confirmed)
	case b.Confirmed:
		return s.sell(ctx, h.EventID, h.ID)
	}
	next := s.now()
	if h.ExpiresAt.After(next) {
		next = h.ExpiresAt
	}
	return s.holds.PostponeSettle(ctx, map[string]time.Time{h.ID: next.Add(s.settleAfter)})
}

// sweepLimits settles the limits with old stamps. A recent stamp usually belongs to a
// reserve that is still under way, and whose entry has no hold yet.
func (s *Service) sweepLimits(ctx context.Context) error {
	limits, err := s.limits.StampedLimits(ctx, s.now().Add(-s.settleAfter), sweepBatch)
	if err != nil {
		return fmt.Errorf("sweep limits: %w", err)
	}
	var failed []error
	for _, l := range limits {
		if err := s.settleLimit(ctx, l); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// sweepCancellations repeats the fact event.cancelled of events that still have live
// bookings, because a booking may have been made while the fact was being delivered. It
// does not repeat a fact that has not been published yet.
func (s *Service) sweepCancellations(ctx context.Context) error {
	ids, err := s.catalogue.UnfinishedCancellations(ctx, sweepBatch)
	if err != nil {
		return fmt.Errorf("sweep cancelled events: %w", err)
	}
	var failed []error
	for _, id := range ids {
		if err := s.repeatCancellation(ctx, id); err != nil && !errors.Is(err, ErrStale) {
			failed = append(failed, fmt.Errorf("sweep cancelled event %s: %w", id, err))
		}
	}
	return errors.Join(failed...)
}

// repeatCancellation writes another fact that the event is cancelled. It has a new id,
// because brokers drop a message whose id they have seen recently.
func (s *Service) repeatCancellation(ctx context.Context, id string) error {
	e, err := s.events.GetEvent(ctx, id)
	if err != nil {
		return err
	}
	fact, err := s.newFact(eventapi.FactCancelled, e)
	if err != nil {
		return err
	}
	// The new fact replaces the earlier ones. Published facts are retained for a day,
	// so the document would otherwise grow with every sweep. If the process stops
	// between the two writes, the next sweep writes the fact.
	if err := s.events.DropFacts(ctx, id, eventapi.FactCancelled); err != nil {
		return err
	}
	return s.events.WriteDefinition(ctx, e, e.Version, fact)
}
