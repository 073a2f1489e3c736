package metrics

import (
	"context"

	"go.opentelemetry.io/otel/metric"
)

// NewBatchItems returns a function that records how many items share a batch. Use it as
// coalesce.Config.Started. name says what the batch does.
func NewBatchItems(p metric.MeterProvider, name string) func(ctx context.Context, items int) {
	h := NewHistogram(p, Def{
		Name: "boxoffice.batch.items", Unit: "{item}", Help: "Items that share one piece of work.",
		Label: "batch", Values: []string{name},
	}, []float64{1, 2, 4, 8, 16, 32, 64})
	return func(ctx context.Context, items int) { h.Record(ctx, float64(items), name) }
}
