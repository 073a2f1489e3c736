// Package redisconn opens connections to a Redis that may be unreachable at any time.
//
// The gateway and auth use Redis only to be faster, so a command must fail early rather
// than succeed late. Timeouts are short, and commands are not retried. After a failure,
// every command fails immediately for one second. This is a circuit breaker with a
// fixed open interval (Nygard, Release It!). While Redis is unreachable, most requests
// therefore do not wait for it. Callers must have a fallback.
package redisconn

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/shared/config"
)

const (
	dialTimeout = 100 * time.Millisecond
	readTimeout = 200 * time.Millisecond
	pause       = time.Second // how long commands fail after a failure
)

// ErrPaused is returned by commands for one second after a failure.
var ErrPaused = errors.New("redis: paused after a failure")

// Config is the configuration of Open.
type Config struct {
	Addr string // host:port, or a redis:// or rediss:// URL; must be set
	// Password is sent to the server. It may be empty. It replaces a password in Addr.
	Password config.Secret
	Tracing  trace.TracerProvider // nil for no traces
}

// Open returns a client that connects when it is first used. An unreachable Redis is
// therefore not an error of Open.
func Open(cfg Config) (*redis.Client, error) {
	opts := &redis.Options{Addr: cfg.Addr}
	if parsed, err := redis.ParseURL(cfg.Addr); err == nil {
		opts = parsed
	}
	if !cfg.Password.IsZero() {
		opts.Password = cfg.Password.Reveal()
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
	opts.Limiter = &breaker{now: time.Now}
	client := redis.NewClient(opts)
	if cfg.Tracing != nil {
		client.AddHook(newTracer(cfg.Tracing, opts.Addr))
	}
	return client, nil
}

// breaker is a circuit breaker. It refuses commands for the duration of pause after a
// command that got no reply.
type breaker struct {
	now       func() time.Time
	openUntil atomic.Int64 // end of the pause in Unix nanoseconds
}

var _ redis.Limiter = (*breaker)(nil)

// Allow implements redis.Limiter.
func (b *breaker) Allow() error {
	if b.now().UnixNano() < b.openUntil.Load() {
		return ErrPaused
	}
	return nil
}

// ReportResult implements redis.Limiter. An error reply from Redis is not a failure, and
// neither is a command that its caller canceled.
func (b *breaker) ReportResult(err error) {
	var reply redis.Error
	if err == nil || errors.As(err, &reply) || errors.Is(err, context.Canceled) {
		return
	}
	b.openUntil.Store(b.now().Add(pause).UnixNano())
}
