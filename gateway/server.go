package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/gateway/internal/accept"
	"boxoffice/gateway/internal/live"
	"boxoffice/gateway/internal/readcache"
	"boxoffice/shared/lifecycle"
	"boxoffice/shared/ratelimit"
	"boxoffice/shared/rpc"
)

// Limits on a request and on the connection that carries it. Sizes are in bytes.
const (
	maxBody      = 64 << 10
	maxHeaders   = 16 << 10
	readTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second // longer than the slowest operation
	idleTimeout  = 75 * time.Second

	// localCounters bounds the memory that rate limiting uses while Redis is
	// unreachable: at most twice as many counters are kept.
	localCounters = 50_000

	// maxStreams bounds the number of open availability streams. Each takes two
	// goroutines, a connection and its read buffer, about 40 KiB.
	maxStreams = 10_000
)

// Deps are the dependencies of the gateway. All must be set.
type Deps struct {
	Log     *slog.Logger
	Tracing trace.TracerProvider
	Metrics metric.MeterProvider
	Calls   *rpc.Client
	Cache   SessionCache
	Keys    *Keyring
	Ready   *lifecycle.Readiness
	Now     func() time.Time
	// AppToken authenticates the sidecar, which delivers facts.
	AppToken string
}

// Server is the HTTP server of the gateway.
type Server struct {
	fiber *fiber.App

	log         *slog.Logger
	durations   requestDurations
	calls       *rpc.Client
	cache       SessionCache
	localLimits *ratelimit.Local // replaces cache's rate limits while Redis is unreachable
	keys        *Keyring
	ready       *lifecycle.Readiness
	now         func() time.Time
	rates       map[bucket]Rate
	proxies     []ProxyNetwork
	reads       *readcache.Cache // nil if it is turned off
	streams     *live.Hub
	appToken    string
	tracer      trace.Tracer
	connections *accept.Limits
	// forwardedAt is the time of the last warning about a forwarding header from a peer
	// that is not trusted, in Unix nanoseconds.
	forwardedAt atomic.Int64
}

// NewServer returns a server with all routes. It listens once the lifecycle part that
// [Server.Part] returns is started.
func NewServer(cfg Config, d Deps) *Server {
	s := &Server{
		log: d.Log, calls: d.Calls, cache: d.Cache, keys: d.Keys, ready: d.Ready, now: d.Now,
		localLimits: ratelimit.NewLocal(d.Now, localCounters),
		rates:       map[bucket]Rate{browse: cfg.Browse, write: cfg.Write, refusals: cfg.Refusals, logIn: cfg.LogIn, perAddress: cfg.Address},
		proxies:     cfg.Proxies,
		reads:       newReads(cfg.ReadCacheBytes, d.Now),
		appToken:    d.AppToken,
		durations:   newRequestDurations(d.Metrics),
		tracer:      d.Tracing.Tracer("boxoffice/gateway"),
	}
	s.connections = accept.NewLimits(accept.Config{
		MaxTotal: cfg.MaxConnections, MaxPerAddress: cfg.ConnectionsPerAddress, Unlimited: s.isTrusted, Log: d.Log,
	})
	s.streams = live.NewHub(live.Config{
		Poll: s.pollAvailability, Interval: streamInterval, RetryInterval: maxReadAge,
		MaxWatchers: maxStreams, MaxPerAddress: cfg.StreamsPerAddress, Log: d.Log,
	})
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
		ErrorHandler:          s.handleParseError,

		// A form is a body of the wrong type, like any other that is not JSON.
		DisablePreParseMultipartForm: true,
	})
	s.fiber.Use(s.trace)
	s.fiber.Use(s.middleware)
	for _, r := range s.routes() {
		s.fiber.Add(r.method, r.path, s.handler(r))
		if r.method == fiber.MethodGet {
			s.fiber.Add(fiber.MethodHead, r.path, s.handler(r))
		}
	}
	serve, serveFact := s.fiber.Handler(), s.factHandler(d.Tracing)
	s.fiber.Server().Handler = func(c *fasthttp.RequestCtx) {
		nextRequest(c)
		if s.isFact(c) {
			serveFact(c)
			return
		}
		normalizePath(c)
		replaceUnknownMethod(c) // Fiber responds to an unknown method itself, without calling any handler
		serve(c)
	}
	return s
}

// Part returns the lifecycle part that listens on addr and serves requests. To stop, it
// ends the streams, which have no end of their own, and waits for the other requests.
func (s *Server) Part(addr string) lifecycle.Part {
	var listeners []net.Listener
	return lifecycle.Part{
		Name: "http",
		Start: func(ctx context.Context) error {
			var err error
			listeners, err = s.listen(ctx, addr)
			return err
		},
		Run: func(context.Context) error { return s.serve(listeners) },
		Stop: func(ctx context.Context) error {
			return errors.Join(s.streams.Stop(ctx), s.fiber.ShutdownWithContext(ctx))
		},
	}
}

// Fiber returns the Fiber app. Tests send requests to it without opening a port.
func (s *Server) Fiber() *fiber.App { return s.fiber }
