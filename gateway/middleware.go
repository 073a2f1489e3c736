package main

import (
	"fmt"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// middleware wraps the handling of every request that could be parsed. It sets the
// common response headers, turns an error into a problem document, measures the
// duration, and writes the access log.
func (s *Server) middleware(c *fiber.Ctx) error {
	began := s.now()
	s.setHeaders(c)
	err := s.dispatch(c)
	if err != nil {
		if sendErr := s.sendProblem(c, err); sendErr != nil {
			return sendErr
		}
	}
	ownCacheable(c)
	route := routeOf(c)
	s.durations.record(c, route, s.now().Sub(began))
	if !isProbe(c.Path()) {
		s.logRequest(c, route, began, err)
	}
	return nil
}

// handleParseError responds to a request that fasthttp could not parse. Fiber calls
// no middleware for such a request. It counts as a write of its address.
func (s *Server) handleParseError(c *fiber.Ctx, err error) error {
	began := s.now()
	if conn, ok := c.Context().Conn().(*requestConn); ok {
		method, _, _ := conn.requestLine()
		c.Response().SkipBody = method == fiber.MethodHead
	}
	defer func() {
		s.durations.record(c, noRoute, s.now().Sub(began))
		s.logRequest(c, noRoute, began, err)
	}()
	s.setHeaders(c)
	if _, refused := s.admit(c, write, credentials{err: tokenMissing()}, s.clientAddress(c)); refused != nil {
		err = refused
	}
	return s.sendProblem(c, err)
}

// dispatch runs the handler of the request's route. It turns a panic into an error.
// If no route matches, no handler counts the request against a rate limit, so
// dispatch does.
func (s *Server) dispatch(c *fiber.Ctx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	err = c.Next()
	unrouted, ok := err.(*fiber.Error) //nolint:errorlint // Fiber returns it unwrapped
	if !ok || unrouted.Code != fiber.StatusNotFound && unrouted.Code != fiber.StatusMethodNotAllowed {
		return err
	}
	if c.Locals(unknownMethodKey) != nil {
		err = fiber.ErrMethodNotAllowed
	}
	kind := write
	if c.Method() == fiber.MethodGet || c.Method() == fiber.MethodHead {
		kind = browse
	}
	if _, refused := s.admit(c, kind, credentials{err: tokenMissing()}, s.clientAddress(c)); refused != nil {
		return refused
	}
	return err
}

// unknownMethodKey names the user value that replaceUnknownMethod sets.
const unknownMethodKey = "unknown method"

// replaceUnknownMethod replaces a method that Fiber does not support with TRACE, which
// no route uses. The request then passes through the middleware and gets the same 405
// response as any other unsupported method.
func replaceUnknownMethod(c *fasthttp.RequestCtx) {
	switch string(c.Method()) {
	case fiber.MethodGet, fiber.MethodHead, fiber.MethodPost, fiber.MethodPut, fiber.MethodPatch,
		fiber.MethodDelete, fiber.MethodOptions, fiber.MethodConnect, fiber.MethodTrace:
	default:
		c.SetUserValue(unknownMethodKey, true)
		c.Request.Header.SetMethod(fiber.MethodTrace)
	}
}
