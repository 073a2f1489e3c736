// Package eventclient calls the event app through the sidecar. It implements the
// booking app's ports Seats and Events.
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

const (
	// releaseTimeout limits how long a release delays its caller. It can be short,
	// because the event app also releases the seats when it receives the fact, or in
	// its sweep.
	releaseTimeout = 2 * time.Second

	// maxBatchWait limits how long a reserve waits for the running batch. If the event
	// app hangs, further batches must still reach it, or the circuit breaker would not
	// see enough failures to open.
	maxBatchWait = time.Second
)

// Seats implements booking.Seats and booking.Events. Reserves of one event that arrive
// while a batch is running are sent together in the next one. Seats is safe for
// concurrent use.
type Seats struct {
	client  *rpc.Client
	batches *coalesce.Group[*reserve]
}

var (
	_ booking.Seats  = (*Seats)(nil)
	_ booking.Events = (*Seats)(nil)
)

// NewSeats returns a Seats that calls the event app with client.
func NewSeats(client *rpc.Client) *Seats {
	return &Seats{client: client, batches: coalesce.New(coalesce.Config[*reserve]{
		MaxItems: eventapi.MaxReserves, Timeout: eventapi.ReserveSeats.Timeout, MaxWait: maxBatchWait,
		Key:    func(r *reserve) string { return r.req.HoldID },
		Follow: telemetry.FollowerSpan(rpc.CallName(eventapi.ReserveSeats)),
	})}
}

// reserve is a member of a batch.
type reserve struct {
	req    eventapi.ReserveRequest
	result rpc.Result[eventapi.Reservation]
}

// ReserveSeats implements booking.Seats.
func (s *Seats) ReserveSeats(ctx context.Context, req eventapi.ReserveRequest) (eventapi.Reservation, error) {
	r := &reserve{req: req}
	if err := s.batches.Do(ctx, req.EventID, s.reserveBatch, r); err != nil {
		return eventapi.Reservation{}, fmt.Errorf("reserve hold %s: %w", req.HoldID, err)
	}
	return r.result.Data, r.result.Err
}

// reserveBatch sends a batch to the event app and sets the result of each member.
func (s *Seats) reserveBatch(ctx context.Context, batch []*reserve, _ func()) {
	reqs := make([]eventapi.ReserveRequest, len(batch))
	for i, r := range batch {
		reqs[i] = r.req
	}
	results, err := rpc.CallEach(ctx, s.client, eventapi.ReserveSeats, reqs)
	if err != nil && !apperr.From(err).Failure() {
		// A refusal of the whole batch, for example as malformed, says nothing about any
		// single reserve, so no member may treat it as a definite refusal.
		err = apperr.Fault(err)
	}
	for i, r := range batch {
		if err != nil {
			r.result.Err = err
		} else {
			r.result = results[i]
		}
	}
}

// ReleaseSeats implements booking.Seats. It gives up after releaseTimeout.
func (s *Seats) ReleaseSeats(ctx context.Context, req eventapi.ReleaseRequest) error {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	_, err := rpc.Call(ctx, s.client, eventapi.ReleaseSeats, req)
	return err
}

// GetEvent implements booking.Events.
func (s *Seats) GetEvent(ctx context.Context, eventID string) (eventapi.Event, error) {
	found, err := rpc.Call(ctx, s.client, eventapi.GetEvent, eventapi.GetRequest{EventID: eventID, ByAdmin: true})
	return found.Event, err
}
