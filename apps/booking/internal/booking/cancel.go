package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// CancelBooking implements bookingapi.CancelBooking.
func (s *Service) CancelBooking(ctx context.Context, req bookingapi.CancelRequest) (bookingapi.Booking, error) {
	b, err := s.visibleBooking(ctx, req)
	if err != nil {
		return bookingapi.Booking{}, err
	}
	reason := ByUser
	if b.UserID != req.UserID {
		reason = ByAdmin
	}
	b, err = s.update(ctx, b, func(b Booking) (Booking, error) {
		if b.State == Confirmed {
			if err := s.checkCutoff(ctx, b); err != nil {
				return b, err
			}
		}
		return s.cancel(ctx, b, reason, s.newReleaser())
	})
	if err != nil {
		return bookingapi.Booking{}, err
	}
	return b.Public(), nil
}

// checkCutoff returns ErrCutoffPassed if it is too late to cancel the confirmed
// booking b.
func (s *Service) checkCutoff(ctx context.Context, b Booking) error {
	e, err := s.events.GetEvent(ctx, b.EventID)
	switch {
	case err != nil:
		return fmt.Errorf("cancel booking %s: %w", b.ID, err)
	case e.Status == eventapi.StatusCancelled:
		return nil // the booking is going to be cancelled with its event
	}
	if last := e.StartsAt.Add(-time.Duration(e.CancellationCutoffHours) * time.Hour); !s.now().Before(last) {
		return ErrCutoffPassed
	}
	return nil
}

// cancel cancels b and releases its seats. It returns ErrStale if the record
// changed since b was read.
func (s *Service) cancel(ctx context.Context, b Booking, reason CancelReason, seats *releaser) (Booking, error) {
	switch b.State {
	case Cancelled:
		return b, nil
	case Expired:
		return b, ErrExpired
	case Refused:
		return b, ErrNotFound
	case Pending, Confirmed:
	}
	next := b
	next.State, next.CancelledAt, next.CancelReason = Cancelled, s.now(), reason
	next.UpdatedAt = next.CancelledAt
	next.Revision++
	if err := s.replace(ctx, b, next); err != nil {
		return b, err
	}
	seats.release(ctx, next)
	return next, nil
}

// OnEventCancelled cancels the live bookings of a cancelled event. It tries all of
// them, even if some cannot be cancelled, and returns the errors joined. It is
// idempotent and may run concurrently.
func (s *Service) OnEventCancelled(ctx context.Context, fact eventapi.Fact) error {
	var failed []error
	seats, after := s.newReleaser(), ""
	for {
		live, err := s.finder.LiveBookings(ctx, fact.Resource.ID, after, batchSize)
		if err != nil {
			return fmt.Errorf("find bookings of event %s: %w", fact.Resource.ID, err)
		}
		for _, b := range live {
			after = b.ID
			_, err := s.update(ctx, b, func(b Booking) (Booking, error) { return s.cancel(ctx, b, ByEventCancelled, seats) })
			if err != nil && !errors.Is(err, ErrExpired) {
				failed = append(failed, err)
			}
		}
		if len(live) < batchSize {
			return errors.Join(failed...)
		}
	}
}
