package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// Limits on scrapes. A scrape takes a few milliseconds.
const (
	maxScrapes    = 4 // at the same time
	scrapeTimeout = 5 * time.Second
)

// Switch is a setting that is on or off.
type Switch bool

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Switch) UnmarshalText(text []byte) error {
	switch string(text) {
	case "on":
		*s = true
	case "off":
		*s = false
	default:
		return errors.New("must be on or off")
	}
	return nil
}

// Metrics is a MeterProvider whose metrics a Prometheus server can scrape. Use OpenMetrics or
// NewMetrics to create one.
type Metrics struct {
	metric.MeterProvider
	sdk     *sdkmetric.MeterProvider // nil if metrics are off
	scrapes http.Handler
}

// OpenMetrics returns the Metrics of a program. They measure nothing if cfg turns them off.
func OpenMetrics(cfg Config, service, instance string) (*Metrics, error) {
	if !cfg.Metrics {
		return &Metrics{MeterProvider: noop.NewMeterProvider(), scrapes: http.NotFoundHandler()}, nil
	}
	return NewMetrics(service, instance)
}

// NewMetrics returns Metrics that include those of the Go runtime and of the process.
//
// A measurement that is made in a sampled trace may become an exemplar: the trace's id is
// then served beside the measurement's bucket, to scrapers that ask for OpenMetrics.
func NewMetrics(service, instance string) (*Metrics, error) {
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(
		otelprometheus.WithRegisterer(registry),
		// The scope is the same for all of a program's own metrics.
		otelprometheus.WithoutScopeInfo(),
	)
	if err != nil {
		return nil, fmt.Errorf("open metrics: %w", err)
	}
	sdk := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithResource(resourceOf(service, instance)))
	if err := runtime.Start(runtime.WithMeterProvider(sdk)); err != nil {
		return nil, fmt.Errorf("open metrics: %w", err)
	}
	if err := registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
		return nil, fmt.Errorf("open metrics: %w", err)
	}
	return &Metrics{
		MeterProvider: sdk,
		sdk:           sdk,
		scrapes: promhttp.HandlerFor(registry, promhttp.HandlerOpts{
			EnableOpenMetrics:   true,
			MaxRequestsInFlight: maxScrapes,
			Timeout:             scrapeTimeout,
		}),
	}, nil
}

// ServeHTTP serves the current values in Prometheus's text format, or in OpenMetrics if the
// request asks for it. It implements http.Handler.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.scrapes.ServeHTTP(w, r) }

// Shutdown ends the measurements. Later ones are dropped.
func (m *Metrics) Shutdown(ctx context.Context) error {
	if m.sdk == nil {
		return nil
	}
	if err := m.sdk.Shutdown(ctx); err != nil {
		return fmt.Errorf("shut metrics down: %w", err)
	}
	return nil
}
