// Package transport binds the event app's operations to its use cases.
package transport

import (
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// Bind serves the event app's operations with the service, whose use cases speak
// the contract themselves.
func Bind(srv *rpc.Server, svc *event.Service) {
	rpc.Handle(srv, eventapi.CreateEvent, svc.Create)
	rpc.Handle(srv, eventapi.GetEvent, svc.Fetch)
	rpc.Handle(srv, eventapi.ListEvents, svc.List)
	rpc.Handle(srv, eventapi.GetAvailability, svc.FetchAvailability)
	rpc.HandleEach(srv, eventapi.ReserveSeats, svc.Reserve)
	rpc.Handle(srv, eventapi.ReleaseSeats, svc.Release)
}
