package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"boxoffice/gateway/internal/negotiate"
	"boxoffice/shared/rpc"
)

// endpoint produces the response to a request that was admitted and authorized.
type endpoint func(*call) (response, error)

// response is the status and body of a response. The body is sent as JSON. If it is
// nil, the response has no body.
type response struct {
	status int
	body   any
}

// encoded is a body that is already JSON.
type encoded []byte

// message is the body of a response that carries no data.
type message struct {
	Message string `json:"message"`
}

// callerKey names the Fiber local that holds the caller's id for the access log.
const callerKey = "caller"

// handler returns the Fiber handler of r. The handler admits the request, authorizes
// it, and sends the response of r's endpoint.
func (s *Server) handler(r route) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if r.isShadowed(c) {
			c.Set(fiber.HeaderAllow, "GET, HEAD")
			return fiber.ErrMethodNotAllowed
		}
		var cred credentials
		if r.access == anyone {
			cred.err = tokenMissing()
		} else {
			cred = s.authenticate(c)
		}
		address := s.clientAddress(c)
		entry, err := s.admit(c, r.bucket, cred, address)
		if err != nil {
			return err
		}
		// This check follows admit, so that a request that fails it still counts
		// against its rate limit.
		if err := checkAccept(c, r.path); err != nil {
			return err
		}
		caller, err := s.authorize(c.UserContext(), r.access, cred, entry)
		if err != nil {
			return err
		}
		if caller != nil {
			c.Locals(callerKey, caller.ID)
		}
		res, err := r.endpoint(&call{Ctx: c, ctx: c.UserContext(), caller: caller, address: address})
		if err != nil {
			return err
		}
		return send(c, res)
	}
}

// checkAccept returns an error unless the client accepts the media type of the route's
// responses. Probes ignore the header. A client that lists the type of problems, but not
// JSON, is taken to accept JSON as well.
func checkAccept(c *fiber.Ctx, path string) error {
	if isProbe(path) {
		return nil
	}
	lines := c.Request().Header.PeekAll(fiber.HeaderAccept)
	if len(lines) == 0 {
		return nil
	}
	accept, err := negotiate.ParseAccept(lines)
	switch {
	case err != nil:
		return errLargeAccept()
	case path == streamPath && !accept.Allows(eventStreamType):
		return errNoEventStream()
	case path == streamPath, accept.Allows(fiber.MIMEApplicationJSON),
		accept.Allows(problemType) && !accept.Refuses(fiber.MIMEApplicationJSON):
		return nil
	}
	return fiber.ErrNotAcceptable
}

// errLargeAccept returns the error for an Accept header beyond the limits. RFC 6585,
// section 5, has a status for a single header that is too large.
func errLargeAccept() error {
	return problemError{newProblem(http.StatusRequestHeaderFieldsTooLarge, "headers_too_large", fmt.Sprintf(
		"The Accept header is too large. Send at most %d media ranges in %d bytes.", negotiate.MaxRanges, negotiate.MaxAccept))}
}

func send(c *fiber.Ctx, res response) error {
	if res.body == nil { // 304, or a stream
		c.Status(res.status)
		return nil
	}
	body, isEncoded := res.body.(encoded)
	if !isEncoded {
		var err error
		if body, err = json.Marshal(res.body); err != nil {
			return err
		}
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Status(res.status).Send(body)
}

// operation returns the endpoint of a route that calls op. bind turns the HTTP request
// into a request of op. The result of op is the body of the response.
func operation[Req, Res any](s *Server, op rpc.Op[Req, Res], status int, bind func(*call) (Req, error)) endpoint {
	return withBody(s, op, status, bind, func(res Res) any { return res })
}

// withBody is like operation, but present turns the result of op into the body.
func withBody[Req, Res any](s *Server, op rpc.Op[Req, Res], status int, bind func(*call) (Req, error), present func(Res) any) endpoint {
	return withResponse(s, op, bind, func(_ *call, res Res) response { return response{status, present(res)} })
}

// withResponse is like operation, but present turns the result of op into the whole
// response. present may also read the HTTP request and set response headers.
func withResponse[Req, Res any](s *Server, op rpc.Op[Req, Res], bind func(*call) (Req, error), present func(*call, Res) response) endpoint {
	return func(c *call) (response, error) {
		req, err := bind(c)
		if undecoded, ok := errors.AsType[bodyError](err); ok {
			return response{}, queryError(undecoded).merge(rpc.Check(c.ctx, s.calls, op, req, undecoded))
		}
		// If only query parameters are malformed, call op all the same. One problem
		// document then also lists the fields that the app refuses.
		malformed, ok := errors.AsType[queryError](err)
		if err != nil && !ok {
			return response{}, err
		}
		res, err := rpc.Call(c.ctx, s.calls, op, req)
		if ok {
			return response{}, malformed.merge(err)
		}
		if err != nil {
			return response{}, err
		}
		return present(c, res), nil
	}
}
