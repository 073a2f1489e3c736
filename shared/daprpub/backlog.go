package daprpub

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/metric"

	"boxoffice/shared/metrics"
)

// Backlog returns a function that shows the age of the oldest unpublished fact as a metric.
// It is an outbox.Config.Backlog.
func Backlog(meters metric.MeterProvider) func(ctx context.Context, age time.Duration) {
	gauge := metrics.NewGauge(meters, metrics.Def{
		Name: "boxoffice.outbox.backlog.age", Unit: "s",
		Help: "Age of the oldest fact that was not published when the last sweep began.",
	})
	return func(ctx context.Context, age time.Duration) { gauge.Set(ctx, age.Seconds(), "") }
}
