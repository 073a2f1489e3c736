package transport

import (
	"context"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/daprsub"
)

// FactsPath is the route of the event app's facts. It must match
// dapr/subscriptions/booking-to-event-facts.yaml.
const FactsPath = "/facts/events"

// Subscribe registers the handler of the event app's facts. The handler acts on
// event.cancelled and ignores all other facts.
func Subscribe(routes daprsub.Routes, svc *booking.Service) {
	daprsub.HandleFacts(routes, FactsPath, func(ctx context.Context, e daprsub.Event[eventapi.Fact]) error {
		if e.Type != eventapi.FactCancelled {
			return nil
		}
		if e.Data.Resource.ID == "" {
			return apperr.New(apperr.Invalid, "", "resource.id must be the id of the cancelled event")
		}
		return svc.OnEventCancelled(ctx, e.Data)
	})
}
