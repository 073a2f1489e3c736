// Package transport binds booking's operations to its use cases.
package transport

import (
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/rpc"
)

// Bind serves booking's operations with the service.
func Bind(srv *rpc.Server, svc *booking.Service) {
	rpc.Handle(srv, bookingapi.CreateBooking, svc.Create)
	rpc.Handle(srv, bookingapi.GetBooking, svc.Fetch)
	rpc.Handle(srv, bookingapi.ListBookings, svc.List)
	rpc.Handle(srv, bookingapi.ConfirmBooking, svc.Confirm)
	rpc.Handle(srv, bookingapi.CancelBooking, svc.Cancel)
	rpc.Handle(srv, bookingapi.SettleHold, svc.Settle)
}
