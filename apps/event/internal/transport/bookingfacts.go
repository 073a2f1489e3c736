package transport

import (
	"context"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/daprsub"
)

// FactsPath is the path to which the sidecar delivers the booking app's facts. It must
// match dapr/subscriptions/event-to-booking-facts.yaml.
const FactsPath = "/facts/bookings"

// Subscribe handles the booking app's facts with svc. It ignores facts of unknown types.
func Subscribe(in daprsub.Routes, svc *event.Service) {
	daprsub.HandleFacts(in, FactsPath, func(ctx context.Context, e daprsub.Event[bookingapi.Fact]) error {
		var handle func(context.Context, bookingapi.Fact) error
		switch e.Type {
		case bookingapi.FactCreated:
			handle = svc.OnBookingCreated
		case bookingapi.FactConfirmed:
			handle = svc.OnBookingConfirmed
		case bookingapi.FactCancelled:
			handle = svc.OnBookingCancelled
		case bookingapi.FactExpired:
			handle = svc.OnBookingExpired
		default:
			return nil
		}
		if b := e.Data.Resource; b.HoldID == "" || b.EventID == "" || b.UserID == "" || b.Quantity <= 0 {
			return apperr.New(apperr.Invalid, "", "A booking's fact must contain a holdId, an eventId, a userId and a positive quantity.")
		}
		return handle(ctx, e.Data)
	})
}
