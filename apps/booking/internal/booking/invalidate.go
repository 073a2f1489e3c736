package booking

import (
	"context"

	"boxoffice/shared/cas"
)

// invalidate makes a hold number invalid. After it returns, no create and no late
// confirm can use the number to make the booking live. A booking that is already live
// with this number stays live. current is the record as it was read, or nil if there
// was none. invalidate returns the booking as it is now, or nil if there is only a
// refused record.
func (s *Service) invalidate(ctx context.Context, id string, number int64, current *Booking) (*Booking, error) {
	var result Booking
	isRetry := false
	err := cas.Retry(ctx, func(ctx context.Context) (err error) {
		if isRetry {
			if current, err = s.findRecord(ctx, id); err != nil {
				return err
			}
		}
		isRetry = true
		result, err = s.tryInvalidate(ctx, id, number, current)
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
func (s *Service) tryInvalidate(ctx context.Context, id string, number int64, current *Booking) (Booking, error) {
	if current == nil {
		b := Booking{ID: id, HoldNumber: number + 1, State: Refused, UpdatedAt: s.now(), Revision: 1}
		return b, s.insert(ctx, b)
	}
	b := *current
	switch {
	case b.State == Refused && b.HoldNumber <= number:
		b.HoldNumber = number + 1 // in a refused record: the first valid number
	case b.State == Expired && b.HoldNumber < number:
		b.HoldNumber = number // in an expired record: the last number used
	default:
		// The number is already invalid, or the booking is live with it.
		return b, nil
	}
	b.UpdatedAt = s.now()
	b.Revision++
	return b, s.replace(ctx, *current, b)
}
