package main_test

import (
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A request is one trace: the gateway's span is its root, the call's beneath it,
// and the operation's beneath that, across two HTTP hops.
func TestTraceGoesThrough(t *testing.T) {
	h := newHarness(t)
	h.spans.Reset()
	res := h.do("POST", "/api/auth/login", loginBody)
	if res.StatusCode != 200 {
		t.Fatalf("got %d %s", res.StatusCode, res.body)
	}
	spans := map[string]tracetest.SpanStub{}
	for _, s := range h.spans.GetSpans() {
		spans[s.Name] = s
	}
	root, call, operation := spans["POST /api/auth/login"], spans["call auth/method/auth.login"], spans["auth.login"]
	for name, s := range map[string]tracetest.SpanStub{"root": root, "call": call, "operation": operation} {
		if !s.SpanContext.IsValid() {
			t.Fatalf("no span of the %s among %v", name, spans)
		}
		if s.SpanContext.TraceID() != root.SpanContext.TraceID() {
			t.Errorf("%s: another trace", name)
		}
	}
	if root.Parent.IsValid() {
		t.Error("the root has a parent")
	}
	if call.Parent.SpanID() != root.SpanContext.SpanID() || operation.Parent.SpanID() != call.SpanContext.SpanID() {
		t.Error("the spans are not beneath one another")
	}
	want := "00-" + root.SpanContext.TraceID().String() + "-" + root.SpanContext.SpanID().String() + "-01"
	if got := res.Header.Get("Traceparent"); got != want {
		t.Errorf("traceparent: got %s, want %s", got, want)
	}
}
