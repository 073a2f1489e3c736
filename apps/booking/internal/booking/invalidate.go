package booking

import (
	"context"
	"time"

	"boxoffice/shared/cas"
)

// invalidate makes a hold number invalid. After it returns, no create and no late
// confirm can use the number to make the booking live. A booking that is already live
// with this number stays live. current is the record as it was read, or nil if there
// was none. A refused record is kept for the time keep. invalidate returns the booking as
// it is now, or nil if there is only a refused record.
func (s *Service) invalidate(ctx context.Context, id string, number int64, current *Booking, keep time.Duration) (*Booking, error) {
	var result Booking
	isRetry := false
	err := cas.Retry(ctx, func(ctx context.Context) (err error) {
		if isRetry {
			if current, err = s.findRecord(ctx, id); err != nil {
				return err
			}
		}
		isRetry = true
		result, err = s.tryInvalidate(ctx, id, number, current, keep)
		return err
	}, ErrExists, ErrStale)
	switch {
	case err != nil:
		return nil, err
	case result.State == Refused:
		return nil, nil // a refused record is not a booking
	}
	return &result, nil
}

// tryInvalidate makes a hold number invalid and returns the record as it is then. It
// returns ErrExists or ErrStale if the record changed since current was read.
func (s *Service) tryInvalidate(ctx context.Context, id string, number int64, current *Booking, keep time.Duration) (Booking, error) {
	now := s.now()
	if current == nil {
		b := Booking{ID: id, HoldNumber: number + 1, State: Refused, PurgeAt: now.Add(keep), UpdatedAt: now, Revision: 1}
		return b, s.insert(ctx, b)
	}
	b := *current
	switch {
	case b.State == Refused && b.HoldNumber <= number:
		b.HoldNumber = number + 1 // in a refused record: the first valid number
		b.UpdatedAt, b.PurgeAt = now, now.Add(keep)
	case b.State == Refused && b.PurgeAt.Before(b.UpdatedAt.Add(keep)):
		b.PurgeAt = b.UpdatedAt.Add(keep) // the number is invalid, but for too short a time
	case b.State == Expired && b.HoldNumber < number:
		b.HoldNumber = number // in an expired record: the last number used
		b.UpdatedAt = now
	default:
		// The number is already invalid, or the booking is live with it.
		return b, nil
	}
	b.Revision++
	return b, s.replace(ctx, *current, b)
}
