package booking

import (
	"context"
	"errors"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
)

// ConfirmBooking makes a booking final; see bookingapi.ConfirmBooking.
func (s *Service) ConfirmBooking(ctx context.Context, req bookingapi.ConfirmRequest) (bookingapi.Booking, error) {
	if err := validConfirm(req); err != nil {
		return bookingapi.Booking{}, err
	}
	b, err := s.visible(ctx, bookingapi.GetRequest{BookingID: req.BookingID, UserID: req.UserID, ByAdmin: req.ByAdmin})
	if err != nil {
		return bookingapi.Booking{}, err
	}
	n := b.HoldNumber
	b, err = s.update(ctx, b, func(b Booking) (Booking, error) {
		if b.State == Expired && b.HoldNumber != n {
			// Another confirm was refused meanwhile, for good.
			return b, overtaken()
		}
		return s.confirm(ctx, b, req.PaymentReference)
	})
	if err != nil {
		return bookingapi.Booking{}, err
	}
	return b.Public(), nil
}

func (s *Service) confirm(ctx context.Context, b Booking, reference *string) (Booking, error) {
	now := s.now()
	if b.State == Pending && b.due(now) {
		expired, err := s.expire(ctx, b, s.releases())
		if err != nil {
			return b, err
		}
		b = expired
	}
	next := b
	next.State, next.ConfirmedAt, next.UpdatedAt = Confirmed, now, now
	next.Revision++
	if reference != nil {
		next.PaymentReference = *reference
	}
	switch b.State {
	case Confirmed:
		return b, nil
	case Pending:
		return next, s.replace(ctx, b, next)
	case Expired:
		return s.confirmLate(ctx, b, next)
	case Cancelled:
		return b, ErrNotPending
	case Refused:
	}
	return b, ErrNotFound
}

// confirmLate takes new seats for a booking that has expired. Like a create it
// uses one number only, and refuses for good only after that was made dead.
func (s *Service) confirmLate(ctx context.Context, was, next Booking) (Booking, error) {
	next.HoldNumber = was.HoldNumber + 1
	next.HoldID = holdID(was.ID, next.HoldNumber, was.Fingerprint)
	wanted := next
	wanted.ExpiresAt = next.UpdatedAt.Add(s.ttl)
	// What a ticket costs now does not matter: the price was agreed on.
	if _, err := s.reserve(ctx, wanted); err != nil {
		if apperr.VerdictOf(err) != apperr.Refused {
			return was, err
		}
		there, failed := s.kill(ctx, was.ID, next.HoldNumber, &was)
		switch {
		case failed != nil:
			return was, failed
		case there == nil:
			return was, ErrNotFound
		case there.State != Expired:
			return was, ErrStale // a twin got on: look again
		case errors.Is(err, errHoldDead):
			return was, overtaken()
		}
		return was, ErrExpired.WithCause(err)
	}
	err := s.replace(ctx, was, next)
	if !errors.Is(err, ErrStale) {
		return next, err
	}
	there, failed := s.look(ctx, was.ID)
	if failed != nil {
		return was, failed
	}
	if there == nil || there.HoldID != next.HoldID {
		s.releases().release(ctx, next)
	}
	if there != nil && there.State == Expired {
		return was, overtaken()
	}
	return was, err
}
