package booking

import (
	"context"
	"errors"
	"slices"

	"boxoffice/shared/apperr"
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

// releaser releases seats on a best-effort basis, for the holds of one operation, one
// sweep or one claim of a job. It drops errors, because the event app also releases the
// seats when it receives the fact, or in its sweep.
type releaser struct {
	seats     Seats
	isStopped bool
}

func (s *Service) newReleaser() *releaser { return &releaser{seats: s.seats} }

// release releases the seats of bookings. Bookings of one event share calls, up to
// eventapi.MaxReserves in each. Once a call has failed with anything but a definite
// refusal, release does nothing: if the event app hangs, each further call would wait for
// its deadline, and a sweep of many bookings would not finish.
func (r *releaser) release(ctx context.Context, bookings ...Booking) {
	byEvent := map[string][]eventapi.ReleaseRequest{}
	var events []string // in the order of their first bookings
	for _, b := range bookings {
		if _, seen := byEvent[b.EventID]; !seen {
			events = append(events, b.EventID)
		}
		byEvent[b.EventID] = append(byEvent[b.EventID], eventapi.ReleaseRequest{
			HoldID: b.HoldID, EventID: b.EventID, UserID: b.UserID, Quantity: b.Quantity, Cause: releaseCause(b),
		})
	}
	for _, event := range events {
		for reqs := range slices.Chunk(byEvent[event], eventapi.MaxReserves) {
			if r.isStopped {
				return
			}
			for _, err := range r.seats.ReleaseSeats(ctx, reqs) {
				r.isStopped = r.isStopped || err != nil && apperr.VerdictOf(err) != apperr.Refused
			}
		}
	}
}

// releaseCause returns why the seats of b are released, for the event's capacity log.
func releaseCause(b Booking) string {
	switch b.State {
	case Cancelled:
		return eventapi.CauseCancelled
	case Expired:
		return eventapi.CauseExpired
	case Pending, Confirmed, Refused:
	}
	return eventapi.CauseReleased
}
