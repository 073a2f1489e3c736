package booking

import (
	"context"
	"errors"
)

// again runs fn on a booking until it is not overtaken by another change.
func (s *Service) again(ctx context.Context, b Booking, fn func(b Booking) (Booking, error)) (Booking, error) {
	for range maxRounds {
		next, err := fn(b)
		if !errors.Is(err, ErrStale) {
			return next, err
		}
		there, err := s.look(ctx, b.ID)
		switch {
		case err != nil:
			return Booking{}, err
		case there == nil || there.State == Refused:
			return Booking{}, ErrNotFound
		}
		b = *there
	}
	return Booking{}, overtaken()
}
