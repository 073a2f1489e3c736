package booking

import (
	"context"
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
		return s.cancel(ctx, b, reason)
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

// cancel cancels b and releases its seats. It returns ErrStale if the record changed
// since b was read.
func (s *Service) cancel(ctx context.Context, b Booking, reason CancelReason) (Booking, error) {
	switch b.State {
	case Cancelled:
		return b, nil
	case Expired:
		return b, ErrExpired
	case Refused:
		return b, ErrNotFound
	case Pending, Confirmed:
	}
	next := b.cancelled(reason, s.now())
	if err := s.replace(ctx, b, next); err != nil {
		return b, err
	}
	s.newDischarger().move(ctx, next)
	return next, nil
}

// cancelled returns the live booking b as it is after a cancellation at the given time.
func (b Booking) cancelled(reason CancelReason, now time.Time) Booking {
	b.CancelledAt, b.CancelReason = now, reason
	return b.moveTo(Cancelled, now)
}
