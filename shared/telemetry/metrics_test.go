package telemetry_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/metric"

	"boxoffice/shared/config"
	"boxoffice/shared/telemetry"
	"boxoffice/test/kit"
)

// openMetrics is the media type that a Prometheus server prefers.
const openMetrics = "application/openmetrics-text; version=1.0.0"

func newMetrics(t *testing.T) *telemetry.Metrics {
	t.Helper()
	m, err := telemetry.NewMetrics("booking", "booking-1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Shutdown(t.Context()) })
	return m
}

func TestScrapeHasTheResourceOfTheTracesAndTheRuntime(t *testing.T) {
	m := newMetrics(t)
	counter, err := m.Meter("test").Int64Counter("boxoffice.things", metric.WithUnit("{thing}"))
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 3)
	got := kit.Scrape(t, m)
	for series, want := range map[string]float64{
		"boxoffice_things_total": 3,
		`target_info{service_instance_id="booking-1",service_name="booking",service_namespace="boxoffice"}`: 1,
	} {
		if got[series] != want {
			t.Errorf("%s: got %v, want %v", series, got[series], want)
		}
	}
	for _, series := range []string{"go_goroutine_count", "process_start_time_seconds", "process_open_fds"} {
		if got[series] <= 0 {
			t.Errorf("%s: got %v, want more than 0", series, got[series])
		}
	}
}

func TestMeasurementsInSampledTracesBecomeExemplars(t *testing.T) {
	m := newMetrics(t)
	tracing, _ := newTracing(t)
	histogram, err := m.Meter("test").Float64Histogram("boxoffice.took", metric.WithUnit("s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := tracing.Tracer("test").Start(t.Context(), "work")
	histogram.Record(ctx, 0.2)
	span.End()
	text := scrapeAs(m, openMetrics)
	if want := `trace_id="` + span.SpanContext().TraceID().String() + `"`; !strings.Contains(text, want) {
		t.Errorf("got a scrape without the exemplar %s:\n%s", want, text)
	}
	if !strings.HasSuffix(text, "# EOF\n") {
		t.Error("the scrape is not OpenMetrics")
	}
	if text := scrapeAs(m, ""); strings.Contains(text, "trace_id") {
		t.Errorf("got exemplars in the older format, which has none:\n%s", text)
	}
}

func TestMetricsCanBeTurnedOff(t *testing.T) {
	for value, isOn := range map[string]bool{"": true, "on": true, "off": false} {
		cfg, err := config.Load[telemetry.Config](func(name string) string {
			return map[string]string{"METRICS": value}[name]
		})
		if err != nil || bool(cfg.Metrics) != isOn {
			t.Errorf("METRICS=%s: got %v, %v, want %v", value, cfg.Metrics, err, isOn)
		}
	}
	if _, err := config.Load[telemetry.Config](func(string) string { return "0" }); err == nil || !strings.Contains(err.Error(), "METRICS ") {
		t.Errorf("got %v, want METRICS named", err)
	}
	m, err := telemetry.OpenMetrics(telemetry.Config{}, "booking", "booking-1")
	if err != nil {
		t.Fatal(err)
	}
	counter, err := m.Meter("test").Int64Counter("boxoffice.things")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 1)
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("scrape: got %d, want 404", w.Code)
	}
	if err := m.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func scrapeAs(m http.Handler, accept string) string {
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	text, _ := io.ReadAll(w.Body)
	return string(text)
}
