package daprpub

import (
	"context"

	"go.opentelemetry.io/otel/metric"

	"boxoffice/shared/metrics"
)

// countDropped returns a function that counts dropped facts, each of which becomes a dead
// letter. It is a daprsub.Routes.Dropped.
func countDropped(meters metric.MeterProvider) func(ctx context.Context, path string) {
	counter := metrics.NewCounter(meters, metrics.Def{
		Name: "boxoffice.facts.dropped", Unit: "{fact}",
		Help:  "Facts that the program refused or could not read. Each becomes a dead letter.",
		Label: "path", Values: []string{StreamsPath, "/facts/events", "/facts/bookings"},
	})
	return func(ctx context.Context, path string) { counter.Add(ctx, 1, path) }
}
