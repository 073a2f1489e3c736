package main

import (
	"context"
	"net/http"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/daprsub"
	"boxoffice/shared/rpc"
)

// factsPath is the route of the event app's facts. It must match
// dapr/subscriptions/gateway-to-event-facts.yaml.
const factsPath = "/facts/events"

// isFact reports whether the request is the delivery of a fact by the gateway's sidecar.
// Any other request for the path is one of an unknown path: it passes through the
// middleware, counts against a rate limit, and gets a 404.
func (s *Server) isFact(c *fasthttp.RequestCtx) bool {
	return c.IsPost() && string(c.Path()) == factsPath &&
		rpc.TokenMatches(s.appToken, string(c.Request.Header.Peek(rpc.TokenHeader)))
}

// factHandler returns the handler of the event app's facts.
func (s *Server) factHandler(tracing trace.TracerProvider) fasthttp.RequestHandler {
	mux := http.NewServeMux()
	daprsub.HandleFacts(daprsub.Routes{Mux: mux, Log: s.log, Tracing: tracing}, factsPath, s.onEventFact)
	return fasthttpadaptor.NewFastHTTPHandler(mux)
}

// onEventFact drops what the cache contains about the event of a fact, and all lists. The
// cache does not depend on facts: without them its entries expire a second later.
func (s *Server) onEventFact(_ context.Context, e daprsub.Event[eventapi.Fact]) error {
	// The topic also carries the announcements of tools/streams, which name no event.
	if id := e.Data.Resource.ID; id != "" {
		s.dropReads(id)
	}
	return nil
}
