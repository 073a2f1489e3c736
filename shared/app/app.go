// Package app is what the mains of all programs have in common. A main names its
// program and wires its own parts; configuration, logs, traces, the way to and
// from the own sidecar, readiness and the order of start and stop are here.
//
//	func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
//		return app.Run(ctx, "booking", getenv, stdout, wire)
//	}
//
//	func wire(ctx context.Context, a *app.App, cfg config) error {
//		store := ...
//		a.Use(lifecycle.Part{Name: "mongodb", Start: store.Prepare, Stop: store.Close})
//		rpc.Handle(a.Server, bookingapi.CreateBooking, svc.Create)
//		return nil
//	}
//
// Start: the parts of Use in order, listen, wait for the sidecar, the parts of
// Background, ready. Stop: unready, drain, close, flush telemetry.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"google.golang.org/grpc"

	"boxoffice/shared/config"
	"boxoffice/shared/lifecycle"
	"boxoffice/shared/rpc"
	"boxoffice/shared/telemetry"
)

// App is one program: what its wiring needs, and where it puts its parts.
type App struct {
	Config
	Name    string
	Log     *slog.Logger
	Tracing *telemetry.Tracing

	// Server answers the operations of this app.
	Server *rpc.Server
	// Client calls those of others.
	Client *rpc.Client
	// Mux takes what the sidecar calls besides operations: topics and bindings.
	// The app's token has been checked when it is reached.
	Mux *http.ServeMux

	used       []lifecycle.Part
	background []lifecycle.Part
	checks     []lifecycle.Check
	listener   *lifecycle.Part
	ready      *lifecycle.Readiness
}

// Run reads the configuration, lets wire put the program together, runs it until
// ctx ends, and takes it down. C is the program's own configuration.
func Run[C any](ctx context.Context, name string, getenv func(string) string, stdout io.Writer,
	wire func(context.Context, *App, C) error,
) error {
	// Both at once, so that all wrong variables are told together.
	cfg, err := config.Load[struct {
		Common Config
		Own    C
	}](getenv)
	if err != nil {
		return err
	}
	a, err := open(ctx, cfg.Common, name, stdout)
	if err != nil {
		return err
	}
	if err := wire(ctx, a, cfg.Own); err != nil {
		return fmt.Errorf("wire %s: %w", name, err)
	}
	return a.run(ctx)
}

func open(ctx context.Context, cfg Config, name string, stdout io.Writer) (*App, error) {
	instance := fmt.Sprintf("%s-%d", name, cfg.Port)
	tracing, err := telemetry.Open(ctx, cfg.Telemetry, name, instance)
	if err != nil {
		return nil, err
	}
	a := &App{
		Config:  cfg,
		Name:    name,
		Log:     telemetry.NewLog(stdout, name, instance),
		Tracing: tracing,
		Mux:     http.NewServeMux(),
	}
	a.Server = rpc.NewServer(rpc.ServerConfig{App: name, Token: cfg.AppToken.Reveal(), Log: a.Log, Tracing: tracing})
	a.Client = rpc.NewClient(rpc.ClientConfig{Sidecar: cfg.sidecarURL(), Token: cfg.DaprToken.Reveal(), Tracing: tracing})
	return a, nil
}

// Use adds a part that starts before the program listens and stops after all
// requests are done: stores and what is built on them.
func (a *App) Use(p lifecycle.Part) { a.used = append(a.used, p) }

// Database is what a program keeps its records in.
type Database interface {
	Prepare(ctx context.Context) error
	Ping(ctx context.Context) error
	Close(ctx context.Context) error
}

// UseDatabase adds a database that the program is not ready without.
func (a *App) UseDatabase(name string, db Database) {
	a.Use(lifecycle.Part{Name: name, Start: db.Prepare, Stop: db.Close})
	a.Check(name, db.Ping)
}

// Background adds work that needs the sidecar. It starts when the sidecar is
// there and ends before the program stops to take requests.
func (a *App) Background(p lifecycle.Part) { a.background = append(a.background, p) }

// Check adds a dependency that the program is not ready without.
func (a *App) Check(name string, probe func(context.Context) error) {
	a.checks = append(a.checks, lifecycle.Check{Name: name, Probe: probe})
}

