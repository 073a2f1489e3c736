// Package eventclient is what the booking app asks the event app through its
// sidecar.
package eventclient

import (
	"context"
	"fmt"
	"time"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/apperr"
	"boxoffice/shared/coalesce"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/telemetry"
)

// releaseFor is how long a release may keep its caller: facts and sweeps do the
// same later.
const releaseFor = 2 * time.Second

// patience is how long a reserve waits for the one before it: a hanging event app
// is asked again then, so that the circuit breaker sees it.
const patience = time.Second

// Seats is booking.Seats and booking.Events that ask the event app. Reserves of one
// event that come together share an invocation.
type Seats struct {
	calls   *rpc.Client
	batches *coalesce.Group[*reserve]
}

var (
	_ booking.Seats  = (*Seats)(nil)
	_ booking.Events = (*Seats)(nil)
)

// NewSeats returns the event app as these calls reach it.
func NewSeats(calls *rpc.Client) *Seats {
	return &Seats{calls: calls, batches: coalesce.New(coalesce.Config[*reserve]{
		MaxItems: eventapi.MaxReserves, Timeout: eventapi.ReserveSeats.Timeout, MaxWait: patience,
		Key:    func(r *reserve) string { return r.req.HoldID },
		Follow: telemetry.FollowerSpan(rpc.CallName(eventapi.ReserveSeats)),
	})}
}

// reserve is one of a round's.
type reserve struct {
	req    eventapi.ReserveRequest
	result rpc.Result[eventapi.Reservation]
}

// ReserveSeats implements booking.Seats.
func (s *Seats) ReserveSeats(ctx context.Context, req eventapi.ReserveRequest) (eventapi.Reservation, error) {
	r := &reserve{req: req}
	if err := s.batches.Do(ctx, req.EventID, s.ask, r); err != nil {
		return eventapi.Reservation{}, fmt.Errorf("reserve hold %s: %w", req.HoldID, err)
	}
	return r.result.Data, r.result.Err
}

// ask asks for all of a round.
func (s *Seats) ask(ctx context.Context, round []*reserve, _ func()) {
	reqs := make([]eventapi.ReserveRequest, len(round))
	for i, r := range round {
		reqs[i] = r.req
	}
	results, err := rpc.CallEach(ctx, s.calls, eventapi.ReserveSeats, reqs)
	if err != nil && !apperr.From(err).Failure() {
		// What is refused to all of them at once, as badly put, is no answer to any.
		err = apperr.Fault(err)
	}
	for i, r := range round {
		if err != nil {
			r.result.Err = err
		} else {
			r.result = results[i]
		}
	}
}

// ReleaseSeats implements booking.Seats.
func (s *Seats) ReleaseSeats(ctx context.Context, req eventapi.ReleaseRequest) error {
	ctx, cancel := context.WithTimeout(ctx, releaseFor)
	defer cancel()
	_, err := rpc.Call(ctx, s.calls, eventapi.ReleaseSeats, req)
	return err
}

// GetEvent implements booking.Events.
func (s *Seats) GetEvent(ctx context.Context, eventID string) (eventapi.Event, error) {
	found, err := rpc.Call(ctx, s.calls, eventapi.GetEvent, eventapi.GetRequest{EventID: eventID, ByAdmin: true})
	return found.Event, err
}
