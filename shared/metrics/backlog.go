package metrics

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// Backlog shows how far behind the sweeps of a program are. It implements the Observer of the
// apps' domains.
type Backlog struct {
	age   *Gauge   // by kind
	looks *Counter // by kind
}

// NewBacklog returns a Backlog for kinds of work.
func NewBacklog(p metric.MeterProvider, kinds []string) *Backlog {
	return &Backlog{
		age: NewGauge(p, Def{
			Name: "boxoffice.sweep.backlog.age", Unit: "s",
			Help:  "Time for which the oldest due item had been due when a sweep last looked.",
			Label: "kind", Values: kinds,
		}),
		looks: NewCounter(p, Def{
			Name: "boxoffice.sweep.looks", Unit: "{look}",
			Help:  "How often sweeps looked for due items.",
			Label: "kind", Values: kinds,
		}),
	}
}

// ObserveBacklog records that the oldest item of a kind has been due for age. The zero age
// means that nothing was due.
func (b *Backlog) ObserveBacklog(ctx context.Context, kind string, age time.Duration) {
	b.age.Set(ctx, age.Seconds(), kind)
	b.looks.Add(ctx, 1, kind)
}
