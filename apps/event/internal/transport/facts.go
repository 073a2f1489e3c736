package transport

import (
	"context"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/daprsub"
)

// FactsPath is where dapr/subscriptions/event-to-booking-facts.yaml sends the booking app's facts.
const FactsPath = "/facts/bookings"

// Subscribe takes the booking app's facts. Types that it does not know are
// others'.
func Subscribe(in daprsub.Routes, svc *event.Service) {
	daprsub.HandleFacts(in, FactsPath, func(ctx context.Context, e daprsub.Event[bookingapi.Fact]) error {
		var do func(context.Context, bookingapi.Fact) error
		switch e.Type {
		case bookingapi.FactCreated:
			do = svc.OnBookingCreated
		case bookingapi.FactConfirmed:
			do = svc.OnBookingConfirmed
		case bookingapi.FactCancelled:
			do = svc.OnBookingCancelled
		case bookingapi.FactExpired:
			do = svc.OnBookingExpired
		default:
			return nil
		}
		if b := e.Data.Resource; b.HoldID == "" || b.EventID == "" || b.UserID == "" || b.Quantity <= 0 {
			return apperr.New(apperr.Invalid, "", "The fact names no hold.")
		}
		return do(ctx, e.Data)
	})
}
