// Package transport binds booking's operations to its use cases.
package transport

import (
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/rpc"
)

// Bind serves booking's operations with the service.
func Bind(srv *rpc.Server, svc *booking.Service) {
	rpc.Handle(srv, bookingapi.Create, svc.Create)
	rpc.Handle(srv, bookingapi.Fetch, svc.Fetch)
	rpc.Handle(srv, bookingapi.List, svc.List)
	rpc.Handle(srv, bookingapi.Confirm, svc.Confirm)
	rpc.Handle(srv, bookingapi.Cancel, svc.Cancel)
	rpc.Handle(srv, bookingapi.Settle, svc.Settle)
}
