package booking

import (
	"context"
	"errors"

	"boxoffice/shared/contract/eventapi"
)

// reserve reserves the hold of b. If the event is sold out, it expires due bookings of
// the event (see expireDueOfEvent) and, if it expired any, tries once more.
func (s *Service) reserve(ctx context.Context, b Booking) (eventapi.Reservation, error) {
	req := eventapi.ReserveRequest{
		HoldID: b.HoldID, EventID: b.EventID, UserID: b.UserID, Quantity: b.Quantity,
	}
	req.ExpiresAt.Time = b.ExpiresAt
	reservation, err := s.seats.ReserveSeats(ctx, req)
	if !errors.Is(err, errSoldOut) {
		return reservation, err
	}
	expired, failed := s.expireDueOfEvent(ctx, b.EventID)
	if failed != nil || expired == 0 {
		return reservation, err
	}
	return s.seats.ReserveSeats(ctx, req)
}
