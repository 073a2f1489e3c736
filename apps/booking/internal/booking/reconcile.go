package booking

import (
	"context"
	"fmt"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/validation"
)

// ReconcileBookings implements bookingapi.ReconcileBookings. Its cursor is the id of the
// last booking of the page.
func (s *Service) ReconcileBookings(ctx context.Context, req bookingapi.ReconcileRequest) (bookingapi.ReconcilePage, error) {
	result := bookingapi.ReconcilePage{Bookings: []bookingapi.LiveBooking{}}
	if err := validateReconcile(req); err != nil {
		return result, err
	}
	live, err := s.finder.LiveBookings(ctx, req.EventID, req.Cursor, req.Limit+1) // the extra booking shows whether there is another page
	if err != nil {
		return result, fmt.Errorf("find live bookings of event %s: %w", req.EventID, err)
	}
	if len(live) > req.Limit {
		live = live[:req.Limit]
		result.Next = live[req.Limit-1].ID
	}
	for _, b := range live {
		result.Bookings = append(result.Bookings, bookingapi.LiveBooking{
			BookingID: b.ID, HoldID: b.HoldID, Quantity: b.Quantity, Status: string(b.State),
		})
	}
	return result, nil
}

func validateReconcile(req bookingapi.ReconcileRequest) error {
	var p validation.Problems
	p.ID("eventId", req.EventID)
	p.Range("limit", int64(req.Limit), 1, bookingapi.MaxReconcile)
	if req.Cursor != "" {
		p.ID("cursor", req.Cursor)
	}
	return p.Err()
}
