package redisserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

const (
	// tickEvery is the shortest time between two expiry passes. A key expires too
	// early or too late by at most the time between two passes.
	tickEvery = 20 * time.Millisecond
	// tickShare limits the time spent on expiry passes, each of which visits all
	// keys, to about 1/tickShare of all time.
	tickShare = 50
)

// replication is the section of INFO that Dapr's Redis components read. miniredis
// does not have it. This one describes a primary without replicas.
const replication = "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"

// serveMiniredis serves miniredis at listen until ctx is done.
func serveMiniredis(ctx context.Context, listen, password string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listen for redis: %w", err)
	}
	m := miniredis.NewMiniRedis()
	if password != "" {
		m.RequireAuth(password)
	}
	conn, err := m.Dial() // starts m without a listener
	if err != nil {
		return errors.Join(fmt.Errorf("start miniredis: %w", err), listener.Close())
	}
	_ = conn.Close()
	defer m.Close()
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	var reads atomic.Int64
	m.Server().SetPreHook(infoHook(m, &reads, newGate(password)))
	go accept(listener, func(conn net.Conn) { m.Server().ServeConn(&countedConn{conn, &reads}) })
	slog.Info("miniredis listens, because no redis-server is on the PATH", "address", listener.Addr())
	tick(ctx, m)
	return nil
}

func accept(listener net.Listener, serve func(net.Conn)) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		serve(conn)
	}
}

// countedConn counts the reads that return data, as redis-server does for
// total_reads_processed. Commands that a client pipelines usually share one read.
type countedConn struct {
	net.Conn
	reads *atomic.Int64
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.reads.Add(1)
	}
	return n, err
}

// infoHook returns a hook that answers the sections of INFO that miniredis lacks
// or does not have in full, for clients that have sent the password. miniredis answers all
// other commands, and refuses those of other clients.
func infoHook(m *miniredis.Miniredis, reads *atomic.Int64, gate *gate) server.Hook {
	return func(peer *server.Peer, cmd string, args ...string) bool {
		gate.observe(peer, cmd, args)
		if !strings.EqualFold(cmd, "INFO") || len(args) != 1 || !gate.isOpen(peer) {
			return false
		}
		switch strings.ToLower(args[0]) {
		case "replication":
			peer.WriteBulk(replication)
		case "stats":
			peer.WriteBulk(fmt.Sprintf(
				"# Stats\r\ntotal_connections_received:%d\r\ntotal_commands_processed:%d\r\ntotal_reads_processed:%d\r\n",
				m.Server().TotalConnections(), m.Server().TotalCommands(), reads.Load()))
		default:
			return false
		}
		return true
	}
}

// tick expires keys until ctx is done. The clock of miniredis does not advance on
// its own. With its option ClockTTL it would visit every key at every command.
func tick(ctx context.Context, m *miniredis.Miniredis) {
	timer := time.NewTimer(tickEvery)
	defer timer.Stop()
	last := wallClock()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := wallClock()
		m.FastForward(max(0, now.Sub(last)))
		last = now
		timer.Reset(max(tickEvery, tickShare*time.Since(now)))
	}
}

// wallClock returns the time without a monotonic reading. Like the clock of
// redis-server, it advances while the machine sleeps.
func wallClock() time.Time { return time.Now().Round(0) }
