package booking

import (
	"context"

	"boxoffice/shared/cas"
)

// kill makes a number dead: afterwards no create or late confirm can make the
// booking live by it, other than one that has done so. known is the record as it
// was read, or nil. It returns the booking that is there, and nil when there is
// only a refused record.
func (s *Service) kill(ctx context.Context, id string, n int64, known *Booking) (*Booking, error) {
	var dead Booking
	isStale := false
	err := cas.Retry(ctx, func(ctx context.Context) (err error) {
		if isStale {
			if known, err = s.look(ctx, id); err != nil {
				return err
			}
		}
		isStale = true
		dead, err = s.killKnown(ctx, id, n, known)
		return err
	}, ErrExists, ErrStale)
	switch {
	case err != nil:
		return nil, err
	case dead.State == Refused:
		return nil, nil // there is no booking
	}
	return &dead, nil
}

// killKnown returns the record after which the number is dead.
func (s *Service) killKnown(ctx context.Context, id string, n int64, known *Booking) (Booking, error) {
	if known == nil {
		b := Booking{ID: id, HoldNumber: n + 1, State: Refused, UpdatedAt: s.now(), Revision: 1}
		return b, s.insert(ctx, b)
	}
	b := *known
	switch {
	case b.State == Refused && b.HoldNumber <= n:
		b.HoldNumber = n + 1 // the first that may be used
	case b.State == Expired && b.HoldNumber < n:
		b.HoldNumber = n // the last that was
	default:
		// Nothing comes to live from here by this number.
		return b, nil
	}
	b.UpdatedAt = s.now()
	b.Revision++
	return b, s.replace(ctx, *known, b)
}
