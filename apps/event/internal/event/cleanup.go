package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/contract/eventapi"
)

const (
	// cleanupPage limits the ended events that a cleanup reads together.
	cleanupPage = 500
	// deleteBudget limits how long a cleanup deletes events, so that its other jobs have
	// their turn. The next cleanup goes on.
	deleteBudget = 10 * time.Second
)

// Cleanup deletes events that have ended and never sold a ticket, folds old entries of
// capacity logs, and compares events with their holds and bookings. It returns the number of
// deleted events. A failure does not stop the rest of the cleanup; Cleanup returns all errors,
// joined.
func (s *Service) Cleanup(ctx context.Context) (int, error) {
	defer s.locks.Lock(ctx, "sweep:events")()
	n, err := s.deleteUnsold(ctx)
	return n, errors.Join(err, s.foldLogs(ctx), s.reconcileEvents(ctx))
}

// deleteUnsold deletes events that have ended and never sold a ticket, the ones that ended
// first before the others. It returns the number of deleted events. It stops after
// deleteBudget, or after a page of which it could delete none.
func (s *Service) deleteUnsold(ctx context.Context) (int, error) {
	start, n := s.now(), 0
	var failed []error
	for s.now().Sub(start) < deleteBudget {
		ids, err := s.catalogue.EndedUnsold(ctx, start, cleanupPage)
		if err != nil {
			return n, errors.Join(append(failed, fmt.Errorf("clean up events: %w", err))...)
		}
		deleted := 0
		for _, id := range ids {
			isDeleted, err := s.deleteEnded(ctx, id)
			if isDeleted {
				deleted++
			}
			if err != nil && len(failed) < maxReported {
				failed = append(failed, fmt.Errorf("clean up event %s: %w", id, err))
			}
		}
		n += deleted
		if deleted == 0 || len(ids) < cleanupPage {
			break
		}
	}
	return n, errors.Join(failed...)
}

// deleteEnded deletes an event. It reports whether it did. An event that is gone, or that still
// has a pending booking, which will expire, is no error.
func (s *Service) deleteEnded(ctx context.Context, id string) (isDeleted bool, err error) {
	_, err = s.DeleteEvent(ctx, eventapi.ChangeRequest{EventID: id, ChangeID: s.ids.NewID()})
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrHasBookings) {
		return false, nil
	}
	return err == nil, err
}
