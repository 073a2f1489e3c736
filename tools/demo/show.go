package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"boxoffice/tools/traces"
)

// wholeWithin is how long the parts of a trace may take to reach Jaeger.
const wholeWithin = time.Minute

// show prints the trace of a booking once it is whole.
func (d *demo) show(ctx context.Context, last *latest) error {
	if d.where.jaeger == "" {
		d.say("no trace to show: this stack has no Jaeger (JAEGER=off, or traces go elsewhere)\n")
		return nil
	}
	if last.trace == "" {
		return fmt.Errorf("the answer to booking %s named no trace", last.booking.Code)
	}
	ctx, cancel := context.WithTimeout(ctx, wholeWithin)
	defer cancel()
	root, err := traces.Jaeger(d.where.jaeger).Wait(ctx, last.trace, whole)
	if err != nil {
		return fmt.Errorf("the trace of booking %s is not whole: %w", last.booking.Code, err)
	}
	d.say("the last booking, %s: %d × %s for %s, in trace %s\n\n%s",
		last.booking.Code, last.booking.Quantity, last.event, last.who, last.trace, root)
	return nil
}

// part is something that the trace of a booking must hold, and where.
type part struct {
	name string
	path []string // labels, from the root's children down
}

// parts are those of a booking, from the client to both databases and over the
// bus.
func parts() []part {
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
	return []part{
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

// whole says what is missing in the trace of a booking, by its name.
func whole(root *traces.Span) error {
	if got, want := root.Label(), "gateway POST /api/bookings"; got != want {
		return fmt.Errorf("the root is %q, want %q", got, want)
	}
	for _, p := range parts() {
		if _, err := root.Find(p.path...); err != nil {
			return fmt.Errorf("%s is missing: %w", p.name, err)
		}
	}
	return nil
}
