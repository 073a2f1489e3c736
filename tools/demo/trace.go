package main

import (
	"context"
	"fmt"
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
	root, err := traces.Jaeger(d.where.jaeger).Wait(ctx, last.trace, traces.Booking)
	if err != nil {
		return fmt.Errorf("the trace of booking %s is not whole: %w", last.booking.Code, err)
	}
	d.say("the last booking, %s: %d × %s for %s, in trace %s\n\n%s",
		last.booking.Code, last.booking.Quantity, last.event, last.who, last.trace, root)
	return nil
}
