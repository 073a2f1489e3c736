// Package app contains what the main packages of all programs share: configuration, logs,
// traces, metrics, the connections to and from the sidecar, readiness, and the order of
// starting and stopping. A main package names its program and wires its parts.
//
//	func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
//		return app.Run(ctx, "booking", getenv, stdout, wire)
//	}
//
//	func wire(ctx context.Context, a *app.App, cfg config) error {
//		store := ...
//		a.Use(lifecycle.Part{Name: "mongodb", Start: store.Prepare, Stop: store.Close})
//		rpc.Handle(a.Server, bookingapi.CreateBooking, svc.CreateBooking)
//		return nil
//	}
//
// A program starts the parts added by Use in order, listens, waits for its sidecar, starts
// the parts added by Background, and becomes ready. To stop, it becomes unready, drains,
// stops its parts in reverse order, and flushes its traces.
package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"boxoffice/shared/config"
	"boxoffice/shared/lifecycle"
	"boxoffice/shared/rpc"
	"boxoffice/shared/telemetry"
)

// App is a program. It provides what the wire function needs, and collects the parts that
// this function adds.
type App struct {
	Config
	Name    string
	Log     *slog.Logger
	Tracing *telemetry.Tracing
	// Metrics is the meter provider from which shared/metrics creates instruments.
	Metrics *telemetry.Metrics

	// Server serves the operations of this app.
	Server *rpc.Server
	// Client calls operations of other apps.
	Client *rpc.Client
	// Mux serves the other requests of the sidecar: topics and bindings. Its handlers
	// receive only requests with the app's token.
	Mux *http.ServeMux

	used       []lifecycle.Part
	background []lifecycle.Part
	checks     []lifecycle.Check
	listener   *lifecycle.Part
	ready      *lifecycle.Readiness
}

// Run reads the configuration, calls wire to add the program's parts, and runs the program
// until ctx ends. C is the program's own configuration. If variables are missing or
// invalid, the error names all of them.
func Run[C any](ctx context.Context, name string, getenv func(string) string, stdout io.Writer,
	wire func(context.Context, *App, C) error,
) error {
	// Both configurations are loaded at once, so that one error names all variables.
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

// open returns an App without parts.
func open(ctx context.Context, cfg Config, name string, stdout io.Writer) (*App, error) {
	instance := fmt.Sprintf("%s-%d", name, cfg.Port)
	tracing, err := telemetry.Open(ctx, cfg.Telemetry, name, instance)
	if err != nil {
		return nil, err
	}
	meters, err := telemetry.OpenMetrics(cfg.Telemetry, name, instance)
	if err != nil {
		return nil, err
	}
	a := &App{
		Config:  cfg,
		Name:    name,
		Log:     telemetry.NewLog(stdout, name, instance),
		Tracing: tracing,
		Metrics: meters,
		Mux:     http.NewServeMux(),
	}
	a.Server = rpc.NewServer(rpc.ServerConfig{
		App: name, Token: cfg.AppToken.Reveal(), Log: a.Log, Tracing: tracing, Metrics: meters,
	})
	a.Client = rpc.NewClient(rpc.ClientConfig{Sidecar: cfg.sidecarURL(), Token: cfg.DaprToken.Reveal(), Tracing: tracing})
	return a, nil
}

// Use adds a part that requests need, such as a store. The part starts before the program
// listens and stops after the last request.
func (a *App) Use(p lifecycle.Part) { a.used = append(a.used, p) }

// Database is a store that a program depends on.
type Database interface {
	Prepare(ctx context.Context) error // creates what the store needs, such as indexes
	Ping(ctx context.Context) error    // returns an error if the database does not answer
	Close(ctx context.Context) error
}

// UseDatabase adds a database as a part. The program is unready while the database does
// not answer.
func (a *App) UseDatabase(name string, db Database) {
	a.Use(lifecycle.Part{Name: name, Start: db.Prepare, Stop: db.Close})
	a.Check(name, db.Ping)
}

// Background adds a part that needs the sidecar. The part starts when the sidecar is ready
// and stops before the program stops accepting requests.
func (a *App) Background(p lifecycle.Part) { a.background = append(a.background, p) }

// Check adds a dependency. The program is unready while probe returns an error.
func (a *App) Check(name string, probe func(context.Context) error) {
	a.checks = append(a.checks, lifecycle.Check{Name: name, Probe: probe})
}

// Listen replaces the HTTP server of operations with another one, such as the gateway's.
// That server must serve Readiness itself.
func (a *App) Listen(p lifecycle.Part) { a.listener = &p }

// Addr returns the address on which the program listens.
func (a *App) Addr() string { return a.listenAddr() }

// Readiness returns the program's readiness. Call it after the last call to Check.
func (a *App) Readiness() *lifecycle.Readiness {
	if a.ready == nil {
		a.ready = lifecycle.NewReadiness(checkTimeout, a.checks...)
	}
	return a.ready
}

// checkTimeout limits each readiness check.
const checkTimeout = time.Second

// run starts the parts, waits until ctx ends or a part fails, and stops them.
func (a *App) run(ctx context.Context) error {
	// Telemetry starts first and therefore stops last, so that it also flushes the spans
	// of the parts that stop before it.
	parts := []lifecycle.Part{{
		Name: "telemetry",
		Stop: func(ctx context.Context) error {
			a.Client.Close()
			if err := a.Tracing.Flush(ctx); err != nil {
				// Lost traces do not make the stop fail.
				a.Log.WarnContext(ctx, "flushing traces failed", telemetry.KeyError, err.Error())
			}
			return nil
		},
	}}
	if a.Telemetry.Metrics {
		parts = append(parts, a.metricsServer())
	}
	if a.ProfileDir != "" {
		parts = append(parts, profile(a.ProfileDir, a.Name))
	}
	parts = append(parts, a.used...)
	if a.listener == nil {
		p := a.httpServer()
		a.listener = &p
	}
	parts = append(parts, *a.listener, a.sidecar())
	parts = append(parts, a.background...)
	parts = append(parts, a.Readiness().Part(a.DrainDelay), lifecycle.Part{
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
	return lifecycle.Run(ctx, lifecycle.Config{StartTimeout: a.StartTimeout, StopTimeout: a.StopTimeout}, parts...)
}
