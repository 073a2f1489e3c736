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
func serve(t *testing.T, cfg natsserver.Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*deadline)
	ended := make(chan error, 1)
	go func() { ended <- natsserver.Run(ctx, cfg) }()
	for natsserver.Ready(ctx, cfg.Listen) != nil {
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

	stop := serve(t, natsserver.Config{Listen: addr, Dir: dir})
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

	defer serve(t, natsserver.Config{Listen: addr, Dir: dir})()
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
	if err := natsserver.Run(t.Context(), natsserver.Config{Listen: freeAddr(t), Dir: dir}); err == nil {
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

// usersFile writes a configuration with the users ann, who may publish on "ann" only, and
// bob, who may do anything.
func usersFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nats-server.conf")
	const text = `authorization {
  users: [
    { user: ann, password: $ANN, permissions: { publish: ["ann"], subscribe: ["_INBOX.>"] } }
    { user: bob, password: $BOB }
  ]
}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUsersComeFromTheConfigurationFile(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for _, name := range []string{"ANN", "BOB"} {
		hash, err := natsserver.HashPassword("secret of " + name)
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(name, hash)
	}
	addr := freeAddr(t)
	defer serve(t, natsserver.Config{Listen: addr, Dir: t.TempDir(), File: usersFile(t)})()
	for _, options := range [][]nats.Option{
		nil,
		{nats.UserInfo("ann", "secret of BOB")},
		{nats.UserInfo("eve", "secret of BOB")},
		{nats.UserInfo("ann", os.Getenv("ANN"))}, // the hash is not the password
	} {
		if conn, err := nats.Connect("nats://"+addr, options...); err == nil {
			conn.Close()
			t.Errorf("a client with %d options is connected, want an error", len(options))
		}
	}
	bob, err := nats.Connect("nats://"+addr, nats.UserInfo("bob", "secret of BOB"))
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close()
	received, err := bob.SubscribeSync("*")
	if err != nil {
		t.Fatal(err)
	}
	if err := bob.Flush(); err != nil {
		t.Fatal(err)
	}
	ann, err := nats.Connect("nats://"+addr, nats.UserInfo("ann", "secret of ANN"))
	if err != nil {
		t.Fatal(err)
	}
	defer ann.Close()
	for _, subject := range []string{"bob", "ann"} {
		if err := ann.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
	}
	msg, err := received.NextMsgWithContext(ctx)
	if err != nil || msg.Subject != "ann" {
		t.Errorf("got %v (%v), want only the message on ann", msg, err)
	}
}

func TestRunFailsWithoutUsers(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "nats-server.conf")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"a missing password": usersFile(t), "no users": empty, "no file": empty + "?",
	} {
		if err := natsserver.Run(t.Context(), natsserver.Config{Listen: freeAddr(t), Dir: t.TempDir(), File: file}); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
