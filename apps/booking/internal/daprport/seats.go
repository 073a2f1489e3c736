// Package daprport is what the booking app asks the event app through its
// sidecar.
package daprport

import (
	"context"
	"time"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// releaseFor is how long a release may keep its caller: facts and sweeps do the
// same later.
const releaseFor = 2 * time.Second

// Seats is booking.Seats and booking.Events that ask the event app.
type Seats struct{ calls *rpc.Client }

var (
	_ booking.Seats  = (*Seats)(nil)
	_ booking.Events = (*Seats)(nil)
)

// NewSeats returns the event app as these calls reach it.
func NewSeats(calls *rpc.Client) *Seats { return &Seats{calls: calls} }

// Reserve implements booking.Seats.
func (s *Seats) Reserve(ctx context.Context, req eventapi.ReserveRequest) (eventapi.Reservation, error) {
	return rpc.Call(ctx, s.calls, eventapi.Reserve, req)
}

// Release implements booking.Seats.
func (s *Seats) Release(ctx context.Context, req eventapi.ReleaseRequest) error {
	ctx, cancel := context.WithTimeout(ctx, releaseFor)
	defer cancel()
	_, err := rpc.Call(ctx, s.calls, eventapi.Release, req)
	return err
}

// Event implements booking.Events.
func (s *Seats) Event(ctx context.Context, eventID string) (eventapi.Event, error) {
	found, err := rpc.Call(ctx, s.calls, eventapi.Fetch, eventapi.FetchRequest{EventID: eventID, ByAdmin: true})
	return found.Event, err
}
