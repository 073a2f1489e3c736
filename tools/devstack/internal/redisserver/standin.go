package redisserver

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
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
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(listen); err != nil {
		return fmt.Errorf("listen for redis: %w", err)
	}
	defer m.Close()
	m.Server().SetPreHook(answerReplication)
	slog.Info("miniredis listens, for want of a redis-server on the PATH", "address", m.Addr())
	tick(ctx, m)
	return nil
}

// answerReplication answers INFO replication and leaves all else to miniredis.
func answerReplication(peer *server.Peer, cmd string, args ...string) bool {
	if !strings.EqualFold(cmd, "INFO") || len(args) != 1 || !strings.EqualFold(args[0], "replication") {
		return false
	}
	peer.WriteBulk(replication)
	return true
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
