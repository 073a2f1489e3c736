package booking

import (
	"context"

	"boxoffice/shared/cas"
)

// update applies change to b and returns its result. If change returns ErrStale,
// update reads the booking again and retries. It returns ErrNotFound if the booking no
// longer exists, and cas.Retry's error if the record keeps changing.
func (s *Service) update(ctx context.Context, b Booking, change func(b Booking) (Booking, error)) (Booking, error) {
	isRetry := false
	err := cas.Retry(ctx, func(ctx context.Context) (err error) {
		if isRetry {
			if b, err = s.reread(ctx, b.ID); err != nil {
				return err
			}
		}
		isRetry = true
		b, err = change(b)
		return err
	}, ErrStale)
	return b, err
}

// reread returns the current record of a booking that was read before. It returns
// ErrNotFound if there is no record, or only a refused one.
func (s *Service) reread(ctx context.Context, id string) (Booking, error) {
	current, err := s.findRecord(ctx, id)
	switch {
	case err != nil:
		return Booking{}, err
	case current == nil || current.State == Refused:
		return Booking{}, ErrNotFound
	}
	return *current, nil
}
