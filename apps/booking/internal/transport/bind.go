// Package transport connects the booking app's operations and subscriptions to its
// use cases.
package transport

import (
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/rpc"
)

// Bind registers the handlers of all booking operations on srv.
func Bind(srv *rpc.Server, svc *booking.Service) {
	rpc.HandleChecked(srv, bookingapi.CreateBooking, svc.CheckCreateBooking, svc.CreateBooking)
	rpc.Handle(srv, bookingapi.GetBooking, svc.GetBooking)
	rpc.Handle(srv, bookingapi.ListBookings, svc.ListBookings)
	rpc.HandleChecked(srv, bookingapi.ConfirmBooking, svc.CheckConfirmBooking, svc.ConfirmBooking)
	rpc.Handle(srv, bookingapi.CancelBooking, svc.CancelBooking)
	rpc.HandleEach(srv, bookingapi.SettleHolds, svc.SettleHolds)
	rpc.Handle(srv, bookingapi.ReconcileBookings, svc.ReconcileBookings)
}
