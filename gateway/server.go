package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/gofiber/contrib/otelfiber/v2"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/shared/lifecycle"
	"boxoffice/shared/ratelimit"
	"boxoffice/shared/rpc"
	"boxoffice/shared/telemetry"
)

// What a request may be at most, and how long it may take to come and go.
const (
	maxBody      = 64 << 10
	maxHeaders   = 16 << 10
	readTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second // longer than the slowest operation
	idleTimeout  = 75 * time.Second

	// localSubjects bounds the memory of the limits while Redis is away.
	localSubjects = 50_000
)

// Deps are what the gateway works with. All must be set.
type Deps struct {
	Log     *slog.Logger
	Tracing trace.TracerProvider
	Calls   *rpc.Client
	Cache   SessionCache
	Keys    *Keyring
	Ready   *lifecycle.Readiness
	Now     func() time.Time
}

// Server is the HTTP side of the gateway.
type Server struct {
	fiber *fiber.App

	log     *slog.Logger
	calls   *rpc.Client
	cache   SessionCache
	limits  *ratelimit.Local
	keys    *Keyring
	ready   *lifecycle.Readiness
	now     func() time.Time
	rates   map[bucket]Rate
	proxies []netip.Prefix
}

// NewServer returns the gateway with all its routes; it does not listen yet.
func NewServer(cfg Config, d Deps) *Server {
	s := &Server{
		log: d.Log, calls: d.Calls, cache: d.Cache, keys: d.Keys, ready: d.Ready, now: d.Now,
		limits:  ratelimit.NewLocal(d.Now, localSubjects),
		rates:   map[bucket]Rate{browse: cfg.Browse, write: cfg.Write, logIn: cfg.LogIn},
		proxies: cfg.Proxies,
	}
	s.fiber = fiber.New(fiber.Config{
		AppName:               "boxoffice",
		BodyLimit:             maxBody,
		ReadBufferSize:        maxHeaders,
		ReadTimeout:           readTimeout,
		WriteTimeout:          writeTimeout,
		IdleTimeout:           idleTimeout,
		CaseSensitive:         true,
		StrictRouting:         true,
		DisableStartupMessage: true,
		ErrorHandler:          s.unparsed,
	})
	s.fiber.Use(otelfiber.Middleware(
		otelfiber.WithTracerProvider(d.Tracing),
		otelfiber.WithPropagators(telemetry.Propagator()),
		otelfiber.WithCollectClientIP(false),
		otelfiber.WithSpanNameFormatter(func(c *fiber.Ctx) string { return c.Method() + " " + routeOf(c) }),
		otelfiber.WithNext(func(c *fiber.Ctx) bool { return isProbe(c.Path()) }),
	))
	s.fiber.Use(s.edge)
	for _, r := range s.routes() {
		s.fiber.Add(r.method, r.path, s.handle(r))
		if r.method == fiber.MethodGet {
			s.fiber.Add(fiber.MethodHead, r.path, s.handle(r))
		}
	}
	// Fiber answers a method that nobody knows without asking any handler.
	serve := s.fiber.Handler()
	s.fiber.Server().Handler = func(c *fasthttp.RequestCtx) { knownMethod(c, serve) }
	return s
}

// Part is the gateway listening at addr.
func (s *Server) Part(addr string) lifecycle.Part {
	var listener net.Listener
	return lifecycle.Part{
		Name: "http",
		Start: func(ctx context.Context) error {
			var err error
			listener, err = new(net.ListenConfig).Listen(ctx, "tcp", addr)
			return err
		},
		Run:  func(context.Context) error { return s.fiber.Listener(listener) },
		Stop: s.fiber.ShutdownWithContext,
	}
}

// Fiber is the server itself, for tests that need no port.
func (s *Server) Fiber() *fiber.App { return s.fiber }

// strangerKey marks requests of a method that nobody knows.
const strangerKey = "stranger"

// knownMethod serves a request; one of an unknown method as TRACE, which no route
// has, so that it meets the same checks and the same answer.
func knownMethod(c *fasthttp.RequestCtx, serve fasthttp.RequestHandler) {
	switch string(c.Method()) {
	case fiber.MethodGet, fiber.MethodHead, fiber.MethodPost, fiber.MethodPut, fiber.MethodPatch,
		fiber.MethodDelete, fiber.MethodOptions, fiber.MethodConnect, fiber.MethodTrace:
	default:
		c.SetUserValue(strangerKey, true)
		c.Request.Header.SetMethod(fiber.MethodTrace)
	}
	serve(c)
}

// edge is what every request passes: it gets an id and its headers, what goes
// wrong becomes a problem, and one line in the log tells of it.
func (s *Server) edge(c *fiber.Ctx) error {
	began := s.now()
	s.dress(c)
	err := s.next(c)
	if err != nil {
		if failed := s.refuse(c, err); failed != nil {
			return failed
		}
	}
	if !isProbe(c.Path()) {
		s.report(c, routeOf(c), began, err)
	}
	return nil
}

