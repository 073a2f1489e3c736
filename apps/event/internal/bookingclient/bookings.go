// Package bookingclient calls the booking app's operations for the event app.
package bookingclient

import (
	"context"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/rpc"
)

// Bookings is an event.Bookings that asks the booking app through the sidecar.
type Bookings struct{ client *rpc.Client }

var _ event.Bookings = (*Bookings)(nil)

// NewBookings returns Bookings that send their requests with client.
func NewBookings(client *rpc.Client) *Bookings { return &Bookings{client: client} }

// SettleHolds implements event.Bookings.
func (b *Bookings) SettleHolds(ctx context.Context, holdIDs []string) ([]rpc.Result[bookingapi.Settlement], error) {
	reqs := make([]bookingapi.SettleRequest, len(holdIDs))
	for i, id := range holdIDs {
		reqs[i] = bookingapi.SettleRequest{HoldID: id}
	}
	return rpc.CallEach(ctx, b.client, bookingapi.SettleHolds, reqs)
}

// ReconcileBookings implements event.Bookings.
func (b *Bookings) ReconcileBookings(ctx context.Context, req bookingapi.ReconcileRequest) (bookingapi.ReconcilePage, error) {
	return rpc.Call(ctx, b.client, bookingapi.ReconcileBookings, req)
}
