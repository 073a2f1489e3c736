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
	rpc.Handle(srv, eventapi.Create, svc.Create)
	rpc.Handle(srv, eventapi.Fetch, svc.Fetch)
	rpc.Handle(srv, eventapi.List, svc.List)
	rpc.Handle(srv, eventapi.FetchAvailability, svc.FetchAvailability)
	rpc.HandleEach(srv, eventapi.Reserve, svc.Reserve)
	rpc.Handle(srv, eventapi.Release, svc.Release)
}
