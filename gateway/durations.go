package main

import (
	"time"

	"github.com/gofiber/fiber/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"

	"boxoffice/shared/metrics"
)

// requestDurations measures all requests, by method, route and status. The request of a
// stream ends for it when the stream begins.
type requestDurations struct {
	*metrics.Durations[servedRequest]
}

// servedRequest identifies a time series. Its strings are constants, because those of Fiber
// are valid only during the request.
type servedRequest struct {
	method string
	route  string // noRoute if no route matched
	status int
}

func newRequestDurations(p metric.MeterProvider) requestDurations {
	var named httpconv.ServerRequestDuration
	return requestDurations{metrics.NewDurations(p, metrics.Def{
		Name: named.Name(),
		Help: "Time from the receipt of a request's headers to its response.",
	}, func(r servedRequest) []attribute.KeyValue {
		attrs := []attribute.KeyValue{semconv.HTTPRequestMethodKey.String(r.method), semconv.HTTPResponseStatusCode(r.status)}
		if r.route != noRoute { // by convention, such a series has no route
			attrs = append(attrs, semconv.HTTPRoute(r.route))
		}
		return attrs
	})}
}

// record adds one request, to which the response must have been set.
func (d requestDurations) record(c *fiber.Ctx, route string, took time.Duration) {
	d.Record(c.UserContext(), took, servedRequest{knownMethod(c), route, c.Response().StatusCode()})
}

// knownMethod returns the request's method as a constant. It returns "_OTHER", as the
// convention wants, for a method that no route has.
func knownMethod(c *fiber.Ctx) string {
	for _, known := range []string{
		fiber.MethodGet, fiber.MethodHead, fiber.MethodPost, fiber.MethodPut, fiber.MethodDelete,
		fiber.MethodPatch, fiber.MethodOptions,
	} {
		if c.Method() == known {
			return known
		}
	}
	return semconv.HTTPRequestMethodOther.Value.AsString()
}
