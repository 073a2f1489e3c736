// Package mongotrace records MongoDB commands as spans. It is separate from package
// telemetry so that programs without a database do not link the driver.
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

// Monitor returns a monitor for the driver that records each command as a client span.
// Names, such as "find events", and attributes follow OpenTelemetry's semantic
// conventions for MongoDB. The content of commands is not recorded, because it contains
// user input.
func Monitor(tracing trace.TracerProvider) *event.CommandMonitor {
	m := &monitor{tracer: tracing.Tracer("boxoffice/shared/telemetry/mongotrace")}
	return &event.CommandMonitor{Started: m.started, Succeeded: m.succeeded, Failed: m.failed}
}

type monitor struct {
	tracer trace.Tracer
	spans  sync.Map // of running commands, from commandID to trace.Span
}

// commandID identifies a running command by its connection and the request id that the
// driver assigned to it.
type commandID struct {
	connection string
	request    int64
}

func (m *monitor) started(ctx context.Context, e *event.CommandStartedEvent) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return // the driver's own commands: handshakes, heartbeats, endSessions
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
	//nolint:spancheck // succeeded or failed ends the span
	_, span := m.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(append(attrs, peer(e.ConnectionID)...)...))
	m.spans.Store(commandID{e.ConnectionID, e.RequestID}, span)
} //nolint:spancheck // see above

func (m *monitor) succeeded(_ context.Context, e *event.CommandSucceededEvent) {
	if span := m.remove(e.CommandFinishedEvent); span != nil {
		span.End()
	}
}

func (m *monitor) failed(_ context.Context, e *event.CommandFailedEvent) {
	span := m.remove(e.CommandFinishedEvent)
	if span == nil {
		return
	}
	kind := "_OTHER"
	var commandErr mongo.CommandError
	if errors.As(e.Failure, &commandErr) {
		kind = strconv.Itoa(int(commandErr.Code))
		span.SetAttributes(semconv.DBResponseStatusCode(kind))
	}
	span.SetAttributes(semconv.ErrorTypeKey.String(kind))
	span.SetStatus(codes.Error, "") // the error text may contain user input
	span.End()
}

// remove removes and returns the span of a command, or nil if it has none.
func (m *monitor) remove(e event.CommandFinishedEvent) trace.Span {
	v, ok := m.spans.LoadAndDelete(commandID{e.ConnectionID, e.RequestID})
	if !ok {
		return nil
	}
	span, _ := v.(trace.Span)
	return span
}

// collectionOf returns the name of the collection that a command applies to, or "" if
// there is none. It is the value of the element whose key is the command's name. In
// getMore it is the value of the element "collection".
func collectionOf(e *event.CommandStartedEvent) string {
	key := e.CommandName
	if key == "getMore" {
		key = "collection"
	}
	name, _ := e.Command.Lookup(key).StringValueOK()
	return name
}

// peer returns the attributes of the server's address. It parses the driver's
// connection id, which has the form "127.0.0.1:27017[-12]".
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
