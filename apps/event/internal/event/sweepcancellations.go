package event

import (
	"context"
	"errors"
	"fmt"

	"boxoffice/shared/contract/eventapi"
)

// cancellationsPerSweep limits the cancelled events whose facts one sweep repeats. Each
// repetition moves its event to the end of the order, so all of them have their turn.
const cancellationsPerSweep = 500

// sweepCancellations repeats the fact event.cancelled of events that still have live
// bookings, because a booking may have been made while the fact was being delivered. It
// does not repeat a fact that has not been published yet.
func (s *Service) sweepCancellations(ctx context.Context) error {
	ids, err := s.catalogue.UnfinishedCancellations(ctx, cancellationsPerSweep)
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
