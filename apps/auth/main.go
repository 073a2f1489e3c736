// Command auth is the app for accounts and sessions. It registers users, logs them
// in and out, refreshes their sessions, and checks sessions for the gateway.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	dapr "github.com/dapr/go-sdk/client"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/apps/auth/internal/daprstate"
	"boxoffice/apps/auth/internal/memattempts"
	"boxoffice/apps/auth/internal/mongousers"
	"boxoffice/apps/auth/internal/redisstore"
	"boxoffice/apps/auth/internal/transport"
	"boxoffice/shared/app"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/daprlock"
	"boxoffice/shared/lifecycle"
	"boxoffice/shared/redisconn"
	"boxoffice/shared/sessioncache"
	"boxoffice/shared/telemetry/mongotrace"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Getenv, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "auth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
	return app.Run(ctx, authapi.App, getenv, stdout, wire)
}

// wire connects the app's adapters to its use cases.
func wire(_ context.Context, a *app.App, cfg settings) error {
	users, err := mongousers.Open(mongousers.Config{
		URI: cfg.MongoURI.Reveal(), Database: cfg.Database, Monitor: mongotrace.Monitor(a.Tracing),
	})
	if err != nil {
		return err
	}
	a.Use(lifecycle.Part{Name: "mongodb", Start: users.Ping, Stop: users.Close})
	a.Check("mongodb", users.Ping)

	redis, err := redisconn.Open(redisconn.Config{Addr: cfg.RedisAddr.Reveal(), Password: cfg.RedisPassword, Tracing: a.Tracing})
	if err != nil {
		return err
	}
	a.Use(lifecycle.Part{Name: "redis", Stop: func(context.Context) error { return redis.Close() }})

	conn, err := a.DaprConn()
	if err != nil {
		return err
	}
	sidecar := dapr.NewClientWithConnection(conn)

	hasher, err := auth.NewHasher(auth.DefaultHashParams(), runtime.GOMAXPROCS(0), cfg.HashQueue)
	if err != nil {
		return err
	}
	keys := daprstate.NewKeys(sidecar, secretStore, signingKey)
	sessions, err := sessioncache.New(sessioncache.Config{
		Redis: redis, Nonce: rand.Text, Key: []byte(cfg.SessionCacheKey.Reveal()), Now: app.Clock{}.Now,
	})
	if err != nil {
		return err
	}
	pseudonyms, err := auth.NewPseudonyms([]byte(cfg.SessionCacheKey.Reveal()))
	if err != nil {
		return err
	}
	cache := redisstore.NewCache(sessions, app.Clock{}, a.Log)
	svc, err := auth.New(auth.Config{
		Users:      users,
		Sessions:   daprstate.NewSessions(sidecar, stateStore),
		Attempts:   redisstore.NewAttempts(redis, memattempts.NewCounter(app.Clock{})),
		Cache:      cache,
		Locker:     daprlock.New(sidecar, lockStore),
		Clock:      app.Clock{},
		IDs:        app.IDs{},
		Keys:       keys,
		Hasher:     hasher,
		Policy:     auth.NewPolicy(),
		Pseudonyms: pseudonyms,
		Log:        a.Log,
		AccessTTL:  cfg.AccessTokenTTL,
		SessionTTL: cfg.SessionTTL,
	})
	if err != nil {
		return err
	}
	transport.Bind(a.Server, svc)

	a.Background(lifecycle.Part{Name: "signing keys", Start: keys.Load})
	a.Background(lifecycle.Part{Name: "first admin", Start: func(ctx context.Context) error {
		return svc.EnsureAdmin(ctx, cfg.AdminEmail, cfg.AdminPassword.Reveal())
	}})
	a.Background(lifecycle.Part{Name: "cache invalidations", Run: cache.Run})
	return nil
}
