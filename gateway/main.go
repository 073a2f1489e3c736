// Command gateway serves the HTTP API. It is the only program that clients connect
// to. It enforces rate limits, authenticates and authorizes each request, checks the
// syntax of its parameters and body, calls the app that owns the operation, and turns
// errors into problem documents (RFC 9457).
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"boxoffice/shared/app"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/lifecycle"
	"boxoffice/shared/redisconn"
	"boxoffice/shared/rpc"
	"boxoffice/shared/token"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Getenv, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	return app.Run(ctx, "gateway", WithGatewayNames(getenv), stdout, wire)
}

func wire(ctx context.Context, a *app.App, cfg Config) error {
	a.RelaxGC()
	files, err := maxOpenFiles()
	if err != nil {
		return err
	}
	if err := cfg.FitToFiles(files, runtime.GOMAXPROCS(0)); err != nil {
		return err
	}
	a.Log.InfoContext(ctx, "connection limits", "total", cfg.MaxConnections, "address", cfg.ConnectionsPerAddress)
	client, err := redisconn.Open(redisconn.Config{Addr: cfg.RedisAddr, Password: cfg.RedisPassword, Tracing: a.Tracing})
	if err != nil {
		return err
	}
	a.Use(lifecycle.Part{Name: "redis", Stop: func(context.Context) error { return client.Close() }})

	keys := NewKeyring(time.Now, func(ctx context.Context) (token.KeySet, error) {
		return rpc.Call(ctx, a.Client, authapi.GetKeys, rpc.Nothing{})
	})
	a.Background(lifecycle.Part{Name: "keys", Run: keys.Run})

	// Redis has no readiness check, because the gateway also works without it, only
	// more slowly.
	a.Check("sidecar", a.SidecarProbe())
	a.Check("auth", keys.Check)

	//nolint:contextcheck // the first value of a counter belongs to no request
	sessions, err := newSessionCache(a, client, []byte(cfg.SessionCacheKey.Reveal()))
	if err != nil {
		return err
	}
	//nolint:contextcheck // each request has its own context
	server := NewServer(cfg, Deps{
		Log:      a.Log,
		Tracing:  a.Tracing,
		Metrics:  a.Metrics,
		Calls:    a.Client,
		Cache:    sessions,
		Keys:     keys,
		Ready:    a.Readiness(),
		Now:      time.Now,
		AppToken: a.AppToken.Reveal(),
	})
	a.Listen(server.Part(a.Addr()))
	return nil
}
