// Package metrics creates the instruments with which programs measure themselves. A main
// package creates them from App.Metrics and hands them to the domain as implementations of its
// ports, so domain packages do not import OpenTelemetry:
//
//	lag := metrics.NewGauge(a.Metrics, metrics.Def{
//		Name: "boxoffice.sweep.lag", Unit: "s", Help: "How overdue the oldest item was.",
//		Label: "kind", Values: []string{"holds", "marks"},
//	})
//	lag.Set(ctx, 12.5, "holds")
//
// Prometheus shows this gauge as boxoffice_sweep_lag_seconds{kind="holds"}. Its exporter
// replaces dots by underscores and appends the unit, unless that is in braces, and _total to
// counters.
//
// Each combination of labels is a time series, which costs memory here and in Prometheus, so
// the values of a label are a closed set. Ids are never labels. docs/observability.md lists all
// metrics, and a test compares the list with what the programs serve.
package metrics

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Other is the label of measurements whose label is none of Def.Values.
const Other = "other"

// scope is the instrumentation scope of all metrics. It is not exported.
const scope = "boxoffice"

// Seconds returns the upper bounds of the buckets for durations from a millisecond to ten
// seconds.
func Seconds() []float64 {
	return []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
}

// Def describes an instrument. Equal definitions share one instrument.
type Def struct {
	// Name is the name in OpenTelemetry's style, lower case with dots. It begins with
	// "boxoffice.", unless a semantic convention of OpenTelemetry defines the metric.
	Name string
	// Unit is "s", "By", or a noun in braces, such as "{seat}".
	Unit string
	Help string
	// Label is the name of the only label, and Values are its values. Without a label, both
	// are empty, and measurements have the label "".
	Label  string
	Values []string
}

// options returns the options of one measurement for each label. E is the type of the
// instrument's options. They are built once, because building a set of attributes allocates.
func options[E any](d Def, option func(attribute.Set) E) map[string][]E {
	if d.Label == "" {
		return map[string][]E{"": {option(*attribute.EmptySet())}}
	}
	all := map[string][]E{}
	for _, v := range append([]string{Other}, d.Values...) {
		all[v] = []E{option(attribute.NewSet(attribute.String(d.Label, v)))}
	}
	return all
}

// optionsOf returns the options for a label.
func optionsOf[E any](all map[string][]E, label string) []E {
	if o, ok := all[label]; ok {
		return o
	}
	return all[Other]
}

// must returns an instrument. Like http.ServeMux, the package panics if it is misused:
// OpenTelemetry returns an error only for a malformed name or bucket.
func must[I any](d Def, instrument I, err error) I {
	if err != nil {
		panic(fmt.Sprintf("metrics: %s: %v", d.Name, err))
	}
	return instrument
}

// Counter is a number that only grows.
type Counter struct {
	counter metric.Int64Counter
	options map[string][]metric.AddOption
}

// NewCounter returns a counter that is 0 for each of its labels. A counter that appeared only
// with its first increment would hide that increment from queries that compute rates.
func NewCounter(p metric.MeterProvider, d Def) *Counter {
	counter, err := p.Meter(scope).Int64Counter(d.Name, metric.WithUnit(d.Unit), metric.WithDescription(d.Help))
	c := &Counter{must(d, counter, err), options(d, func(s attribute.Set) metric.AddOption { return metric.WithAttributeSet(s) })}
	for label, opts := range c.options {
		if label != Other {
			c.counter.Add(context.Background(), 0, opts...)
		}
	}
	return c
}

// Add adds n, which must not be negative, to the counter of a label.
func (c *Counter) Add(ctx context.Context, n int64, label string) {
	c.counter.Add(ctx, n, optionsOf(c.options, label)...)
}

// Gauge is a value that was observed, such as the age of a backlog. It keeps the latest value
// until the next one is set, even if the component that sets it no longer runs. A counter
// beside it, for example of sweeps, shows whether the value is current.
type Gauge struct {
	gauge   metric.Float64Gauge
	options map[string][]metric.RecordOption
}

// NewGauge returns a gauge that is 0 for each of its labels.
func NewGauge(p metric.MeterProvider, d Def) *Gauge {
	gauge, err := p.Meter(scope).Float64Gauge(d.Name, metric.WithUnit(d.Unit), metric.WithDescription(d.Help))
	g := &Gauge{must(d, gauge, err), recordOptions(d)}
	for label, opts := range g.options {
		if label != Other {
			g.gauge.Record(context.Background(), 0, opts...)
		}
	}
	return g
}

// Set sets the value of a label.
func (g *Gauge) Set(ctx context.Context, value float64, label string) {
	g.gauge.Record(ctx, value, optionsOf(g.options, label)...)
}

// Histogram counts values by size.
type Histogram struct {
	histogram metric.Float64Histogram
	options   map[string][]metric.RecordOption
}

// NewHistogram returns a histogram with the given upper bounds of its buckets, in increasing
// order. A label appears with its first value.
func NewHistogram(p metric.MeterProvider, d Def, buckets []float64) *Histogram {
	return &Histogram{newHistogram(p, d, buckets), recordOptions(d)}
}

// Record adds a value to the histogram of a label.
func (h *Histogram) Record(ctx context.Context, value float64, label string) {
	h.histogram.Record(ctx, value, optionsOf(h.options, label)...)
}

// RecordDuration adds a duration to the histogram of a label. The unit must be "s".
func (h *Histogram) RecordDuration(ctx context.Context, d time.Duration, label string) {
	h.Record(ctx, d.Seconds(), label)
}

func newHistogram(p metric.MeterProvider, d Def, buckets []float64) metric.Float64Histogram {
	h, err := p.Meter(scope).Float64Histogram(d.Name, metric.WithUnit(d.Unit), metric.WithDescription(d.Help),
		metric.WithExplicitBucketBoundaries(buckets...))
	return must(d, h, err)
}

func recordOptions(d Def) map[string][]metric.RecordOption {
	return options(d, func(s attribute.Set) metric.RecordOption { return metric.WithAttributeSet(s) })
}
