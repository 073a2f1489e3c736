package main

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/metric"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/metrics"
	"boxoffice/shared/telemetry"
)

// driftReports is an event.Drifts that logs differences as errors, and counts them.
type driftReports struct {
	log      *slog.Logger
	drift    *metrics.Counter // by kind
	compared *metrics.Counter // by outcome
}

func newDriftReports(log *slog.Logger, meters metric.MeterProvider) driftReports {
	return driftReports{
		log: log,
		drift: metrics.NewCounter(meters, metrics.Def{
			Name: "boxoffice.reconcile.drift", Unit: "{difference}",
			Help:  "Differences between counters, holds and bookings. One that remains is counted whenever it is found.",
			Label: "kind", Values: eventapi.DriftKinds(),
		}),
		compared: metrics.NewCounter(meters, metrics.Def{
			Name: "boxoffice.reconcile.comparisons", Unit: "{comparison}",
			Help:  "Comparisons of one event's counters, holds and bookings.",
			Label: "outcome", Values: []string{string(event.ComparedAll), string(event.ComparedInPart), string(event.ComparedNothing)},
		}),
	}
}

// CountComparison implements event.Drifts.
func (d driftReports) CountComparison(ctx context.Context, outcome event.Compared) {
	d.compared.Add(ctx, 1, string(outcome))
}

// ReportDrift implements event.Drifts. Differences beyond eventapi.MaxDrift are counted as of
// another kind, because r does not contain them.
func (d driftReports) ReportDrift(ctx context.Context, r eventapi.Reconciliation) {
	d.log.ErrorContext(ctx, "counters, holds and bookings differ",
		telemetry.KeyEventID, r.EventID, "drift_total", r.DriftTotal, "drift", r.Drift, "mended", r.Mended)
	for _, difference := range r.Drift {
		d.drift.Add(ctx, 1, difference.Kind)
	}
	if rest := r.DriftTotal - len(r.Drift); rest > 0 {
		d.drift.Add(ctx, int64(rest), metrics.Other)
	}
}
