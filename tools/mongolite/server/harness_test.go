// Package server_test tests the server as clients use it: through raw connections
// and through the official driver. Raw connections frame messages themselves, so
// that the tests do not rely on the server's own encoder.
package server_test

import (
	"context"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/tools/mongolite/server"
)

// testTimeout limits every wait, so that a test that hangs fails.
const testTimeout = 2 * time.Minute

// startServer starts a server with an empty data directory and with test commands.
// It closes the server when t ends.
func startServer(t testing.TB) *server.Server {
	t.Helper()
	return startServerWith(t, server.Config{Data: t.TempDir(), TestCommands: true})
}

// startServerWith starts a server and closes it when t ends. An empty cfg.Listen
// means a free port.
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

// connect returns a client of the official driver, which connects to the server as
// a replica set unless opts say otherwise.
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

// testContext returns a context that ends after testTimeout or when t ends.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until ok returns true. It fails t after testTimeout.
func eventually(t testing.TB, condition string, ok func() bool) {
	t.Helper()
	deadline := time.After(testTimeout)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("condition not met within %s: %s", testTimeout, condition)
		}
	}
}

// must fails t if err is not nil.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// configWithoutTestCommands returns a configuration with an empty data directory and
// without test commands.
func configWithoutTestCommands(t testing.TB) server.Config { return server.Config{Data: t.TempDir()} }
