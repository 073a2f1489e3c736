package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"boxoffice/shared/telemetry"
)

func recording(t *testing.T) (*telemetry.Tracing, *tracetest.InMemoryExporter) {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	tracing := telemetry.New("test", "test-1", 1, sdktrace.WithSyncer(exporter))
	t.Cleanup(func() { _ = tracing.Flush(context.Background()) })
	return tracing, exporter
}

func TestLogLinesBearTheTrace(t *testing.T) {
	tracing, _ := recording(t)
	ctx, span := tracing.Tracer("test").Start(t.Context(), "work")
	defer span.End()
	var out bytes.Buffer
	log := telemetry.NewLog(&out, "booking", "booking-1").With("a", 1)
	log.InfoContext(ctx, "done")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"msg": "done", "service": "booking", "instance": "booking-1", "a": 1.0,
		"trace_id": span.SpanContext().TraceID().String(), "span_id": span.SpanContext().SpanID().String(),
	} {
		if line[key] != want {
			t.Errorf("%s: got %v, want %v", key, line[key], want)
		}
	}
	out.Reset()
	log.Info("outside")
	if bytes.Contains(out.Bytes(), []byte("trace_id")) {
		t.Errorf("a trace id outside of a trace: %s", out.Bytes())
	}
}

func TestMongoCommandsAreSpans(t *testing.T) {
	tracing, exporter := recording(t)
	monitor := telemetry.MongoMonitor(tracing)
	ctx, span := tracing.Tracer("test").Start(t.Context(), "work")
	start := func(ctx context.Context, request int64, command bson.D) {
		raw, err := bson.Marshal(command)
		if err != nil {
			t.Fatal(err)
		}
		monitor.Started(ctx, &event.CommandStartedEvent{
			Command: raw, DatabaseName: "booking", CommandName: command[0].Key, RequestID: request, ConnectionID: "127.0.0.1:27017[-3]",
		})
	}
	finished := func(request int64) event.CommandFinishedEvent {
		return event.CommandFinishedEvent{RequestID: request, ConnectionID: "127.0.0.1:27017[-3]"}
	}
	start(ctx, 1, bson.D{{Key: "find", Value: "bookings"}, {Key: "filter", Value: bson.D{{Key: "email", Value: "ada@example.org"}}}})
	monitor.Succeeded(ctx, &event.CommandSucceededEvent{CommandFinishedEvent: finished(1)})
	start(ctx, 2, bson.D{{Key: "getMore", Value: int64(7)}, {Key: "collection", Value: "bookings"}})
	monitor.Failed(ctx, &event.CommandFailedEvent{CommandFinishedEvent: finished(2), Failure: mongo.CommandError{Code: 43}})
	start(ctx, 3, bson.D{{Key: "ping", Value: 1}})
	monitor.Failed(ctx, &event.CommandFailedEvent{CommandFinishedEvent: finished(3), Failure: errors.New("cut off")})
	start(t.Context(), 4, bson.D{{Key: "hello", Value: 1}}) // outside of any trace
	monitor.Succeeded(t.Context(), &event.CommandSucceededEvent{CommandFinishedEvent: finished(4)})

	spans := exporter.GetSpans()
	wants := []struct {
		name   string
		status codes.Code
		attrs  map[attribute.Key]string
	}{
		{"find bookings", codes.Unset, map[attribute.Key]string{
			"db.system.name": "mongodb", "db.namespace": "booking", "db.operation.name": "find",
			"db.collection.name": "bookings", "server.address": "127.0.0.1", "server.port": "27017",
		}},
		{"getMore bookings", codes.Error, map[attribute.Key]string{"db.response.status_code": "43", "error.type": "43"}},
		{"ping", codes.Error, map[attribute.Key]string{"error.type": "_OTHER"}},
	}
	if len(spans) != len(wants) {
		t.Fatalf("got %d spans, want %d", len(spans), len(wants))
	}
	for i, want := range wants {
		got := spans[i]
		if got.Name != want.name || got.Status.Code != want.status {
			t.Errorf("got %s %v, want %s %v", got.Name, got.Status, want.name, want.status)
		}
		if got.Parent.SpanID() != span.SpanContext().SpanID() {
			t.Errorf("%s: not a child of the caller's span", got.Name)
		}
		attrs := attribute.NewSet(got.Attributes...)
		for key, want := range want.attrs {
			if v, _ := attrs.Value(key); v.Emit() != want {
				t.Errorf("%s: %s: got %q, want %q", got.Name, key, v.Emit(), want)
			}
		}
	}
}
