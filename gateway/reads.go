package main

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/gateway/internal/readcache"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/telemetry"
)

const (
	// maxReadAge is how old the answer to a public read may be.
	maxReadAge = time.Second
	// maxStaleAge is how much older an answer may be while the event app fails.
	maxStaleAge = time.Minute

	// listSubject is the subject of all lists, in the cache of reads. A change of any
	// event may change any list. No event has this id.
	listSubject = ""

	headerStale = "X-Boxoffice-Stale"
	// cacheAttribute is the attribute of the gateway's span that says where the answer
	// to a read came from. Its values are those of readcache.Source.
	cacheAttribute = "boxoffice.cache"
)

// freshness says how old the answers of a route may be.
type freshness struct {
	policy readcache.Policy
	// round converts the remaining seconds of freshness to max-age.
	round func(float64) float64
}

// tolerant is the freshness of events and lists. A cache of the client may keep an answer
// for up to a second, whatever its age at the gateway.
func tolerant() freshness {
	return freshness{readcache.Policy{MaxAge: maxReadAge, StaleFor: maxStaleAge}, math.Ceil}
}

// exact is the freshness of availability. No answer is older than a second, even if a
// cache of the client keeps it, and a failure is never replaced by an old answer.
func exact() freshness {
	return freshness{readcache.Policy{MaxAge: maxReadAge, JoinWithin: maxReadAge}, math.Floor}
}

// representation is the result of a read as clients see it.
type representation struct {
	body    any
	etag    string    // empty for none
	version int64     // zero for none
	status  string    // the event's status if the body does not contain it
	asOf    time.Time // when the body was current, if the app has answered with a copy
}

// readEvent returns the endpoint of a route that reads something about the event in its
// path by calling op. Everyone but admins gets it from the cache of reads.
func readEvent[Res any](s *Server, op rpc.Op[eventapi.GetRequest, Res], f freshness, present func(Res) representation) endpoint {
	return read(s, op, f, func(req eventapi.GetRequest) string { return req.EventID }, bindGetEvent, present)
}

// readEvents is like readEvent, but op returns a list.
func readEvents[Req any](s *Server, op rpc.Op[Req, contract.Page[eventapi.Event]], bind func(*call) (Req, error)) endpoint {
	return read(s, op, tolerant(), func(Req) string { return listSubject }, bind, presentEvents)
}

// read returns the endpoint of a route that reads by calling op. subject returns what the
// answer to a request is about. The request that bind builds is the key of the cache, so
// query parameters that it ignores do not matter.
//
// The reads of admins neither use nor fill the cache, because their answers may contain
// drafts. Neither do requests with malformed parameters.
func read[Req, Res any](s *Server, op rpc.Op[Req, Res], f freshness, subject func(Req) string,
	bind func(*call) (Req, error), present func(Res) representation,
) endpoint {
	direct := withResponse(s, op, bind, func(c *call, res Res) response {
		p := present(res)
		if c.byAdmin() {
			c.Set(fiber.HeaderCacheControl, "private, no-store")
		} else {
			setMaxAge(c, f, 0)
		}
		if !p.asOf.IsZero() {
			setMaxAge(c, f, f.policy.MaxAge)
			setStale(c, s.now().Sub(p.asOf))
		}
		return conditional(c, p.etag, p.body)
	})
	return func(c *call) (response, error) {
		c.Set(fiber.HeaderVary, fiber.HeaderAuthorization)
		if s.reads == nil || c.byAdmin() {
			return direct(c)
		}
		req, err := bind(c)
		if err != nil {
			return direct(c)
		}
		res, err := s.cached(c.ctx, rpc.CallName(op), subject(req), req, f.policy, func(ctx context.Context) (readcache.Value, error) {
			return encodeRead(ctx, s, op, req, present)
		})
		if err != nil {
			return response{}, err
		}
		trace.SpanFromContext(c.ctx).SetAttributes(attribute.String(cacheAttribute, string(res.Source)))
		if res.Refusal != nil {
			return response{}, res.Refusal
		}
		setMaxAge(c, f, res.Age)
		if res.Source == readcache.Stale {
			setStale(c, res.Age)
		}
		return conditional(c, res.ETag, encoded(res.Body)), nil
	}
}

// cached returns the result of a read from the cache. The request is its key, in the
// form of JSON.
func (s *Server) cached(ctx context.Context, name, subject string, req any, p readcache.Policy, fetch func(context.Context) (readcache.Value, error)) (readcache.Result, error) {
	params, err := json.Marshal(req)
	if err != nil {
		return readcache.Result{}, err
	}
	return s.reads.Get(ctx, readcache.Key{Subject: subject, Read: name, Params: string(params)}, p, fetch)
}

// change returns the endpoint of a route that changes an event. Reads of this gateway that
// begin after the response see the change. The fact arrives a little later, at the other
// gateways too. The entries are also dropped if the endpoint fails, because the outcome of
// the change may be unknown.
func (s *Server) change(e endpoint) endpoint {
	return func(c *call) (response, error) {
		res, err := e(c)
		s.dropReads(strings.Clone(c.Params("eventId")))
		return res, err
	}
}

// dropReads drops what the cache contains about an event, and all lists.
func (s *Server) dropReads(eventID string) {
	if s.reads != nil {
		s.reads.Drop(eventID, listSubject)
	}
}

// encodeRead calls op and encodes its result. That an event does not exist is a result as
// well; every other error is returned.
func encodeRead[Req, Res any](ctx context.Context, s *Server, op rpc.Op[Req, Res], req Req, present func(Res) representation) (readcache.Value, error) {
	res, err := rpc.Call(ctx, s.calls, op, req)
	if err != nil {
		if apperr.From(err).Code == apperr.NotFound {
			return readcache.Value{Refusal: err}, nil
		}
		return readcache.Value{}, err
	}
	p := present(res)
	body, err := json.Marshal(p.body)
	return readcache.Value{Body: body, ETag: p.etag, Version: p.version, Status: p.status, AsOf: p.asOf}, err
}

// setStale tells the client that the answer is old because the event app or its database
// failed.
func setStale(c *call, age time.Duration) {
	c.Set(fiber.HeaderAge, strconv.Itoa(int(age.Seconds())))
	c.Set(headerStale, "true")
}

// setMaxAge allows any cache to keep the response for the rest of its freshness. age is
// the age of the answer.
func setMaxAge(c *call, f freshness, age time.Duration) {
	left := max(0, f.round((f.policy.MaxAge - age).Seconds()))
	c.Set(fiber.HeaderCacheControl, "public, max-age="+strconv.Itoa(int(left)))
}

// conditional returns a response with the entity tag, if there is one, and with the body
// unless the client has it already.
func conditional(c *call, etag string, body any) response {
	if etag != "" {
		c.Set(fiber.HeaderETag, etag)
		if matchesETag(c, etag) {
			return response{status: http.StatusNotModified}
		}
	}
	return response{http.StatusOK, body}
}

// newReads returns the cache of reads, or nil if maxBytes is zero.
func newReads(maxBytes int64, now func() time.Time) *readcache.Cache {
	if maxBytes == 0 {
		return nil
	}
	return readcache.New(readcache.Config{MaxBytes: maxBytes, Now: now, Follow: func(ctx, leader context.Context, name string) func() {
		return telemetry.FollowerSpan(name)(ctx, leader)
	}})
}
