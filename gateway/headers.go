package main

import (
	"bytes"
	"crypto/rand"
	"regexp"

	"github.com/gofiber/fiber/v2"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/shared/telemetry"
)

// setHeaders sets the headers that every response has. A second call for the same
// response does nothing.
func (s *Server) setHeaders(c *fiber.Ctx) {
	if len(c.Response().Header.Peek(fiber.HeaderXRequestID)) > 0 {
		return
	}
	ctx := c.UserContext()
	if !trace.SpanContextFromContext(ctx).IsValid() {
		// A probe, or a request that could not be parsed, has no trace. The client
		// and the log still need a common trace id.
		ctx = trace.ContextWithSpanContext(ctx, newSpanContext())
		c.SetUserContext(ctx)
	}
	carrier := propagation.MapCarrier{}
	telemetry.Propagator().Inject(ctx, carrier)
	for name, value := range carrier {
		c.Set(name, value)
	}
	c.Set(fiber.HeaderXRequestID, requestID(c))
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
	c.Set(fiber.HeaderXFrameOptions, "DENY")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	c.Set(fiber.HeaderCacheControl, "no-store") // the handlers of cacheable responses overwrite it
	if s.isSecure(c) {
		c.Set(fiber.HeaderStrictTransportSecurity, "max-age=31536000; includeSubDomains")
	}
}

// newSpanContext returns random trace and span ids for a request that is not traced.
func newSpanContext() trace.SpanContext {
	var cfg trace.SpanContextConfig
	_, _ = rand.Read(cfg.TraceID[:]) // never fails
	_, _ = rand.Read(cfg.SpanID[:])
	return trace.NewSpanContext(cfg)
}

// idPattern matches a valid request id.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// requestID returns the client's X-Request-Id if it is valid, so that the client's
// and the gateway's logs contain the same id. Otherwise it returns a new id. A response
// that others may receive from a cache has a new id in any case; see ownCacheable.
func requestID(c *fiber.Ctx) string {
	if id := c.Get(fiber.HeaderXRequestID); idPattern.MatchString(id) {
		return id
	}
	return newID()
}

// ownCacheable replaces the request id of a response that a shared cache may keep. Other
// clients receive such a response with all its headers, so none of them may contain
// anything that this client chose. The trace id is the gateway's own in every response.
func ownCacheable(c *fiber.Ctx) {
	header := &c.Response().Header
	isShared := bytes.Contains(header.Peek(fiber.HeaderCacheControl), []byte("public"))
	if isShared && len(c.Request().Header.Peek(fiber.HeaderXRequestID)) > 0 {
		header.Set(fiber.HeaderXRequestID, newID())
	}
}

// newID returns a random id of at least 128 bits, encoded in base32.
func newID() string { return rand.Text() }
