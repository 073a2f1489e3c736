package redisconn

import (
	"context"
	"errors"
	"net"
	"strconv"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// tracer is a redis.Hook that records each command as a client span. Names, such as
// "evalsha", and attributes follow OpenTelemetry's semantic conventions for Redis.
// Neither the arguments of a command nor the text of an error is recorded, because both
// may contain user ids and client addresses.
type tracer struct {
	trace.Tracer
	server []attribute.KeyValue // where Redis is, without user and password
}

var _ redis.Hook = tracer{}

// newTracer returns a tracer of the commands that are sent to addr, a host and port.
func newTracer(tracing trace.TracerProvider, addr string) tracer {
	t := tracer{Tracer: tracing.Tracer("boxoffice/shared/redisconn"), server: []attribute.KeyValue{semconv.DBSystemNameRedis}}
	host, port, err := net.SplitHostPort(addr)
	if err != nil { // a path of a socket
		return t
	}
	t.server = append(t.server, semconv.ServerAddress(host))
	if n, err := strconv.Atoi(port); err == nil {
		t.server = append(t.server, semconv.ServerPort(n))
	}
	return t
}

// DialHook implements redis.Hook.
func (t tracer) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, span := t.start(ctx, "redis.dial")
		defer span.End()
		conn, err := next(ctx, network, addr)
		setOutcome(span, err)
		return conn, err
	}
}

// ProcessHook implements redis.Hook.
func (t tracer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		ctx, span := t.start(ctx, cmd.FullName())
		defer span.End()
		err := next(ctx, cmd)
		setOutcome(span, err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (t tracer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		ctx, span := t.start(ctx, "redis.pipeline")
		defer span.End()
		err := next(ctx, cmds)
		setOutcome(span, err)
		return err
	}
}

// start starts the span of a command or a connection, which the caller must end.
func (t tracer) start(ctx context.Context, name string) (context.Context, trace.Span) {
	return t.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(t.server...)) //nolint:spancheck // the caller ends the span
}

// setOutcome marks a span as failed, unless err is nil or only says that a key does not
// exist.
func setOutcome(span trace.Span, err error) {
	if err == nil || errors.Is(err, redis.Nil) {
		return
	}
	kind := "_OTHER"
	switch {
	case errors.Is(err, ErrPaused):
		kind = "paused"
	case errors.Is(err, context.DeadlineExceeded):
		kind = "timeout"
	}
	span.SetAttributes(semconv.ErrorTypeKey.String(kind))
	span.SetStatus(codes.Error, "")
}
