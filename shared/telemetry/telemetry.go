// Package telemetry sets up tracing, metrics and logging in the same way for every program,
// and defines the keys of log attributes.
package telemetry

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Config configures Open. The variables have OpenTelemetry's standard names. The
// exporter itself reads further variables, which the OpenTelemetry Protocol Exporter
// specification lists.
type Config struct {
	// Endpoint is the URL of the collector. If it is empty, no spans are exported.
	Endpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	// SamplingRatio is the fraction of new traces that is recorded, from 0 to 1.
	SamplingRatio float64 `env:"OTEL_TRACES_SAMPLER_ARG" default:"1" min:"0"`

	// Metrics is off in a program that measures nothing and serves no metrics.
	Metrics Switch `env:"METRICS" default:"on"`
	// MetricsPort is the port of the loopback interface on which the program serves its
	// metrics.
	MetricsPort int `env:"METRICS_PORT" default:"9464" min:"1"`
}

// Tracing is a TracerProvider that can be flushed. Use Open or New to create one.
type Tracing struct {
	trace.TracerProvider
	sdk *sdktrace.TracerProvider
}

// Open returns the Tracing of a program. It does not wait for the collector. While
// the collector is unreachable, spans are lost; nothing else fails.
func Open(ctx context.Context, cfg Config, service, instance string) (*Tracing, error) {
	if cfg.Endpoint == "" {
		// Trace ids are generated even if no span is recorded, because responses and
		// logs contain them.
		return New(service, instance, 0), nil
	}
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithTimeout(5*time.Second))
	if err != nil {
		return nil, fmt.Errorf("open tracing: %w", err)
	}
	return New(service, instance, cfg.SamplingRatio, sdktrace.WithBatcher(exporter, sdktrace.WithBatchTimeout(time.Second))), nil
}

// New returns a Tracing that exports spans with the given exporters. It records the
// fraction samplingRatio of the traces that start in this program. A trace that
// started elsewhere is recorded if its parent was.
func New(service, instance string, samplingRatio float64, exporters ...sdktrace.TracerProviderOption) *Tracing {
	sdk := sdktrace.NewTracerProvider(append(exporters,
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(samplingRatio))),
		sdktrace.WithResource(resourceOf(service, instance)),
	)...)
	return &Tracing{TracerProvider: sdk, sdk: sdk}
}

// resourceOf returns the attributes that all traces and metrics of a program have.
func resourceOf(service, instance string) *resource.Resource {
	return resource.NewWithAttributes(semconv.SchemaURL,
		semconv.ServiceName(service),
		semconv.ServiceInstanceID(instance),
		attribute.String("service.namespace", "boxoffice"),
	)
}

// Flush exports the remaining spans and shuts the Tracing down. Spans that end later
// are lost.
func (t *Tracing) Flush(ctx context.Context) error {
	if err := t.sdk.Shutdown(ctx); err != nil {
		return fmt.Errorf("flush traces: %w", err)
	}
	return nil
}

// Propagator returns the propagator for the W3C Trace Context headers, which Dapr
// uses too.
func Propagator() propagation.TextMapPropagator { return propagation.TraceContext{} }

// FollowerSpan returns a function that makes batched work visible in the traces of all
// members of the batch. The leader of a batch does the work in its own trace. For each
// follower, the function starts a span with the given name in the follower's trace. The
// span is linked to the leader's span, and lasts until end is called. OpenTelemetry
// recommends links for batches ("Links between spans" in the specification's overview).
func FollowerSpan(name string) func(ctx, leader context.Context) (end func()) {
	return func(ctx, leader context.Context) func() {
		tracer := trace.SpanFromContext(ctx).TracerProvider().Tracer("boxoffice/shared/telemetry")
		_, span := tracer.Start(ctx, name, trace.WithLinks(trace.LinkFromContext(leader)))
		return func() { span.End() }
	}
}
