package main

import (
	"context"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/shared/telemetry"
)

// trace records a request as the root span of a trace. The gateway is a public endpoint, so
// the trace is its own: a client chooses neither its id nor whether it is recorded, and no
// part of the client's trace context reaches another program. If the client has sent a
// traceparent, the span links to it.
//
// The attributes follow OpenTelemetry's semantic conventions for HTTP. As in the log, none
// of them contains anything that the client has chosen freely, such as the URL, which may
// contain personal data.
func (s *Server) trace(c *fiber.Ctx) error {
	if isProbe(c.Path()) {
		return c.Next()
	}
	parent, cancel := context.WithCancel(c.UserContext())
	defer cancel()
	method := knownMethod(c)
	ctx, span := s.tracer.Start(parent, method, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer), trace.WithLinks(clientSpan(c)...))
	defer span.End()
	c.SetUserContext(ctx)
	err := c.Next()
	if !span.IsRecording() {
		return err
	}
	route, status := routeOf(c), c.Response().StatusCode()
	attrs := append(make([]attribute.KeyValue, 0, 4), semconv.HTTPRequestMethodKey.String(method), semconv.HTTPResponseStatusCode(status))
	if route != noRoute { // by convention, such a span has no route
		attrs = append(attrs, semconv.HTTPRoute(route))
	}
	if status >= fiber.StatusInternalServerError {
		attrs = append(attrs, semconv.ErrorTypeKey.String(strconv.Itoa(status)))
		span.SetStatus(codes.Error, "")
	}
	span.SetName(method + " " + route)
	span.SetAttributes(attrs...)
	return err
}

// clientSpan returns a link to the span that the client names in its traceparent, without
// the client's tracestate. It returns nothing if the header is missing or malformed.
func clientSpan(c *fiber.Ctx) []trace.Link {
	if len(c.Request().Header.Peek(traceParent)) == 0 {
		return nil
	}
	ctx := telemetry.Propagator().Extract(context.Background(), requestCarrier{c})
	named := trace.SpanContextFromContext(ctx)
	if !named.IsValid() {
		return nil
	}
	return []trace.Link{{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: named.TraceID(), SpanID: named.SpanID(), TraceFlags: named.TraceFlags(), Remote: true,
	})}}
}

// traceParent is the header that names a span (W3C Trace Context).
const traceParent = "traceparent"

// requestCarrier is a propagation.TextMapCarrier that contains only the traceparent of a
// request.
type requestCarrier struct{ c *fiber.Ctx }

// Get implements propagation.TextMapCarrier.
func (r requestCarrier) Get(key string) string {
	if key != traceParent {
		return ""
	}
	return string(r.c.Request().Header.Peek(traceParent))
}

// Set implements propagation.TextMapCarrier. A request is only read.
func (requestCarrier) Set(string, string) {}

// Keys implements propagation.TextMapCarrier.
func (requestCarrier) Keys() []string { return []string{traceParent} }
