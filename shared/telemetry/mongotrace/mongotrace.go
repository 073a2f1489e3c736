// Package mongotrace makes spans of MongoDB's commands. It stands apart from
// telemetry so that programs without a database do not carry the driver.
package mongotrace

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Monitor returns a monitor that makes a client span of each command, named
// by OpenTelemetry's conventions for MongoDB ("find events"). Commands
// themselves are not recorded: they hold what users entered.
func Monitor(tracing trace.TracerProvider) *event.CommandMonitor {
	m := &monitor{tracer: tracing.Tracer("boxoffice/shared/telemetry/mongotrace")}
	return &event.CommandMonitor{Started: m.started, Succeeded: m.succeeded, Failed: m.failed}
}

type monitor struct {
	tracer trace.Tracer
	spans  sync.Map // commandID: trace.Span
}

// commandID is unique among the commands under way: request ids are the driver's
// own, and a connection carries one command at a time.
type commandID struct {
	connection string
	request    int64
}

func (m *monitor) started(ctx context.Context, e *event.CommandStartedEvent) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return // the driver's own: handshakes, heartbeats, closing sessions
	}
	name := e.CommandName
	attrs := []attribute.KeyValue{
		semconv.DBSystemNameMongoDB,
		semconv.DBNamespace(e.DatabaseName),
		semconv.DBOperationName(e.CommandName),
	}
	if collection := collectionOf(e); collection != "" {
		name += " " + collection
		attrs = append(attrs, semconv.DBCollectionName(collection))
	}
	//nolint:spancheck // ended where the driver tells of the end
	_, span := m.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(append(attrs, peer(e.ConnectionID)...)...))
	m.spans.Store(commandID{e.ConnectionID, e.RequestID}, span)
} //nolint:spancheck // likewise

func (m *monitor) succeeded(_ context.Context, e *event.CommandSucceededEvent) {
	if span := m.take(e.CommandFinishedEvent); span != nil {
		span.End()
	}
}

func (m *monitor) failed(_ context.Context, e *event.CommandFailedEvent) {
	span := m.take(e.CommandFinishedEvent)
	if span == nil {
		return
	}
	kind := "_OTHER"
	var answer mongo.CommandError
	if errors.As(e.Failure, &answer) {
		kind = strconv.Itoa(int(answer.Code))
		span.SetAttributes(semconv.DBResponseStatusCode(kind))
	}
	span.SetAttributes(semconv.ErrorTypeKey.String(kind))
	span.SetStatus(codes.Error, "") // the text may quote what a user entered
	span.End()
}

func (m *monitor) take(e event.CommandFinishedEvent) trace.Span {
	v, ok := m.spans.LoadAndDelete(commandID{e.ConnectionID, e.RequestID})
	if !ok {
		return nil
	}
	span, _ := v.(trace.Span)
	return span
}

// collectionOf returns the collection that a command is about: most name it as
// the value of their first element, getMore apart.
func collectionOf(e *event.CommandStartedEvent) string {
	key := e.CommandName
	if key == "getMore" {
		key = "collection"
	}
	name, _ := e.Command.Lookup(key).StringValueOK()
	return name
}

// peer reads the address out of the driver's name for a connection,
// "127.0.0.1:27017[-12]".
func peer(connectionID string) []attribute.KeyValue {
	address, _, _ := strings.Cut(connectionID, "[")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil
	}
	attrs := []attribute.KeyValue{semconv.ServerAddress(host)}
	if n, err := strconv.Atoi(port); err == nil {
		attrs = append(attrs, semconv.ServerPort(n))
	}
	return attrs
}
