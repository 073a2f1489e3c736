package booking

import (
	"context"
	"errors"
	"fmt"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
)

// ConfirmBooking implements bookingapi.ConfirmBooking.
func (s *Service) ConfirmBooking(ctx context.Context, req bookingapi.ConfirmRequest) (bookingapi.Booking, error) {
	if err := validateConfirm(req); err != nil {
		return bookingapi.Booking{}, err
	}
	b, err := s.visibleBooking(ctx, bookingapi.GetRequest{BookingID: req.BookingID, UserID: req.UserID, ByAdmin: req.ByAdmin})
	if err != nil {
		return bookingapi.Booking{}, err
	}
	readNumber := b.HoldNumber
	b, err = s.update(ctx, b, func(b Booking) (Booking, error) {
		if b.State == Expired && b.HoldNumber != readNumber {
			// The next hold number was invalidated after this confirm started: a
			// concurrent confirm was refused, or SettleHold was called.
			return b, superseded()
		}
		return s.confirm(ctx, b, req.PaymentReference)
	})
	if err != nil {
		return bookingapi.Booking{}, err
	}
	return b.Public(), nil
}

// confirm confirms b. If b is due, it first expires b and then reserves new seats. It
// returns ErrStale if the record changed since b was read.
func (s *Service) confirm(ctx context.Context, b Booking, reference *string) (Booking, error) {
	now := s.now()
	if b.State == Pending && b.isDue(now) {
		expired, err := s.expire(ctx, b)
		if err != nil {
			return b, err
		}
		s.newDischarger().move(ctx, expired)
		b = expired
	}
	next := b
	next.ConfirmedAt = now
	if reference != nil {
		next.PaymentReference = *reference
	}
	switch b.State {
	case Confirmed:
		return b, nil
	case Pending:
		next = next.moveTo(Confirmed, now)
		return next, s.replace(ctx, b, next)
	case Expired:
		next.HoldNumber = b.HoldNumber + 1
		next.HoldID = bookingapi.HoldID(b.ID, next.HoldNumber, b.Fingerprint)
		return s.confirmLate(ctx, b, next.moveTo(Confirmed, now))
	case Cancelled:
		return b, ErrNotPending
	case Refused:
	}
	return b, ErrNotFound
}

// confirmLate reserves the hold of next, which is new, for an expired booking, and stores
// next, its confirmed record. Like a create it uses one hold number only, and invalidates it
// before it refuses.
func (s *Service) confirmLate(ctx context.Context, expired, next Booking) (Booking, error) {
	if err := s.reserveLate(ctx, expired, next); err != nil {
		return expired, s.refuseLateConfirm(ctx, expired, next.HoldNumber, err)
	}
	err := s.replace(ctx, expired, next)
	if !errors.Is(err, ErrStale) {
		return next, err
	}
	return expired, s.abandonLateConfirm(ctx, next)
}

// reserveLate reserves the hold of next for an expired booking. The booking keeps the price at
// which it was created, so the reservation's unit price is ignored.
//
// If the reserve is refused while the booking still owes the release of its old hold, the old
// hold may be the very reason: it may have the last seats, or the user's last tickets. The
// refusal then counts only after the old hold was released.
func (s *Service) reserveLate(ctx context.Context, expired, next Booking) error {
	hold := next
	hold.ExpiresAt = next.UpdatedAt.Add(s.ttl)
	_, err := s.reserve(ctx, hold)
	old, isOwed := expired.Owes.release(expired.HoldID)
	if err == nil || apperr.VerdictOf(err) != apperr.Refused || !isOwed {
		return err
	}
	if failed := s.moveHolds(ctx, []owed{{old, expired}})[0]; failed != nil {
		if apperr.VerdictOf(failed) == apperr.Refused {
			return err
		}
		return fmt.Errorf("release the seats of booking %s before a late confirm: %w", expired.ID, failed)
	}
	_, err = s.reserve(ctx, hold)
	return err
}

// refuseLateConfirm ends a late confirm that could not reserve seats, and returns its
// error. It returns ErrStale if the booking is no longer expired.
func (s *Service) refuseLateConfirm(ctx context.Context, expired Booking, number int64, refusal error) error {
	if apperr.VerdictOf(refusal) != apperr.Refused {
		return refusal
	}
	current, err := s.invalidate(ctx, expired.ID, number, &expired, refusedRetention)
	switch {
	case err != nil:
		return err
	case current == nil:
		return ErrNotFound
	case current.State != Expired:
		return ErrStale // a concurrent confirm succeeded
	case errors.Is(refusal, errHoldReleased):
		return superseded()
	}
	return ErrExpired.WithCause(refusal)
}

// abandonLateConfirm ends a late confirm whose record changed after the seats were
// reserved. It releases the seats unless the booking now uses the same hold. It returns
// the error of superseded if the hold number was invalidated, and ErrStale otherwise.
func (s *Service) abandonLateConfirm(ctx context.Context, lost Booking) error {
	current, err := s.findRecord(ctx, lost.ID)
	if err != nil {
		return err
	}
	if current == nil || current.HoldID != lost.HoldID {
		s.releaseUnused(ctx, lost)
	}
	if current != nil && current.State == Expired {
		return superseded()
	}
	return ErrStale
}
