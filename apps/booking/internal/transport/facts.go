package transport

import (
	"context"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/daprsub"
)

// FactsPath is where dapr/subscriptions/booking-to-event-facts.yaml sends the event app's facts.
const FactsPath = "/facts/events"

// Subscribe takes the event app's facts. Only a cancelled event concerns
// bookings.
func Subscribe(in daprsub.Routes, svc *booking.Service) {
	daprsub.HandleFacts(in, FactsPath, func(ctx context.Context, e daprsub.Event[eventapi.Fact]) error {
		if e.Type != eventapi.FactCancelled {
			return nil
		}
		if e.Data.Resource.ID == "" {
			return apperr.New(apperr.Invalid, "", "The fact names no event.")
		}
		return svc.OnEventCancelled(ctx, e.Data)
	})
}
