package metrics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric/noop"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"boxoffice/shared/metrics"
	"boxoffice/shared/telemetry"
	"boxoffice/test/kit"
)

func newMeters(t testing.TB) *telemetry.Metrics {
	t.Helper()
	m, err := telemetry.NewMetrics("test", "test-1")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// want compares the values of series. A negative number means that there is no such series.
func want(t *testing.T, meters *telemetry.Metrics, series map[string]float64) {
	t.Helper()
	got := kit.Scrape(t, meters)
	for name, value := range series {
		v, ok := got[name]
		if !ok {
			v = -1
		}
		if v != value {
			t.Errorf("%s: got %v, want %v", name, v, value)
		}
	}
}

func TestCounterStartsAtZeroForEachLabel(t *testing.T) {
	meters := newMeters(t)
	c := metrics.NewCounter(meters, metrics.Def{
		Name: "boxoffice.things", Unit: "{thing}", Label: "kind", Values: []string{"big", "small"},
	})
	want(t, meters, map[string]float64{
		`boxoffice_things_total{kind="big"}`: 0, `boxoffice_things_total{kind="small"}`: 0, `boxoffice_things_total{kind="other"}`: -1,
	})
	c.Add(t.Context(), 2, "big")
	c.Add(t.Context(), 1, "user-12345") // no label of the definition, so no series of its own
	want(t, meters, map[string]float64{
		`boxoffice_things_total{kind="big"}`: 2, `boxoffice_things_total{kind="small"}`: 0, `boxoffice_things_total{kind="other"}`: 1,
		`boxoffice_things_total{kind="user-12345"}`: -1,
	})
}

func TestGaugeKeepsItsLatestValue(t *testing.T) {
	meters := newMeters(t)
	g := metrics.NewGauge(meters, metrics.Def{Name: "boxoffice.lag", Unit: "s", Label: "kind", Values: []string{"holds", "marks"}})
	g.Set(t.Context(), 12.5, "holds")
	g.Set(t.Context(), 7.5, "holds")
	for range 2 { // scrapes do not reset it
		want(t, meters, map[string]float64{
			`boxoffice_lag_seconds{kind="holds"}`: 7.5, `boxoffice_lag_seconds{kind="marks"}`: 0,
		})
	}
	age := metrics.NewGauge(meters, metrics.Def{Name: "boxoffice.age", Unit: "s"})
	age.Set(t.Context(), 3, "")
	want(t, meters, map[string]float64{"boxoffice_age_seconds": 3})
}

func TestHistogramHasTheGivenBuckets(t *testing.T) {
	meters := newMeters(t)
	h := metrics.NewHistogram(meters, metrics.Def{Name: "boxoffice.took", Unit: "s", Label: "kind", Values: []string{"a"}}, metrics.Seconds())
	h.RecordDuration(t.Context(), 30*time.Millisecond, "a")
	want(t, meters, map[string]float64{
		`boxoffice_took_seconds_bucket{kind="a",le="0.025"}`: 0,
		`boxoffice_took_seconds_bucket{kind="a",le="0.05"}`:  1,
		`boxoffice_took_seconds_bucket{kind="a",le="+Inf"}`:  1,
		`boxoffice_took_seconds_sum{kind="a"}`:               0.03,
	})
}

// Several parts of a program may measure the same thing.
func TestEqualDefinitionsShareAnInstrument(t *testing.T) {
	meters := newMeters(t)
	d := metrics.Def{Name: "boxoffice.things", Unit: "{thing}", Help: "Things."}
	metrics.NewCounter(meters, d).Add(t.Context(), 1, "")
	metrics.NewCounter(meters, d).Add(t.Context(), 2, "")
	want(t, meters, map[string]float64{"boxoffice_things_total": 3})
}

func TestMalformedNamePanics(t *testing.T) {
	defer func() {
		if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "1 thing") {
			t.Errorf("got panic %v, want one that names the instrument", p)
		}
	}()
	metrics.NewCounter(newMeters(t), metrics.Def{Name: "1 thing"})
}

type key struct {
	route  string
	status int
}

func newDurations(t testing.TB) (*metrics.Durations[key], *telemetry.Metrics) {
	t.Helper()
	meters := newMeters(t)
	return metrics.NewDurations(meters, metrics.Def{Name: "boxoffice.took"}, func(k key) []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String("route", k.route), attribute.Int("status", k.status)}
	}), meters
}

func TestDurationsHaveOneSeriesPerKey(t *testing.T) {
	h, meters := newDurations(t)
	h.Record(t.Context(), time.Second, key{"/a", 200})
	h.Record(t.Context(), time.Second, key{"/a", 200})
	h.Record(t.Context(), time.Second, key{"/a", 404})
	want(t, meters, map[string]float64{
		`boxoffice_took_seconds_count{route="/a",status="200"}`: 2,
		`boxoffice_took_seconds_count{route="/a",status="404"}`: 1,
	})
}

// A bug that makes keys unbounded must not exhaust the memory.
func TestSeriesOfDurationsAreBounded(t *testing.T) {
	h, meters := newDurations(t)
	for i := range 10_000 {
		h.Record(t.Context(), time.Second, key{"/a", i})
	}
	got := kit.Scrape(t, meters)
	counted := 0
	for series := range got {
		if strings.HasPrefix(series, "boxoffice_took_seconds_count") {
			counted++
		}
	}
	if counted > 2000 {
		t.Errorf("got %d series, want at most 2000", counted)
	}
	if n := got[`boxoffice_took_seconds_count{otel_metric_overflow="true"}`]; n < 8000 {
		t.Errorf("got %v measurements in the series for all others, want at least 8000", n)
	}
}

func TestDurationsOfUnsampledRequestsDoNotAllocate(t *testing.T) {
	h, _ := newDurations(t)
	ctx := t.Context()
	h.Record(ctx, time.Second, key{"/a", 200})
	if n := testing.AllocsPerRun(100, func() { h.Record(ctx, time.Millisecond, key{"/a", 200}) }); n > 0 {
		t.Errorf("got %v allocations per measurement, want none", n)
	}
}

func BenchmarkDurations(b *testing.B) {
	sampled, span := sdktrace.NewTracerProvider().Tracer("test").Start(b.Context(), "work")
	defer span.End()
	on, _ := newDurations(b)
	off := metrics.NewDurations(noop.NewMeterProvider(), metrics.Def{Name: "boxoffice.took"}, func(key) []attribute.KeyValue { return nil })
	b.Run("off", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			off.Record(b.Context(), 3*time.Millisecond, key{"/a", 200})
		}
	})
	b.Run("unsampled", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			on.Record(b.Context(), 3*time.Millisecond, key{"/a", 200})
		}
	})
	b.Run("sampled", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			on.Record(sampled, 3*time.Millisecond, key{"/a", 200})
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				on.Record(sampled, 3*time.Millisecond, key{"/a", 200})
			}
		})
	})
}

func TestBatchItemsAreCountedByBatch(t *testing.T) {
	meters := newMeters(t)
	metrics.NewBatchItems(meters, "insert")(t.Context(), 1)
	move := metrics.NewBatchItems(meters, "move seats")
	move(t.Context(), 1)
	move(t.Context(), 12)
	want(t, meters, map[string]float64{
		`boxoffice_batch_items_bucket{batch="insert",le="1"}`:      1,
		`boxoffice_batch_items_sum{batch="move seats"}`:            13,
		`boxoffice_batch_items_bucket{batch="move seats",le="8"}`:  1,
		`boxoffice_batch_items_bucket{batch="move seats",le="16"}`: 2,
	})
}