// Listen replaces the server of operations by the program's own: the gateway's.
// It has its Readiness to answer with.
func (a *App) Listen(p lifecycle.Part) { a.listener = &p }

// Addr is where the program listens.
func (a *App) Addr() string { return a.listenAddr() }

// Readiness tells whether the program should be sent work. Ask for it when all
// checks have been added.
func (a *App) Readiness() *lifecycle.Readiness {
	if a.ready == nil {
		a.ready = lifecycle.NewReadiness(checkWithin, a.checks...)
	}
	return a.ready
}

const checkWithin = time.Second

func (a *App) run(ctx context.Context) error {
	// The first to start is the last to stop: what the others do on their way out
	// is traced.
	parts := []lifecycle.Part{{
		Name: "telemetry",
		Stop: func(ctx context.Context) error {
			a.Client.Close()
			if err := a.Tracing.Flush(ctx); err != nil {
				// Traces are a help: losing the last ones is no failed stop.
				a.Log.WarnContext(ctx, "traces lost", telemetry.KeyError, err.Error())
			}
			return nil
		},
	}}
	if a.ProfileDir != "" {
		parts = append(parts, profile(a.ProfileDir, a.Name))
	}
	parts = append(parts, a.used...)
	if a.listener == nil {
		p := a.serve()
		a.listener = &p
	}
	parts = append(parts, *a.listener, a.sidecar())
	parts = append(parts, a.background...)
	parts = append(parts, a.Readiness().Part(a.DrainFor), lifecycle.Part{
		Name: "log",
		Start: func(ctx context.Context) error {
			a.Log.InfoContext(ctx, "ready", "address", a.listenAddr())
			return nil
		},
		Stop: func(ctx context.Context) error {
			a.Log.InfoContext(ctx, "stopping")
			return nil
		},
	})
	return lifecycle.Run(ctx, lifecycle.Config{StartWithin: a.StartFor, StopWithin: a.StopFor}, parts...)
}

// serve is the HTTP server of an app: health for anyone, the rest for the own
// sidecar.
func (a *App) serve() lifecycle.Part {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.Handle("GET /readyz", a.Readiness())
	mux.Handle("/", rpc.RequireToken(a.AppToken.Reveal(), a.inside()))
	return HTTP("http", &http.Server{
		Addr:              a.listenAddr(),
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(a.Log.Handler(), slog.LevelWarn),
	})
}

// inside tells operations from topics and bindings: an operation's name is one
// segment that the server knows.
func (a *App) inside() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.Server.Serves(r) {
			a.Server.ServeHTTP(w, r)
			return
		}
		a.Mux.ServeHTTP(w, r)
	})
}

// sidecar waits for the own sidecar, which must be there before the program is
// ready and which waits itself for the program's port.
func (a *App) sidecar() lifecycle.Part {
	return lifecycle.Part{Name: "sidecar", Start: func(ctx context.Context) error {
		return waitFor(ctx, a.sidecarURL()+"/v1.0/healthz/outbound")
	}}
}

var errNotYet = errors.New("not ready yet")

func waitFor(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe(ctx, client, url)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %w)", ctx.Err(), err)
		}
	}
}

func probe(ctx context.Context, client *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body) // so that the connection can be used again
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%w: status %d", errNotYet, res.StatusCode)
	}
	return nil
}

// SidecarProbe is a check of the own sidecar, for those whose requests all go
// through it.
func (a *App) SidecarProbe() func(context.Context) error {
	client := &http.Client{Timeout: checkWithin}
	return func(ctx context.Context) error { return probe(ctx, client, a.sidecarURL()+"/v1.0/healthz/outbound") }
}

// DaprConn returns a connection to the own sidecar's gRPC API, for the Dapr SDK
// in an app's adapters (client.NewClientWithConnection). It connects when it is
// first used and is closed with the program.
func (a *App) DaprConn() (*grpc.ClientConn, error) {
	conn, err := dialSidecar(a.sidecarGRPC(), a.DaprToken.Reveal(), a.Tracing)
	if err != nil {
		return nil, err
	}
	a.Use(lifecycle.Part{Name: "dapr", Stop: func(context.Context) error { return conn.Close() }})
	return conn, nil
}
