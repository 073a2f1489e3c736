// Package transport binds booking's operations to its use cases.
package transport

import (
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/rpc"
)

// Bind serves booking's operations with the service.
func Bind(srv *rpc.Server, svc *booking.Service) {
	rpc.Handle(srv, bookingapi.CreateBooking, svc.CreateBooking)
	rpc.Handle(srv, bookingapi.GetBooking, svc.GetBooking)
	rpc.Handle(srv, bookingapi.ListBookings, svc.ListBookings)
	rpc.Handle(srv, bookingapi.ConfirmBooking, svc.ConfirmBooking)
	rpc.Handle(srv, bookingapi.CancelBooking, svc.CancelBooking)
	rpc.Handle(srv, bookingapi.SettleHold, svc.SettleHold)
}
