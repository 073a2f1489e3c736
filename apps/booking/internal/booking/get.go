package booking

import (
	"context"

	"boxoffice/shared/contract/bookingapi"
)

// GetBooking implements bookingapi.GetBooking.
func (s *Service) GetBooking(ctx context.Context, req bookingapi.GetRequest) (bookingapi.Booking, error) {
	b, err := s.visibleBooking(ctx, req)
	if err != nil {
		return bookingapi.Booking{}, err
	}
	return b.Public(), nil
}

// visibleBooking returns the booking if the caller is its owner or an admin.
// Otherwise it returns ErrNotFound, so that other users cannot learn whether the
// booking exists.
func (s *Service) visibleBooking(ctx context.Context, req bookingapi.GetRequest) (Booking, error) {
	b, err := s.findRecord(ctx, req.BookingID)
	switch {
	case err != nil:
		return Booking{}, err
	case b == nil, b.State == Refused, !req.ByAdmin && b.UserID != req.UserID:
		return Booking{}, ErrNotFound
	}
	return *b, nil
}
