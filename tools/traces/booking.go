package traces

import (
	"fmt"
	"slices"
)

// Part is a span that a trace must contain.
type Part struct {
	Name string
	Path []string // labels from a child of the root down; see Span.Find
}

// BookingParts returns the parts of the trace of a booking. They lead from the gateway to
// both databases and across the bus.
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
		{"the gateway's script in Redis", []string{"gateway evalsha"}},
		{"the gateway's call to booking", toBooking},
		{"the gateway's sidecar", outOfGateway},
		{"booking's sidecar, inbound", intoBooking},
		{"booking", booking},
		{"booking's lock, through its sidecar", below(booking, "booking dapr.proto.runtime.v1.Dapr/TryLockAlpha1", "daprd booking /dapr.proto.runtime.v1.Dapr/TryLockAlpha1")},
		{"booking's call to event", toEvent},
		{"booking's sidecar, outbound", outOfBooking},
		{"event's sidecar", intoEvent},
		{"event", event},
		{"the update of the seats in MongoDB", below(event, "event update events")},
		{"the insert of the booking in MongoDB", below(booking, "booking insert bookings")},
		{"the publication of the fact", publish},
		{"the delivery of the fact", delivery},
		{"event's handling of the fact", below(delivery, "event facts /facts/bookings")},
		{"the update that marks the fact as published in MongoDB", below(booking, "booking update bookings")},
	}
}

// below returns path followed by steps.
func below(path []string, steps ...string) []string { return slices.Concat(path, steps) }

// CheckBooking returns nil if the trace of a booking has all BookingParts. Otherwise the
// error names the first missing part. CheckBooking is a completeness check for Wait.
func CheckBooking(root *Span) error {
	if got, want := root.Label(), "gateway POST /api/bookings"; got != want {
		return fmt.Errorf("root: got %q, want %q", got, want)
	}
	for _, p := range BookingParts() {
		if _, err := root.Find(p.Path...); err != nil {
			return fmt.Errorf("%s is missing: %w", p.Name, err)
		}
	}
	return nil
}