// unparsed answers what fasthttp could not read as a request, and so is all that
// it passes through.
func (s *Server) unparsed(c *fiber.Ctx, err error) error {
	defer s.report(c, noRoute, s.now(), err)
	return s.refuse(c, err)
}

// next hands the request to its route and turns a panic into an error. What no
// route takes is counted here.
func (s *Server) next(c *fiber.Ctx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	err = c.Next()
	unrouted, ok := err.(*fiber.Error) //nolint:errorlint // Fiber's own, never wrapped
	if !ok || unrouted.Code != fiber.StatusNotFound && unrouted.Code != fiber.StatusMethodNotAllowed {
		return err
	}
	if c.Locals(strangerKey) != nil {
		err = fiber.ErrMethodNotAllowed
	}
	kind := write
	if c.Method() == fiber.MethodGet || c.Method() == fiber.MethodHead {
		kind = browse
	}
	if _, refused := s.admit(c, kind, bearer{err: tokenMissing()}, s.address(c)); refused != nil {
		return refused
	}
	return err
}

// dress gives the answer the headers that all answers have, once.
func (s *Server) dress(c *fiber.Ctx) {
	if len(c.Response().Header.Peek(fiber.HeaderXRequestID)) > 0 {
		return
	}
	ctx := c.UserContext()
	if !trace.SpanContextFromContext(ctx).IsValid() {
		// A probe, or refused before the middleware: there is no trace, but
		// clients are told an id that the log has too.
		ctx = trace.ContextWithSpanContext(ctx, untraced())
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
	c.Set(fiber.HeaderCacheControl, "no-store") // what may be cached says so itself
	if s.secure(c) {
		c.Set(fiber.HeaderStrictTransportSecurity, "max-age=31536000; includeSubDomains")
	}
}

// untraced names a request that leaves no trace.
func untraced() trace.SpanContext {
	var cfg trace.SpanContextConfig
	_, _ = rand.Read(cfg.TraceID[:]) // never fails
	_, _ = rand.Read(cfg.SpanID[:])
	return trace.NewSpanContext(cfg)
}

// idPattern is what an id looks like, ours and everybody's.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// requestID is the client's own when it is one, so that its log can be searched
// for it as well.
func requestID(c *fiber.Ctx) string {
	if id := c.Get(fiber.HeaderXRequestID); idPattern.MatchString(id) {
		return id
	}
	return newID()
}

// newID returns a text that never repeats.
func newID() string { return rand.Text() }

// report writes the line of a request. Of bodies, tokens and addresses of people
// it holds nothing.
func (s *Server) report(c *fiber.Ctx, route string, began time.Time, err error) {
	attrs := []slog.Attr{
		slog.String(telemetry.KeyRequestID, string(c.Response().Header.Peek(fiber.HeaderXRequestID))),
		slog.String(telemetry.KeyMethod, c.Method()),
		slog.String(telemetry.KeyRoute, route),
		slog.Int(telemetry.KeyStatus, c.Response().StatusCode()),
		slog.Float64(telemetry.KeyDuration, float64(s.now().Sub(began).Microseconds())/1000),
	}
	if id, ok := c.Locals(callerKey).(string); ok {
		attrs = append(attrs, slog.String(telemetry.KeyUserID, id))
	}
	level := slog.LevelInfo
	if err != nil {
		p := problemOf(err)
		attrs = append(attrs, slog.String(telemetry.KeyReason, p.Code))
		if p.Status >= fiber.StatusInternalServerError {
			level = slog.LevelError
			attrs = append(attrs, slog.String(telemetry.KeyError, err.Error()))
		}
	}
	s.log.LogAttrs(c.UserContext(), level, "request", attrs...)
}

const noRoute = "none"

// routeOf is the pattern of the route that took the request. Middleware's own
// counts as none.
func routeOf(c *fiber.Ctx) string {
	if path := c.Route().Path; path != "/" {
		return path
	}
	return noRoute
}

func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" }

// address is the client's: the connection's, or what the last proxy of ours saw.
func (s *Server) address(c *fiber.Ctx) string {
	peer := peerOf(c)
	if !s.trusts(peer) {
		return peer.String()
	}
	// Each line goes on where the one before it ended: the nearest proxy may have
	// written one of its own below what the client sent.
	lines := c.Request().Header.PeekAll(fiber.HeaderXForwardedFor)
	hops := strings.Split(string(bytes.Join(lines, []byte(","))), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break // whatever stands before it is no better
		}
		if peer = hop.Unmap(); !s.trusts(peer) {
			break
		}
	}
	return peer.String()
}

func peerOf(c *fiber.Ctx) netip.Addr {
	addr, err := netip.ParseAddrPort(c.Context().RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr().Unmap()
}

func (s *Server) trusts(peer netip.Addr) bool {
	for _, p := range s.proxies {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}

func (s *Server) secure(c *fiber.Ctx) bool {
	return c.Context().IsTLS() || s.trusts(peerOf(c)) && c.Get(fiber.HeaderXForwardedProto) == "https"
}
