package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"boxoffice/tools/traces"
)

// traceTimeout limits the wait for all spans of a trace to reach Jaeger.
const traceTimeout = time.Minute

// printTrace prints the trace of a booking once it is complete.
func (d *demo) printTrace(ctx context.Context, last *lastBooking) error {
	if d.stack.jaeger == "" {
		d.printf("no trace to show: this stack has no Jaeger (JAEGER=off, or it exports traces elsewhere)\n")
		return nil
	}
	if !jaegerAnswers(ctx, d.stack.jaeger) {
		d.printf("no trace to show: Jaeger does not answer at %s. After a first start it is built in the background;\n"+
			"`make run` prints a line that begins with \"traces:\" when it is up. Run the demo again then.\n", d.stack.jaeger)
		return nil
	}
	if last.traceID == "" {
		return fmt.Errorf("the response to booking %s has no Traceparent header", last.booking.Code)
	}
	ctx, cancel := context.WithTimeout(ctx, traceTimeout)
	defer cancel()
	root, err := traces.Jaeger(d.stack.jaeger).Wait(ctx, last.traceID, traces.CheckBooking)
	if err != nil {
		return fmt.Errorf("the trace of booking %s is incomplete: %w", last.booking.Code, err)
	}
	d.printf("the last booking, %s: %d × %s for %s; trace %s\n\n%s",
		last.booking.Code, last.booking.Quantity, last.event, last.person, last.traceID, root)
	return nil
}

// jaegerAnswers reports whether a Jaeger answers at the base URL.
func jaegerAnswers(ctx context.Context, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/services", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	return res.Body.Close() == nil
}
