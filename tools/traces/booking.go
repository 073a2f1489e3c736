package traces

import (
	"fmt"
	"slices"
)

// Part is something that a trace must hold, and where.
type Part struct {
	Name string
	Path []string // labels, from the root's children down
}

// BookingParts are those of a booking's trace, from the client to both databases
// and over the bus.
func BookingParts() []Part {
	toBooking := []string{"gateway call booking/method/booking.create"}
	outOfGateway := below(toBooking, "daprd gateway CallLocal/booking/booking.create")
	intoBooking := below(outOfGateway, "daprd booking CallLocal/booking/booking.create")
	booking := below(intoBooking, "booking booking.create")
	toEvent := below(booking, "booking call event/method/event.capacity.reserve")
	outOfBooking := below(toEvent, "daprd booking CallLocal/event/event.capacity.reserve")
	intoEvent := below(outOfBooking, "daprd event CallLocal/event/event.capacity.reserve")
	event := below(intoEvent, "event event.capacity.reserve")
	publish := below(booking, "booking dapr.proto.runtime.v1.Dapr/PublishEvent", "daprd booking /dapr.proto.runtime.v1.Dapr/PublishEvent")
	delivery := below(publish, "daprd event pubsub/booking-events")
	return []Part{
		{"the gateway's look into Redis", []string{"gateway evalsha"}},
		{"the gateway's call of booking", toBooking},
		{"the gateway's sidecar", outOfGateway},
		{"booking's sidecar, called", intoBooking},
		{"booking", booking},
		{"booking's lock in Redis, by its sidecar", below(booking, "booking dapr.proto.runtime.v1.Dapr/TryLockAlpha1", "daprd booking /dapr.proto.runtime.v1.Dapr/TryLockAlpha1")},
		{"booking's call of event", toEvent},
		{"booking's sidecar, calling", outOfBooking},
		{"event's sidecar", intoEvent},
		{"event", event},
		{"event's seats in MongoDB", below(event, "event update events")},
		{"the booking in MongoDB", below(booking, "booking insert bookings")},
		{"the publishing of the fact", publish},
		{"the delivery of the fact", delivery},
		{"event, taking the fact", below(delivery, "event facts /facts/bookings")},
		{"the fact's mark in MongoDB", below(booking, "booking update bookings")},
	}
}

func below(path []string, steps ...string) []string { return slices.Concat(path, steps) }

// Booking says what is missing in the trace of a booking, by its name. Hand it to
// Wait.
func Booking(root *Span) error {
	if got, want := root.Label(), "gateway POST /api/bookings"; got != want {
		return fmt.Errorf("the root is %q, want %q", got, want)
	}
	for _, p := range BookingParts() {
		if _, err := root.Find(p.Path...); err != nil {
			return fmt.Errorf("%s is missing: %w", p.Name, err)
		}
	}
	return nil
}
