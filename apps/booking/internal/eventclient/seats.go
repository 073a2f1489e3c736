// Package eventclient calls the event app through the sidecar. It implements the
// booking app's ports Seats and Events.
package eventclient

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/metric"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/apperr"
	"boxoffice/shared/coalesce"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/metrics"
	"boxoffice/shared/rpc"
	"boxoffice/shared/telemetry"
)

const (
	// releaseTimeout limits how long a release or a sale delays its caller. It can be short,
	// because the booking owes the move until the event app has acknowledged it.
	releaseTimeout = 2 * time.Second

	// maxBatchWait limits how long a request waits for the running batch. If the event
	// app hangs, further batches must still reach it, or the circuit breaker would not
	// see enough failures to open.
	maxBatchWait = time.Second
)

// Seats implements booking.Seats and booking.Events. Reserves of one event that arrive
// while a batch of them is running are sent together in the next one, and so are releases.
// Seats is safe for concurrent use.
type Seats struct {
	client   *rpc.Client
	reserves *coalesce.Group[*member[eventapi.ReserveRequest, eventapi.Reservation]]
	releases *coalesce.Group[*member[eventapi.ReleaseRequest, rpc.Nothing]]
	sales    *coalesce.Group[*member[eventapi.SellRequest, rpc.Nothing]]
}

var (
	_ booking.Seats  = (*Seats)(nil)
	_ booking.Events = (*Seats)(nil)
)

// NewSeats returns a Seats that calls the event app with client, and measures its batches.
func NewSeats(client *rpc.Client, meters metric.MeterProvider) *Seats {
	return &Seats{
		client: client,
		reserves: newBatches(meters, eventapi.ReserveSeats, eventapi.ReserveSeats.Timeout,
			func(r eventapi.ReserveRequest) string { return r.HoldID }),
		releases: newBatches(meters, eventapi.ReleaseSeats, releaseTimeout,
			func(r eventapi.ReleaseRequest) string { return r.HoldID }),
		sales: newBatches(meters, eventapi.SellSeats, releaseTimeout,
			func(r eventapi.SellRequest) string { return r.HoldID }),
	}
}

// member is a request in a batch, and its result.
type member[Req, Res any] struct {
	req    Req
	result rpc.Result[Res]
}

// newBatches returns a group whose batches each make one call of op. No batch contains two
// requests about the same hold.
func newBatches[Req, Res any](meters metric.MeterProvider, op rpc.Op[[]Req, []rpc.Answer[Res]], timeout time.Duration,
	hold func(Req) string,
) *coalesce.Group[*member[Req, Res]] {
	return coalesce.New(coalesce.Config[*member[Req, Res]]{
		MaxItems: eventapi.MaxReserves, Timeout: timeout, MaxWait: maxBatchWait,
		Key:    func(m *member[Req, Res]) string { return hold(m.req) },
		Follow: telemetry.FollowerSpan(rpc.CallName(op)), Started: metrics.NewBatchItems(meters, op.Method),
	})
}

// send returns a function that sends a batch to the event app and sets the result of each
// member.
func send[Req, Res any](client *rpc.Client, op rpc.Op[[]Req, []rpc.Answer[Res]]) coalesce.Work[*member[Req, Res]] {
	return func(ctx context.Context, batch []*member[Req, Res], _ func()) {
		reqs := make([]Req, len(batch))
		for i, m := range batch {
			reqs[i] = m.req
		}
		results, err := rpc.CallEach(ctx, client, op, reqs)
		if err != nil && apperr.VerdictOf(err) == apperr.Refused {
			// A refusal of the whole batch, for example as malformed, says nothing about any
			// single request, so no member may treat it as a definite refusal. An overload
			// is the same for the batch and for each member: nothing was done.
			err = apperr.Fault(err)
		}
		for i, m := range batch {
			if err != nil {
				m.result.Err = err
			} else {
				m.result = results[i]
			}
		}
	}
}

// ReserveSeats implements booking.Seats.
func (s *Seats) ReserveSeats(ctx context.Context, req eventapi.ReserveRequest) (eventapi.Reservation, error) {
	r := &member[eventapi.ReserveRequest, eventapi.Reservation]{req: req}
	if err := s.reserves.Do(ctx, req.EventID, send(s.client, eventapi.ReserveSeats), r); err != nil {
		return eventapi.Reservation{}, fmt.Errorf("reserve hold %s: %w", req.HoldID, err)
	}
	return r.result.Data, r.result.Err
}

// ReleaseSeats implements booking.Seats. It gives up after releaseTimeout.
func (s *Seats) ReleaseSeats(ctx context.Context, reqs []eventapi.ReleaseRequest) []error {
	return do(ctx, s.releases, reqs[0].EventID, send(s.client, eventapi.ReleaseSeats), reqs)
}

// SellSeats implements booking.Seats. It gives up after releaseTimeout.
func (s *Seats) SellSeats(ctx context.Context, reqs []eventapi.SellRequest) []error {
	return do(ctx, s.sales, reqs[0].EventID, send(s.client, eventapi.SellSeats), reqs)
}

// do sends requests about holds of one event in batches of group, and returns the error of
// each. It gives up after releaseTimeout.
func do[Req any](ctx context.Context, group *coalesce.Group[*member[Req, rpc.Nothing]], eventID string,
	work coalesce.Work[*member[Req, rpc.Nothing]], reqs []Req,
) []error {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	members := make([]*member[Req, rpc.Nothing], len(reqs))
	for i, req := range reqs {
		members[i] = &member[Req, rpc.Nothing]{req: req}
	}
	err := group.Do(ctx, eventID, work, members...)
	errs := make([]error, len(reqs))
	for i, m := range members {
		errs[i] = m.result.Err
		if err != nil {
			errs[i] = fmt.Errorf("move holds of event %s: %w", eventID, err)
		}
	}
	return errs
}

// GetEvent implements booking.Events.
func (s *Seats) GetEvent(ctx context.Context, eventID string) (eventapi.Event, error) {
	found, err := rpc.Call(ctx, s.client, eventapi.GetEvent, eventapi.GetRequest{EventID: eventID, ByAdmin: true})
	return found.Event, err
}
