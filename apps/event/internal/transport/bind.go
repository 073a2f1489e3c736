// Package transport connects the event app's operations and subscriptions to its use
// cases.
package transport

import (
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// Bind serves the event app's operations with svc. The use cases have the types of the
// contract, so nothing is converted.
func Bind(srv *rpc.Server, svc *event.Service) {
	rpc.HandleChecked(srv, eventapi.CreateEvent, svc.CheckCreateEvent, svc.CreateEvent)
	rpc.HandleChecked(srv, eventapi.UpdateEvent, svc.CheckUpdateEvent, svc.UpdateEvent)
	rpc.Handle(srv, eventapi.CancelEvent, svc.CancelEvent)
	rpc.Handle(srv, eventapi.DeleteEvent, svc.DeleteEvent)
	rpc.Handle(srv, eventapi.GetEvent, svc.GetEvent)
	rpc.Handle(srv, eventapi.ListEvents, svc.ListEvents)
	rpc.Handle(srv, eventapi.ListOrganizerEvents, svc.ListOrganizerEvents)
	rpc.Handle(srv, eventapi.SearchEvents, svc.SearchEvents)
	rpc.Handle(srv, eventapi.GetAvailability, svc.GetAvailability)
	rpc.Handle(srv, eventapi.ListCapacityLog, svc.ListCapacityLog)
	rpc.Handle(srv, eventapi.ReconcileEvent, svc.ReconcileEvent)
	rpc.HandleEach(srv, eventapi.ReserveSeats, svc.ReserveSeats)
	rpc.HandleEach(srv, eventapi.ReleaseSeats, svc.ReleaseSeats)
	rpc.HandleEach(srv, eventapi.SellSeats, svc.SellSeats)
}
