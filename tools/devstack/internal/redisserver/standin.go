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
	// tickEvery is how coarse the stand-in's time is: a key goes at most that
	// much too early or too late.
	tickEvery = 20 * time.Millisecond
	// tickShare keeps the looking at all keys, of which there may be many,
	// below that part of the time.
	tickShare = 50
)

// replication is what Dapr's Redis components want to hear from the section of
// that name: that this is a primary without replicas. miniredis has no such
// section.
const replication = "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"

// serveStandIn serves miniredis at listen until ctx is done.
func serveStandIn(ctx context.Context, listen string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listen for redis: %w", err)
	}
	m := miniredis.NewMiniRedis()
	inside, err := m.Dial() // which starts it without a listener of its own
	if err != nil {
		return errors.Join(fmt.Errorf("start miniredis: %w", err), listener.Close())
	}
	_ = inside.Close()
	defer m.Close()
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	var reads atomic.Int64
	m.Server().SetPreHook(informed(m, &reads))
	go accept(listener, func(conn net.Conn) { m.Server().ServeConn(&countedConn{conn, &reads}) })
	slog.Info("miniredis listens, for want of a redis-server on the PATH", "address", listener.Addr())
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

// countedConn counts what is read from it, as the real server does: commands that
// a client sent together are mostly one.
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

// informed answers the sections of INFO that miniredis lacks, or has less of, and
// leaves all else to it.
func informed(m *miniredis.Miniredis, reads *atomic.Int64) server.Hook {
	return func(peer *server.Peer, cmd string, args ...string) bool {
		if !strings.EqualFold(cmd, "INFO") || len(args) != 1 {
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

// tick drives the ends of keys until ctx is done; by themselves they stand
// still. miniredis can also let them pass with each command (ClockTTL), but it
// then looks at every key for every command.
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

// wallClock is the time by which the real server ends its keys: one that goes
// on while the machine sleeps.
func wallClock() time.Time { return time.Now().Round(0) }
