package natsserver_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"boxoffice/tools/devstack/internal/natsserver"
	"boxoffice/tools/devstack/internal/ports"
)

const deadline = 20 * time.Second

func freeAddr(t *testing.T) string {
	t.Helper()
	pool := ports.NewPool(ports.SharedDir())
	t.Cleanup(func() { _ = pool.Close() })
	port, err := pool.Take()
	if err != nil {
		t.Fatal(err)
	}
	return ports.Addr(port)
}

// serve runs a server and returns a function that stops it.
func serve(t *testing.T, addr, dir string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*deadline)
	ended := make(chan error, 1)
	go func() { ended <- natsserver.Run(ctx, addr, dir) }()
	for natsserver.Ready(ctx, addr) != nil {
		select {
		case err := <-ended:
			t.Fatalf("the server ended: %v", err)
		case <-ctx.Done():
			t.Fatalf("the server was not ready within %s", 2*deadline)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func connect(t *testing.T, addr string) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect("nats://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestStreamsSurviveARestart(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	addr, dir := freeAddr(t), t.TempDir()

	stop := serve(t, addr, dir)
	js := connect(t, addr)
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "facts", Subjects: []string{"facts.>"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "facts.one", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := natsserver.Ready(ctx, addr); err == nil {
		t.Fatal("Ready returns nil after the server stopped, want an error")
	}

	defer serve(t, addr, dir)()
	stream, err := connect(t, addr).Stream(ctx, "facts")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(ctx, "facts.one")
	if err != nil || string(msg.Data) != "kept" {
		t.Errorf("got message %v (%v), want the one from before the restart", msg, err)
	}
}

func TestRunFailsIfItsDirectoryIsAFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := natsserver.Run(t.Context(), freeAddr(t), dir); err == nil {
		t.Error("got no error")
	}
}

func TestReadyFailsWithoutAServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := natsserver.Ready(ctx, freeAddr(t)); err == nil {
		t.Error("got no error where nothing listens")
	}
}
