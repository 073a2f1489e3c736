package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"boxoffice/shared/telemetry"
)

// newTracing returns a Tracing that exports its spans to memory.
func newTracing(t *testing.T) (*telemetry.Tracing, *tracetest.InMemoryExporter) {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	tracing := telemetry.New("test", "test-1", 1, sdktrace.WithSyncer(exporter))
	t.Cleanup(func() { _ = tracing.Flush(context.Background()) })
	return tracing, exporter
}

func TestLogLinesContainTheTraceAndSpanID(t *testing.T) {
	tracing, _ := newTracing(t)
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
	log.Info("no span")
	if bytes.Contains(out.Bytes(), []byte("trace_id")) {
		t.Errorf("got %s, want no trace id without a span", out.Bytes())
	}
}

func TestFollowerSpanIsInTheFollowersTraceAndLinksToTheLeader(t *testing.T) {
	tracing, exporter := newTracing(t)
	leader, leaderSpan := tracing.Tracer("test").Start(t.Context(), "leader")
	ctx, span := tracing.Tracer("test").Start(t.Context(), "follower")
	end := telemetry.FollowerSpan("insert bookings")(ctx, leader)
	if n := len(exporter.GetSpans()); n != 0 {
		t.Errorf("got %d ended spans, want 0", n)
	}
	end()
	got := exporter.GetSpans()
	if len(got) != 1 || got[0].Name != "insert bookings" || got[0].Parent.SpanID() != span.SpanContext().SpanID() ||
		len(got[0].Links) != 1 || got[0].Links[0].SpanContext.SpanID() != leaderSpan.SpanContext().SpanID() {
		t.Errorf("got %+v, want one span in the follower's trace with a link to the leader", got)
	}
	telemetry.FollowerSpan("nothing")(t.Context(), leader)() // a follower without a span must not panic
}
