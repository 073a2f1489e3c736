package event

import (
	"context"
	"errors"
	"fmt"

	"boxoffice/shared/contract/eventapi"
)

// Cleanup deletes events that have ended and never sold a ticket, folds old entries of
// capacity logs, and compares events with their holds and bookings. It returns the number of deleted events. A failure does not stop the rest of
// the cleanup; Cleanup returns all errors, joined.
func (s *Service) Cleanup(ctx context.Context) (int, error) {
	defer s.locks.Lock(ctx, "sweep:events")()
	n, err := s.deleteUnsold(ctx)
	return n, errors.Join(err, s.foldLogs(ctx), s.reconcileEvents(ctx))
}

// deleteUnsold deletes up to sweepBatch events that have ended and never sold a ticket. It
// returns the number of deleted events.
func (s *Service) deleteUnsold(ctx context.Context) (int, error) {
	ids, err := s.catalogue.EndedUnsold(ctx, s.now(), sweepBatch)
	if err != nil {
		return 0, fmt.Errorf("clean up events: %w", err)
	}
	var failed []error
	n := 0
	for _, id := range ids {
		switch _, err := s.DeleteEvent(ctx, eventapi.ChangeRequest{EventID: id, ChangeID: s.ids.NewID()}); {
		case err == nil:
			n++
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrHasBookings):
			// The event is gone, or still has a pending booking, which will expire.
		default:
			failed = append(failed, fmt.Errorf("clean up event %s: %w", id, err))
		}
	}
	return n, errors.Join(failed...)
}
