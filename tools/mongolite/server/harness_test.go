// Package server_test talks to the server as its clients do: in bytes framed
// by hand, so that it is not tested with its own encoder, and through the
// official driver.
package server_test

import (
	"context"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/tools/mongolite/server"
)

// testTimeout bounds every wait: what takes longer hangs.
const testTimeout = 2 * time.Minute

// start serves an empty folder, with test commands, until t ends.
func startServer(t testing.TB) *server.Server {
	t.Helper()
	return startServerWith(t, server.Config{Data: t.TempDir(), TestCommands: true})
}

func startServerWith(t testing.TB, cfg server.Config) *server.Server {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	s, err := server.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// connect returns a driver's client for the server as a replica set.
func connect(t testing.TB, s *server.Server, opts ...*options.ClientOptions) *mongo.Client {
	t.Helper()
	uri := options.Client().ApplyURI("mongodb://" + s.Addr() + "/?replicaSet=mongolite")
	client, err := mongo.Connect(append([]*options.ClientOptions{uri}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		client.Disconnect(ctx)
	})
	return client
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(testTimeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", testTimeout, what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func configWithoutTestCommands(t testing.TB) server.Config { return server.Config{Data: t.TempDir()} }
