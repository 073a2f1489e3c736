package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/eventapi"
)

const problemType = "application/problem+json"

// problem is the body of an error response, a problem document as defined in RFC 9457.
type problem struct {
	Type     string         `json:"type"`
	Title    string         `json:"title"`
	Status   int            `json:"status"`
	Detail   string         `json:"detail"`
	Instance string         `json:"instance"`
	Code     string         `json:"code"`
	TraceID  string         `json:"traceId"`
	Errors   []apperr.Field `json:"errors,omitempty"`

	retryAfter time.Duration
	location   string // of the resource that the request conflicts with; may be empty
}

// problemError is an error whose problem document no apperr.Code describes.
type problemError struct{ problem }

// Error implements error.
func (e problemError) Error() string { return e.Code }

// problemOf returns the problem document for err. An error that is neither a problemError
// nor a *fiber.Error nor an *apperr.Error becomes an internal error without its text.
func problemOf(err error) problem {
	if e, ok := errors.AsType[*fiber.Error](err); ok {
		return fiberProblem(e.Code)
	}
	if e, ok := errors.AsType[problemError](err); ok {
		return e.problem
	}
	e := apperr.From(err)
	p := newProblem(statusOf(e.Code), e.Reason, e.Message)
	p.Errors = e.Fields
	p.retryAfter = e.RetryAfter
	if e.Reason == eventapi.ReasonDuplicate && e.ConflictsWith != "" {
		p.location = eventPath(e.ConflictsWith)
	}
	return p
}

func newProblem(status int, code, detail string) problem {
	return problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

func statusOf(code apperr.Code) int {
	switch code {
	case apperr.Invalid:
		return http.StatusBadRequest
	case apperr.Unauthenticated:
		return http.StatusUnauthorized
	case apperr.Forbidden:
		return http.StatusForbidden
	case apperr.NotFound:
		return http.StatusNotFound
	case apperr.Conflict:
		return http.StatusConflict
	case apperr.PreconditionFailed:
		return http.StatusPreconditionFailed
	case apperr.Unprocessable:
		return http.StatusUnprocessableEntity
	case apperr.RateLimited:
		return http.StatusTooManyRequests
	case apperr.Unavailable:
		return http.StatusServiceUnavailable
	case apperr.Timeout:
		return http.StatusGatewayTimeout
	case apperr.Internal:
	}
	return http.StatusInternalServerError
}

// fiberProblem returns the problem document for an error of Fiber or fasthttp with
// this status. It omits the error's text, which may quote the request.
func fiberProblem(status int) problem {
	switch status {
	case http.StatusNotFound:
		return newProblem(status, "not_found", "No resource exists at this path. Check its spelling: paths are case-sensitive and do not end in a slash.")
	case http.StatusMethodNotAllowed:
		return newProblem(status, "method_not_allowed", "This path does not support the request method. Use a method that the Allow header lists.")
	case http.StatusNotAcceptable:
		return newProblem(status, "not_acceptable", "Responses are JSON. Send an Accept header that allows application/json.")
	case http.StatusRequestTimeout, http.StatusBadGateway: // Fiber reports a broken client connection as 502
		return newProblem(http.StatusRequestTimeout, "request_timeout", "The request did not arrive in time. Send it again.")
	case http.StatusRequestEntityTooLarge:
		return newProblem(status, "body_too_large", "The request body is too large. Send at most 64 KiB.")
	case http.StatusUnsupportedMediaType:
		return newProblem(status, "unsupported_media_type", "The body must be JSON without compression. Send Content-Type: application/json and no Content-Encoding.")
	case http.StatusRequestHeaderFieldsTooLarge:
		return newProblem(status, "headers_too_large", "The request line and headers are too large. Send at most 16 KiB in total.")
	}
	if status/100 == 4 {
		return newProblem(http.StatusBadRequest, "invalid", "The request could not be parsed. Send a well-formed HTTP/1.1 request.")
	}
	return newProblem(http.StatusInternalServerError, "internal", "The service failed to process the request. If this persists, report the traceId.")
}

// sendProblem sends the problem document for err with the headers that its status
// requires.
func (s *Server) sendProblem(c *fiber.Ctx, err error) error {
	s.setHeaders(c)
	p := problemOf(err)
	p.Instance = askedPath(c)
	p.TraceID = trace.SpanContextFromContext(c.UserContext()).TraceID().String()
	body, encodeErr := json.Marshal(p)
	if encodeErr != nil {
		return encodeErr
	}
	switch {
	case p.Status == http.StatusUnauthorized:
		c.Set(fiber.HeaderWWWAuthenticate, "Bearer")
	case p.retryAfter > 0:
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(max(1, ceilSeconds(p.retryAfter))))
	case p.Status == http.StatusTooManyRequests, p.Status == http.StatusServiceUnavailable:
		c.Set(fiber.HeaderRetryAfter, "1")
	}
	if p.Status == http.StatusUnsupportedMediaType { // RFC 9110, sections 12.5.1 and 12.5.3
		c.Set(fiber.HeaderAccept, fiber.MIMEApplicationJSON)
		c.Set(fiber.HeaderAcceptEncoding, "identity")
	}
	if p.location != "" {
		c.Set(fiber.HeaderLocation, p.location)
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderContentType, problemType)
	c.Status(p.Status)
	return c.Send(body)
}
