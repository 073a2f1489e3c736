//go:build linux

package main_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestStreamsAreCreatedAgainAfterNATSLostItsData kills NATS and moves its data
// away. The streams must be created although no sidecar is restarted.
func TestStreamsAreCreatedAgainAfterNATSLostItsData(t *testing.T) {
	tr := newTree(t)
	r := tr.up(t)
	url, sidecar := tr.natsURL(t), tr.pids(t)["booking-daprd"]
	if err := findStream(t, url); err != nil {
		t.Fatal(err)
	}
	// Move the directory instead of removing it: the server still runs, and would
	// write files to it during the removal.
	if err := os.Rename(filepath.Join(tr.data, "nats"), filepath.Join(tr.data, "nats-before")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(tr.pids(t)["nats"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.awaitOutput(t, "nats is back after")
	eventually(t, "the stream exists again", func() bool { return findStream(t, url) == nil })
	if got := tr.pids(t)["booking-daprd"]; got != sidecar {
		t.Errorf("the sidecar's pid is %d, want %d as before", got, sidecar)
	}
	r.stop(t)
}

// findStream returns an error if the stream that tools/streams creates is missing.
func findStream(t *testing.T, url string) error {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	_, err = js.Stream(t.Context(), "facts")
	return err
}
