// Package bookingclient is what the event app asks other apps through its sidecar.
package bookingclient

import (
	"context"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/rpc"
)

// Bookings is an event.Bookings that asks the booking app.
type Bookings struct{ calls *rpc.Client }

var _ event.Bookings = (*Bookings)(nil)

// NewBookings returns the booking app as these calls reach it.
func NewBookings(calls *rpc.Client) *Bookings { return &Bookings{calls: calls} }

// SettleHold implements event.Bookings.
func (b *Bookings) SettleHold(ctx context.Context, holdID string) (bookingapi.Settlement, error) {
	return rpc.Call(ctx, b.calls, bookingapi.SettleHold, bookingapi.SettleRequest{HoldID: holdID})
}
