package main

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/strictjson"
)

// call is one request on its way to what answers it.
type call struct {
	*fiber.Ctx
	ctx     context.Context //nolint:containedctx // it is the request's, and ends with it
	caller  *authapi.User   // nil for a guest
	address string
}

// answer is what a client gets back as JSON; a nil body is none.
type answer struct {
	status int
	body   any
}

// endpoint answers a route. op is the operation that it asks, empty when the
// gateway itself knows.
type endpoint struct {
	op     string
	answer func(*call) (answer, error)
}

// message is the answer of routes that have nothing to tell.
type message struct {
	Message string `json:"message"`
}

const callerKey = "caller"

// handle is the way of every request through its route: count it, know who asks,
// let it through or not, answer.
func (s *Server) handle(r route) fiber.Handler {
	return func(c *fiber.Ctx) error {
		var b bearer
		if r.access == anyone {
			b.err = tokenMissing()
		} else {
			b = s.bearer(c)
		}
		address := s.address(c)
		entry, err := s.admit(c, r.bucket, b, address)
		if err != nil {
			return err
		}
		if c.Accepts(fiber.MIMEApplicationJSON, problemType) == "" {
			return fiber.ErrNotAcceptable
		}
		caller, err := s.authorize(c.UserContext(), r.access, b, entry)
		if err != nil {
			return err
		}
		if caller != nil {
			c.Locals(callerKey, caller.ID)
		}
		a, err := r.endpoint.answer(&call{Ctx: c, ctx: c.UserContext(), caller: caller, address: address})
		if err != nil {
			return err
		}
		return reply(c, a)
	}
}

func reply(c *fiber.Ctx, a answer) error {
	if a.body == nil { // 304
		c.Status(a.status)
		return nil
	}
	body, err := json.Marshal(a.body)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Status(a.status).Send(body)
}

// operation answers a route with an operation of an app: bind makes its request
// out of the client's, and its answer is the client's.
func operation[Req, Res any](s *Server, op rpc.Op[Req, Res], status int, bind func(*call) (Req, error)) endpoint {
	return presented(s, op, status, bind, func(res Res) any { return res })
}

// presented is operation with an answer that clients see in another form.
func presented[Req, Res any](s *Server, op rpc.Op[Req, Res], status int, bind func(*call) (Req, error), present func(Res) any) endpoint {
	return asked(s, op, bind, func(_ *call, res Res) answer { return answer{status, present(res)} })
}

// asked is operation with an answer that has headers of its own, or depends on
// what the client sent.
func asked[Req, Res any](s *Server, op rpc.Op[Req, Res], bind func(*call) (Req, error), present func(*call, Res) answer) endpoint {
	return endpoint{op: op.Method, answer: func(c *call) (answer, error) {
		req, err := bind(c)
		wrong, partly := errors.AsType[unread](err)
		if err != nil && !partly {
			return answer{}, err
		}
		res, err := rpc.Call(c.ctx, s.calls, op, req)
		if partly {
			return answer{}, wrong.with(err)
		}
		if err != nil {
			return answer{}, err
		}
		return present(c, res), nil
	}}
}

// byAdmin reports whether an admin asks.
func (c *call) byAdmin() bool { return c.caller != nil && c.caller.Role == authapi.RoleAdmin }

// own answers a route with what the gateway itself knows.
func own(fn func(*call) (any, error)) endpoint {
	return endpoint{answer: func(c *call) (answer, error) {
		body, err := fn(c)
		return answer{http.StatusOK, body}, err
	}}
}

// decode reads the body, which must be JSON and nothing that T does not know.
func decode[T any](c *call) (T, error) {
	var body T
	kind, params, err := mime.ParseMediaType(c.Get(fiber.HeaderContentType))
	charset := params["charset"]
	// A compressed body is not unpacked: 64 KiB may hide gigabytes.
	if err != nil || kind != fiber.MIMEApplicationJSON || charset != "" && !strings.EqualFold(charset, "utf-8") ||
		c.Get(fiber.HeaderContentEncoding) != "" {
		return body, fiber.ErrUnsupportedMediaType
	}
	return body, strictjson.Decode(c.BodyRaw(), &body)
}

// device says where a request came from.
func (c *call) device() authapi.Device {
	agent := c.Get(fiber.HeaderUserAgent)
	agent = agent[:min(len(agent), maxUserAgent)]
	return authapi.Device{Address: c.address, UserAgent: strings.ToValidUTF8(agent, "")}
}

// maxUserAgent is as much of it as anybody will read in a list of sessions.
const maxUserAgent = 256

// required lists the texts that are absent, given as name and value in turn.
func required(pairs ...string) error {
	var missing []apperr.Field
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			missing = append(missing, apperr.Field{Field: pairs[i], Code: "required", Message: "is required"})
		}
	}
	if missing != nil {
		return apperr.InvalidFields(missing...)
	}
	return nil
}
