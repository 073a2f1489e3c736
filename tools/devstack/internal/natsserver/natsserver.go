// Package natsserver runs an embedded NATS server with JetStream on disk.
package natsserver

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const readyWithin = 30 * time.Second

// Run serves at listen until ctx is done. It keeps the streams in dir, which it
// creates if it is missing.
func Run(ctx context.Context, listen, dir string) error {
	opts, err := options(listen, dir)
	if err != nil {
		return err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("configure nats: %w", err)
	}
	s.SetLogger(logger{slog.Default()}, false, false)
	s.Start()
	defer func() {
		s.Shutdown()
		s.WaitForShutdown()
	}()
	if !s.ReadyForConnections(readyWithin) {
		return fmt.Errorf("nats does not listen at %s", listen)
	}
	if !s.JetStreamEnabled() {
		return fmt.Errorf("nats cannot use JetStream in %s", dir)
	}
	slog.Info("nats listens", "address", s.Addr().String(), "version", server.VERSION)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.WaitForShutdown()
	}()
	select {
	case <-ctx.Done():
		return nil
	case <-ended:
		return errors.New("nats shut down unexpectedly")
	}
}

func options(listen, dir string) (*server.Options, error) {
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("nats address: %w", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("nats address: %w", err)
	}
	// The server would report an unusable directory without saying which it is.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("nats directory: %w", err)
	}
	return &server.Options{
		ServerName: "devstack",
		Host:       host,
		Port:       port,
		JetStream:  true,
		StoreDir:   dir,
		NoSigs:     true, // the command handles signals
	}, nil
}

// Ready returns nil if a server with JetStream answers at addr.
func Ready(ctx context.Context, addr string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()

	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read nats greeting: %w", err)
	}
	info, ok := strings.CutPrefix(line, "INFO ")
	if !ok {
		return fmt.Errorf("%s is not a nats server", addr)
	}
	var greeting struct {
		JetStream bool `json:"jetstream"`
	}
	if err := json.Unmarshal([]byte(info), &greeting); err != nil {
		return fmt.Errorf("read nats greeting: %w", err)
	}
	if !greeting.JetStream {
		return fmt.Errorf("nats at %s has no JetStream", addr)
	}
	return nil
}
