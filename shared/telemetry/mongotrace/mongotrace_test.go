package mongotrace_test

import (
	"context"
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
	"boxoffice/shared/telemetry/mongotrace"
)

func TestCommandsAreRecordedAsClientSpans(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	tracing := telemetry.New("test", "test-1", 1, sdktrace.WithSyncer(exporter))
	t.Cleanup(func() { _ = tracing.Flush(context.Background()) })
	monitor := mongotrace.Monitor(tracing)
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
	monitor.Failed(ctx, &event.CommandFailedEvent{CommandFinishedEvent: finished(3), Failure: errors.New("connection reset")})
	start(t.Context(), 4, bson.D{{Key: "hello", Value: 1}}) // a context without a span
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
			t.Errorf("%s: got parent %s, want the caller's span", got.Name, got.Parent.SpanID())
		}
		attrs := attribute.NewSet(got.Attributes...)
		for key, want := range want.attrs {
			if v, _ := attrs.Value(key); v.String() != want {
				t.Errorf("%s: %s: got %q, want %q", got.Name, key, v.String(), want)
			}
		}
	}
}
