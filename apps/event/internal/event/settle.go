package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// sweepBatch is how many documents of a kind one sweep takes on; the others wait
// for the next.
const sweepBatch = 500

// Sweep finds what crashes and lost facts left and finishes it. It may run
// anywhere, any number of times and at once. What fails does not stop the rest;
// the error is of all that failed.
func (s *Service) Sweep(ctx context.Context) error {
	defer s.locks.Lock(ctx, "sweep:holds")()
	return errors.Join(
		s.FlushLinks(ctx),
		s.sweepMarks(ctx),
		s.sweepHolds(ctx),
		s.sweepLimits(ctx),
		s.sweepCancellations(ctx),
	)
}

// FlushLinks writes down which holds were heard of since it last did, so that nobody asks
// about them. A sweep begins with it, and a program ends with it.
func (s *Service) FlushLinks(ctx context.Context) error {
	for {
		at := s.heard.take(linkBatch)
		if len(at) == 0 {
			return nil
		}
		if err := s.holds.PostponeSettle(ctx, at); err != nil {
			return fmt.Errorf("link %d holds: %w", len(at), err)
		}
	}
}

// sweepMarks finishes steps that were left unfinished. Marks of events that still
// sell go with later moves, so only old ones are looked for.
func (s *Service) sweepMarks(ctx context.Context) error {
	ids, err := s.catalogue.MarkedEvents(ctx, s.now().Add(-s.settleAfter), sweepBatch)
	if err != nil {
		return fmt.Errorf("sweep marks: %w", err)
	}
	var failed []error
	for _, id := range ids {
		e, err := s.events.GetEvent(ctx, id)
		if err == nil {
			err = s.clearMarks(ctx, e)
		}
		// Stale: somebody moves seats there, and finds the marks himself.
		if err != nil && !errors.Is(err, ErrStale) && !errors.Is(err, ErrNoEvent) {
			failed = append(failed, fmt.Errorf("sweep marks of event %s: %w", id, err))
		}
	}
	return errors.Join(failed...)
}

// sweepHolds asks about holds whose time has come.
func (s *Service) sweepHolds(ctx context.Context) error {
	holds, err := s.holds.HoldsToSettle(ctx, s.now(), sweepBatch)
	if err != nil {
		return fmt.Errorf("sweep holds: %w", err)
	}
	var failed []error
	for _, h := range holds {
		answer, err := s.bookings.SettleHold(ctx, h.ID)
		if err == nil {
			err = s.settle(ctx, h, answer)
		} else if apperr.Unanswered(err) {
			// Each question would wait for its deadline, and the rest of the sweep
			// for all of them. The next sweep asks again.
			return errors.Join(append(failed, fmt.Errorf("ask about hold %s: %w", h.ID, err))...)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("settle hold %s: %w", h.ID, err))
		}
	}
	return errors.Join(failed...)
}

// settle does what the booking app said about a hold.
func (s *Service) settle(ctx context.Context, h Hold, answer bookingapi.Settlement) error {
	switch {
	case !answer.Live:
		return s.release(ctx, h)
	case answer.Confirmed:
		// The fact that says so was lost, or is late.
		return s.sell(ctx, h.EventID, h.ID)
	}
	next := s.now()
	if h.ExpiresAt.After(next) {
		next = h.ExpiresAt
	}
	return s.holds.PostponeSettle(ctx, map[string]time.Time{h.ID: next.Add(s.settleAfter)})
}

// sweepLimits settles stamps that are older than any reserve runs.
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

// sweepCancellations says again that an event is cancelled while bookings of it
// are live: one may have been made when the fact was on its way. Each time it is
// a fact of its own, since brokers drop what they saw a moment ago; and it is not
// said while what was said before waits to be published.
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

func (s *Service) repeatCancellation(ctx context.Context, id string) error {
	e, err := s.events.GetEvent(ctx, id)
	if err != nil {
		return err
	}
	fact, err := s.fact(eventapi.FactCancelled, e)
	if err != nil {
		return err
	}
	// It takes the place of what was said before: published facts stay for a day,
	// and the document would grow with every sweep while a booking lives on. Should
	// this end in between, the next sweep says it.
	if err := s.events.DropFacts(ctx, id, eventapi.FactCancelled); err != nil {
		return err
	}
	return s.events.WriteDefinition(ctx, e, e.Version, fact)
}

// Cleanup deletes events that are past their end and were never sold. It returns
// how many.
func (s *Service) Cleanup(ctx context.Context) (int, error) {
	defer s.locks.Lock(ctx, "sweep:events")()
	ids, err := s.catalogue.EndedUnsold(ctx, s.now(), sweepBatch)
	if err != nil {
		return 0, fmt.Errorf("clean up events: %w", err)
	}
	var failed []error
	n := 0
	for _, id := range ids {
		switch _, err := s.DeleteEvent(ctx, eventapi.GetRequest{EventID: id, ByAdmin: true}); {
		case err == nil:
			n++
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrHasBookings):
			// Gone, or a pending booking of the last minute: it lapses.
		default:
			failed = append(failed, fmt.Errorf("clean up event %s: %w", id, err))
		}
	}
	return n, errors.Join(failed...)
}
