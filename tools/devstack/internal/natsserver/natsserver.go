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

// Config configures a server.
type Config struct {
	Listen string // host:port
	// Dir is the directory of the streams. It is created if it is missing.
	Dir string
	// File is a configuration file of NATS, from which the server takes its users and their
	// permissions. If it is empty, anyone may do anything.
	File string
}

// Run runs a server until ctx is done.
func Run(ctx context.Context, cfg Config) error {
	opts, err := cfg.options()
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
		return fmt.Errorf("nats does not listen at %s", cfg.Listen)
	}
	if !s.JetStreamEnabled() {
		return fmt.Errorf("nats cannot use JetStream in %s", cfg.Dir)
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

func (c Config) options() (*server.Options, error) {
	host, portText, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("nats address: %w", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("nats address: %w", err)
	}
	// The server would report an unusable directory without saying which it is.
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("nats directory: %w", err)
	}
	opts := &server.Options{}
	if c.File != "" {
		if opts, err = server.ProcessConfigFile(c.File); err != nil {
			return nil, fmt.Errorf("nats configuration: %w", err)
		}
		if len(opts.Users) == 0 {
			return nil, fmt.Errorf("nats configuration: %s has no users", c.File)
		}
	}
	opts.ServerName = "devstack"
	opts.Host, opts.Port = host, port
	opts.JetStream, opts.StoreDir = true, c.Dir
	opts.NoSigs = true // the command handles signals
	return opts, nil
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
