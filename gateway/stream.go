package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/gateway/internal/live"
	"boxoffice/gateway/internal/readcache"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/subnet"
)

const (
	streamPath      = "/api/events/:eventId/availability/stream"
	eventStreamType = "text/event-stream"

	// streamInterval is the time between two polls of an event's availability.
	streamInterval = 250 * time.Millisecond
	// streamRetry is how long a client that has too many streams should wait.
	streamRetry = 5 * time.Second
	// streamSendBuffer bounds the kernel's memory for a client that does not read, in
	// bytes.
	streamSendBuffer = 16 << 10
)

func errNoEventStream() error {
	return problemError{newProblem(http.StatusNotAcceptable, "not_acceptable",
		"The response is an event stream. Send an Accept header that allows text/event-stream.")}
}

// streamAvailability sends the availability of an event now and after each change, as
// Server-Sent Events, until the event is cancelled, unpublished or deleted. The stream is
// the same for every caller: drafts do not exist, even for admins.
//
// The response to HEAD has the same status and headers and ends at once.
func (s *Server) streamAvailability(c *call) (response, error) {
	req, err := bindGetEvent(c)
	if err != nil {
		return response{}, err
	}
	if c.Method() == fiber.MethodHead {
		if _, err := s.pollAvailability(c.ctx, req.EventID); err != nil {
			return response{}, streamError(err)
		}
		setStreamHeaders(c)
		return response{status: http.StatusOK}, nil
	}
	w, err := s.streams.Watch(c.ctx, req.EventID, subnet.Of(c.address))
	if err != nil {
		return response{}, streamError(err)
	}
	setStreamHeaders(c)
	stream := live.Stream{Watcher: w, Subject: req.EventID}
	// A malformed id is not one of this stream, so the client gets the current value.
	stream.Last, _ = strconv.ParseInt(c.Get("Last-Event-ID"), 10, 64)
	// Fiber takes over neither the connection nor its timeouts once it is hijacked.
	// fasthttp keeps the response until the function returns.
	head := &c.Context().Response.Header
	c.Context().HijackSetNoResponse(true)
	c.Context().Hijack(func(conn net.Conn) {
		limitSendBuffer(conn)
		stream.Conn, stream.Header = conn, head.Header()
		stream.Run()
	})
	return response{status: http.StatusOK}, nil
}

func setStreamHeaders(c *call) {
	c.Set(fiber.HeaderContentType, eventStreamType)
	c.Set("X-Accel-Buffering", "no") // asks nginx to pass every event on at once
	c.Response().Header.SetContentLength(-2)
}

// streamError converts an error of the hub to the one for the client.
func streamError(err error) error {
	switch {
	case errors.Is(err, live.ErrAddressFull):
		return apperr.TooManyRequests("", "Too many streams from this address are open. Close one, or open another one later.", streamRetry)
	case errors.Is(err, live.ErrFull), errors.Is(err, live.ErrStopped):
		return apperr.Overloaded(streamRetry)
	}
	return err
}

// pollAvailability returns the availability of an event, at most streamInterval old. The
// cache is the one of the public reads, so streams and requests share their calls. The
// error wraps live.ErrEnded if no guest may see the event.
func (s *Server) pollAvailability(ctx context.Context, eventID string) (live.Update, error) {
	// A poll belongs to no request, so it starts no trace.
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = trace.ContextWithSpanContext(ctx, newSpanContext())
	}
	req := eventapi.GetRequest{EventID: eventID}
	fetch := func(ctx context.Context) (readcache.Value, error) {
		return encodeRead(ctx, s, eventapi.GetAvailability, req, presentAvailability)
	}
	var res readcache.Result
	var err error
	if s.reads == nil {
		res.Value, err = fetch(ctx)
	} else {
		policy := exact().policy
		policy.MaxAge = streamInterval
		res, err = s.cached(ctx, rpc.CallName(eventapi.GetAvailability), eventID, req, policy, fetch)
	}
	if err != nil {
		return live.Update{}, err
	}
	if res.Refusal != nil {
		return live.Update{}, fmt.Errorf("%w: %w", live.ErrEnded, res.Refusal)
	}
	return live.Update{Version: res.Version, Data: res.Body, Closed: res.Status == eventapi.StatusCancelled}, nil
}

// limitSendBuffer limits the kernel's send buffer of a hijacked connection.
func limitSendBuffer(conn net.Conn) {
	if hijacked, ok := conn.(interface{ UnsafeConn() net.Conn }); ok {
		if tcp, ok := hijacked.UnsafeConn().(interface{ SetWriteBuffer(bytes int) error }); ok {
			_ = tcp.SetWriteBuffer(streamSendBuffer) // only saves memory
		}
	}
}
