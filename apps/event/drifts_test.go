package main

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/telemetry"
	"boxoffice/test/kit"
)

func TestDriftIsLoggedAndCountedByKind(t *testing.T) {
	meters, err := telemetry.NewMetrics("event", "event-1")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	d := newDriftReports(slog.New(slog.NewTextHandler(&log, nil)), meters)
	counted := func() []float64 {
		samples := kit.Scrape(t, meters)
		var values []float64
		for _, series := range []string{
			`boxoffice_reconcile_comparisons_total{outcome="complete"}`,
			`boxoffice_reconcile_comparisons_total{outcome="incomplete"}`,
			`boxoffice_reconcile_comparisons_total{outcome="failed"}`,
			`boxoffice_reconcile_drift_total{kind="counters_differ"}`,
			`boxoffice_reconcile_drift_total{kind="hold_missing"}`,
			`boxoffice_reconcile_drift_total{kind="other"}`,
		} {
			n, ok := samples[series]
			if !ok {
				n = -1
			}
			values = append(values, n)
		}
		return values
	}
	// Without drift, the comparisons show that the reconciliation runs.
	d.CountComparison(t.Context(), event.ComparedAll)
	if got, want := counted(), []float64{1, 0, 0, 0, 0, -1}; !slices.Equal(got, want) {
		t.Errorf("no drift: got %v, want %v", got, want)
	}
	d.CountComparison(t.Context(), event.ComparedInPart)
	d.CountComparison(t.Context(), event.ComparedNothing)
	d.ReportDrift(t.Context(), eventapi.Reconciliation{EventID: "gala", DriftTotal: 5, Drift: []eventapi.Drift{
		{Kind: eventapi.DriftNoHold, HoldID: "h1"}, {Kind: eventapi.DriftNoHold, HoldID: "h2"}, {Kind: eventapi.DriftCounters},
	}})
	if got, want := counted(), []float64{1, 1, 1, 1, 2, 2}; !slices.Equal(got, want) {
		t.Errorf("drift: got %v, want %v", got, want)
	}
	if n := strings.Count(log.String(), "counters, holds and bookings differ"); n != 1 {
		t.Errorf("got %d log lines, want 1", n)
	}
}
