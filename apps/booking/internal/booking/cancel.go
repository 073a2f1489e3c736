package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// CancelBooking ends a booking; see bookingapi.CancelBooking.
func (s *Service) CancelBooking(ctx context.Context, req bookingapi.CancelRequest) (bookingapi.Booking, error) {
	b, err := s.visible(ctx, req)
	if err != nil {
		return bookingapi.Booking{}, err
	}
	reason := ByUser
	if b.UserID != req.UserID {
		reason = ByAdmin
	}
	b, err = s.update(ctx, b, func(b Booking) (Booking, error) {
		if b.State == Confirmed {
			if err := s.withinCutoff(ctx, b); err != nil {
				return b, err
			}
		}
		return s.cancel(ctx, b, reason, s.releases())
	})
	if err != nil {
		return bookingapi.Booking{}, err
	}
	return b.Public(), nil
}

// withinCutoff refuses to cancel what is confirmed too shortly before the event.
func (s *Service) withinCutoff(ctx context.Context, b Booking) error {
	e, err := s.events.GetEvent(ctx, b.EventID)
	switch {
	case err != nil:
		return fmt.Errorf("cancel booking %s: %w", b.ID, err)
	case e.Status == eventapi.StatusCancelled:
		return nil // that cancels it anyway
	}
	if last := e.StartsAt.Add(-time.Duration(e.CancellationCutoffHours) * time.Hour); !s.now().Before(last) {
		return ErrCutoffPassed
	}
	return nil
}

func (s *Service) cancel(ctx context.Context, b Booking, reason Reason, holds *releases) (Booking, error) {
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
	holds.release(ctx, next)
	return next, nil
}

// OnEventCancelled cancels the live bookings of the event.
func (s *Service) OnEventCancelled(ctx context.Context, fact eventapi.Fact) error {
	var failed []error
	holds, after := s.releases(), ""
	for {
		live, err := s.finder.LiveBookings(ctx, fact.Resource.ID, after, batch)
		if err != nil {
			return fmt.Errorf("find bookings of event %s: %w", fact.Resource.ID, err)
		}
		for _, b := range live {
			after = b.ID
			_, err := s.update(ctx, b, func(b Booking) (Booking, error) { return s.cancel(ctx, b, ByEventCancelled, holds) })
			if err != nil && !errors.Is(err, ErrExpired) {
				failed = append(failed, err)
			}
		}
		if len(live) < batch {
			return errors.Join(failed...)
		}
	}
}
