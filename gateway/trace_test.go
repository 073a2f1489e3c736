package main_test

import (
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// The gateway's span is the root of the trace. The span of its call is a child of the
// root, and the app's span of the operation is a child of the call, although two HTTP
// hops lie between them.
func TestRequestIsOneTrace(t *testing.T) {
	h := newHarness(t)
	h.spans.Reset()
	res := h.do("POST", "/api/auth/login", loginBody)
	if res.StatusCode != 200 {
		t.Fatalf("got %d %s, want 200", res.StatusCode, res.body)
	}
	spans := map[string]tracetest.SpanStub{}
	for _, s := range h.spans.GetSpans() {
		spans[s.Name] = s
	}
	root, call, operation := spans["POST /api/auth/login"], spans["call auth/method/auth.login"], spans["auth.login"]
	for name, s := range map[string]tracetest.SpanStub{"root": root, "call": call, "operation": operation} {
		if !s.SpanContext.IsValid() {
			t.Fatalf("%s: got no such span among %v", name, spans)
		}
		if s.SpanContext.TraceID() != root.SpanContext.TraceID() {
			t.Errorf("%s: got trace %s, want %s", name, s.SpanContext.TraceID(), root.SpanContext.TraceID())
		}
	}
	if root.Parent.IsValid() {
		t.Errorf("root: got parent %s, want none", root.Parent.SpanID())
	}
	if call.Parent.SpanID() != root.SpanContext.SpanID() || operation.Parent.SpanID() != call.SpanContext.SpanID() {
		t.Errorf("got parents %s and %s, want %s and %s", call.Parent.SpanID(), operation.Parent.SpanID(), root.SpanContext.SpanID(), call.SpanContext.SpanID())
	}
	want := "00-" + root.SpanContext.TraceID().String() + "-" + root.SpanContext.SpanID().String() + "-01"
	if got := res.Header.Get("Traceparent"); got != want {
		t.Errorf("Traceparent: got %s, want %s", got, want)
	}
}
