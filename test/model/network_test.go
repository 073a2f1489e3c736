package model_test

import (
	"context"

	"boxoffice/apps/event/eventtest"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// eventClient calls the event app from the booking app, over an unreliable
// network.
type eventClient struct{ w *world }

// bookingClient calls the booking app from the event app, over an unreliable
// network.
type bookingClient struct{ w *world }

func (c eventClient) ReserveSeats(ctx context.Context, req eventapi.ReserveRequest) (eventapi.Reservation, error) {
	return call(c.w, "reserve "+req.HoldID, func() (eventapi.Reservation, error) { return eventtest.Reserve(ctx, c.w.event(), req) })
}

// ReleaseSeats makes one call for each release, so that the scheduler can interrupt the
// list anywhere.
func (c eventClient) ReleaseSeats(ctx context.Context, reqs []eventapi.ReleaseRequest) []error {
	errs := make([]error, len(reqs))
	for i, req := range reqs {
		_, errs[i] = call(c.w, "release "+req.HoldID, func() (rpc.Nothing, error) {
			return rpc.Nothing{}, eventtest.Release(ctx, c.w.event(), req)
		})
	}
	return errs
}

// SellSeats makes one call for each sale, as ReleaseSeats does.
func (c eventClient) SellSeats(ctx context.Context, reqs []eventapi.SellRequest) []error {
	errs := make([]error, len(reqs))
	for i, req := range reqs {
		_, errs[i] = call(c.w, "sell "+req.HoldID, func() (rpc.Nothing, error) {
			return rpc.Nothing{}, eventtest.Sell(ctx, c.w.event(), req)
		})
	}
	return errs
}

func (c eventClient) GetEvent(ctx context.Context, id string) (eventapi.Event, error) {
	v, err := c.w.event().GetEvent(ctx, eventapi.GetRequest{EventID: id, ByAdmin: true})
	return v.Event, err
}

// SettleHolds makes one call for each hold, as ReleaseSeats does.
func (c bookingClient) SettleHolds(_ context.Context, holdIDs []string) ([]rpc.Result[bookingapi.Settlement], error) {
	results := make([]rpc.Result[bookingapi.Settlement], len(holdIDs))
	for i, id := range holdIDs {
		results[i].Data, results[i].Err = call(c.w, "settle "+id, func() (bookingapi.Settlement, error) {
			return c.w.booking().SettleHold(context.Background(), bookingapi.SettleRequest{HoldID: id})
		})
	}
	return results, nil
}

func (c bookingClient) ReconcileBookings(ctx context.Context, req bookingapi.ReconcileRequest) (bookingapi.ReconcilePage, error) {
	return call(c.w, "reconcile "+req.EventID, func() (bookingapi.ReconcilePage, error) {
		return c.w.booking().ReconcileBookings(ctx, req)
	})
}

// call runs fn in the other app as part of the running actor. Unless the world is
// faultless, the network may delay the call beyond its timeout, repeat it later, or
// lose its reply.
func call[Res any](w *world, name string, fn func() (Res, error)) (Res, error) {
	var none Res
	if w.current.crashed {
		return none, errCrashed
	}
	later := func() { w.spawn("(late) "+name, func(*actor) { _, _ = fn() }) }
	if !w.faultless {
		switch {
		case w.oneIn(12): // the caller gives up, and the callee runs later
			later()
			return none, apperr.TimedOut(errNoReply)
		case w.oneIn(12): // the sidecar sends the call twice
			later()
		}
	}
	res, err := fn()
	if !w.faultless && w.oneIn(25) {
		return none, apperr.TimedOut(errNoReply)
	}
	// Only the code, the reason and the message of an error cross the wire.
	if err != nil {
		wire := apperr.From(err)
		err = apperr.New(wire.Code, wire.Reason, wire.Message)
	}
	return res, err
}
