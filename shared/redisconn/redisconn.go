// Package redisconn opens Redis as both the gateway and auth use it: as a help
// that may be gone at any time. A command is given up early and never repeated,
// and after a failure the next second's commands fail at once, so that a Redis
// that is gone costs a request next to nothing. What is done instead is the
// caller's affair.
package redisconn

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.opentelemetry.io/otel/trace"
)

const (
	dialTimeout = 100 * time.Millisecond
	readTimeout = 200 * time.Millisecond
	pause       = time.Second
)

// ErrPaused is the error of commands in the second after a failure.
var ErrPaused = errors.New("redis: paused after a failure")

// Config is what Open needs. Addr must be set.
type Config struct {
	Addr    string // host:port, or a redis:// or rediss:// URL
	Tracing trace.TracerProvider
}

// Open returns a client that connects when it is first used.
func Open(cfg Config) (*redis.Client, error) {
	opts := &redis.Options{Addr: cfg.Addr}
	if parsed, err := redis.ParseURL(cfg.Addr); err == nil {
		opts = parsed
	}
	opts.DialTimeout = dialTimeout
	opts.DialerRetries = 1
	opts.ReadTimeout = readTimeout
	opts.WriteTimeout = readTimeout
	opts.PoolTimeout = readTimeout
	opts.MaxRetries = -1
	opts.ContextTimeoutEnabled = true
	opts.DisableIdentity = true
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	opts.Limiter = &pauser{now: time.Now}
	client := redis.NewClient(opts)
	if cfg.Tracing == nil {
		return client, nil
	}
	// Statements would show keys, and with them whom a request is about.
	err := redisotel.InstrumentTracing(client, redisotel.WithTracerProvider(cfg.Tracing), redisotel.WithDBStatement(false))
	if err != nil {
		return nil, fmt.Errorf("trace redis: %w", err)
	}
	return client, nil
}

// pauser refuses commands for a while after one that got no answer.
type pauser struct {
	now   func() time.Time
	until atomic.Int64 // Unix nanoseconds
}

var _ redis.Limiter = (*pauser)(nil)

// Allow implements redis.Limiter.
func (p *pauser) Allow() error {
	if p.now().UnixNano() < p.until.Load() {
		return ErrPaused
	}
	return nil
}

// ReportResult implements redis.Limiter. An answer, even one that says no, and a
// caller who left are no failures of Redis.
func (p *pauser) ReportResult(err error) {
	var answer redis.Error
	if err == nil || errors.As(err, &answer) || errors.Is(err, context.Canceled) {
		return
	}
	p.until.Store(p.now().Add(pause).UnixNano())
}
