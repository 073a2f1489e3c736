// Package telemetry sets up traces and logs the same way in every program, and
// names what stands in them.
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

// Config is read from the environment, under OpenTelemetry's own names. The
// exporter reads more of them itself.
type Config struct {
	Endpoint string  `env:"OTEL_EXPORTER_OTLP_ENDPOINT"` // empty: no traces
	Share    float64 `env:"OTEL_TRACES_SAMPLER_ARG" default:"1" min:"0"`
}

// Tracing makes spans and sends them off. The zero value is not usable.
type Tracing struct {
	trace.TracerProvider
	sdk *sdktrace.TracerProvider
}

// Open returns the tracing of one program. It does not wait for the collector:
// one that is away loses traces and nothing else.
func Open(ctx context.Context, cfg Config, service, instance string) (*Tracing, error) {
	if cfg.Endpoint == "" {
		// Ids are made all the same: clients and logs are told them.
		return New(service, instance, 0), nil
	}
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithTimeout(5*time.Second))
	if err != nil {
		return nil, fmt.Errorf("open tracing: %w", err)
	}
	return New(service, instance, cfg.Share, sdktrace.WithBatcher(exporter, sdktrace.WithBatchTimeout(time.Second))), nil
}

// New returns tracing over exporters of the caller's. Of the traces that begin
// here that share is kept; those that come from elsewhere follow their parent.
func New(service, instance string, share float64, exporters ...sdktrace.TracerProviderOption) *Tracing {
	sdk := sdktrace.NewTracerProvider(append(exporters,
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(share))),
		sdktrace.WithResource(resource.NewWithAttributes(semconv.SchemaURL,
			semconv.ServiceName(service),
			semconv.ServiceInstanceID(instance),
			attribute.String("service.namespace", "boxoffice"),
		)),
	)...)
	return &Tracing{TracerProvider: sdk, sdk: sdk}
}

// Flush sends what has not been sent. Spans that end later are lost.
func (t *Tracing) Flush(ctx context.Context) error {
	if err := t.sdk.Shutdown(ctx); err != nil {
		return fmt.Errorf("flush traces: %w", err)
	}
	return nil
}

// Propagator carries the trace from process to process: W3C trace context, as
// Dapr does.
func Propagator() propagation.TextMapPropagator { return propagation.TraceContext{} }

// FollowerSpan is for work that another request, the leader, does along with its own: in
// the trace of the one it begins a span of that name, which through ends, with a
// link to the leader's span, where the work itself is. OpenTelemetry has links for
// what is done in batches.
func FollowerSpan(name string) func(ctx, leader context.Context) (through func()) {
	return func(ctx, leader context.Context) func() {
		tracer := trace.SpanFromContext(ctx).TracerProvider().Tracer("boxoffice/shared/telemetry")
		_, span := tracer.Start(ctx, name, trace.WithLinks(trace.LinkFromContext(leader)))
		return func() { span.End() }
	}
}
