// Package redisconn opens connections to a Redis that may be unreachable at any time.
//
// The gateway and auth use Redis only to be faster, so a command must fail soon rather
// than succeed late. Timeouts are short and commands are not retried. After a failure,
// every command fails immediately for one second; this is a circuit breaker with a
// fixed open interval (Nygard, Release It!). A Redis that is unreachable therefore
// costs most requests nothing. Callers must have a fallback.
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

// ErrPaused is returned by commands in the second after a failure.
var ErrPaused = errors.New("redis: paused after a failure")

// Config is the configuration of Open.
type Config struct {
	Addr    string               // host:port, or a redis:// or rediss:// URL; must be set
	Tracing trace.TracerProvider // nil for no traces
}

// Open returns a client. It connects when the client is first used.
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
	// Statements are not traced: they contain keys, and keys contain ids and addresses.
	err := redisotel.InstrumentTracing(client, redisotel.WithTracerProvider(cfg.Tracing), redisotel.WithDBStatement(false))
	if err != nil {
		return nil, fmt.Errorf("trace redis: %w", err)
	}
	return client, nil
}

// pauser refuses commands for the duration of pause after one that got no reply.
type pauser struct {
	now   func() time.Time
	until atomic.Int64 // end of the pause in Unix nanoseconds
}

var _ redis.Limiter = (*pauser)(nil)

// Allow implements redis.Limiter.
func (p *pauser) Allow() error {
	if p.now().UnixNano() < p.until.Load() {
		return ErrPaused
	}
	return nil
}

// ReportResult implements redis.Limiter. A reply is no failure, even if it is an error,
// and neither is a command whose caller canceled it.
func (p *pauser) ReportResult(err error) {
	var reply redis.Error
	if err == nil || errors.As(err, &reply) || errors.Is(err, context.Canceled) {
		return
	}
	p.until.Store(p.now().Add(pause).UnixNano())
}
