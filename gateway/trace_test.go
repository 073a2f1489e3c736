package main_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"boxoffice/gateway"
	"boxoffice/shared/apperr"
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

const (
	clientTrace = "0af7651916cd43dd8448eb211c80319c"
	clientSpan  = "b7ad6b7169203331"
)

// clientContext returns the headers with which a client sends a trace context.
func clientContext(flags string) []string {
	return []string{
		"traceparent", "00-" + clientTrace + "-" + clientSpan + "-" + flags, "tracestate", "evil=1,congo=t61rcWkgMzE",
		"baggage", "user=ada", "X-B3-Sampled", "1", "X-B3-TraceId", clientTrace,
	}
}

func TestClientsChooseNeitherTraceNorSampling(t *testing.T) {
	for _, tt := range []struct {
		name          string
		samplingRatio float64
		flags         string
		recorded      bool
	}{
		{"an unsampled client, all traces are recorded", 1, "00", true},
		{"a sampled client, all traces are recorded", 1, "01", true},
		{"a sampled client, no trace is recorded", 0, "01", false},
	} {
		h := newSampledHarness(t, tt.samplingRatio)
		h.spans.Reset()
		res := h.do("POST", "/api/auth/login", loginBody, clientContext(tt.flags)...)
		fields := strings.Split(res.Header.Get("Traceparent"), "-")
		if len(fields) != 4 || fields[1] == clientTrace || (fields[3] == "01") != tt.recorded {
			t.Errorf("%s: Traceparent: got %q, want an own trace id, recorded %t", tt.name, res.Header.Get("Traceparent"), tt.recorded)
		}
		if got := len(h.spans.GetSpans()) > 0; got != tt.recorded {
			t.Errorf("%s: got spans %t, want %t", tt.name, got, tt.recorded)
		}
		for _, s := range h.spans.GetSpans() {
			if s.SpanContext.TraceID().String() == clientTrace || s.SpanContext.TraceState().Len() > 0 {
				t.Errorf("%s: span %s is in the client's trace or has its state: %+v", tt.name, s.Name, s.SpanContext)
			}
			if !strings.HasPrefix(s.Name, "POST") {
				continue
			}
			if len(s.Links) != 1 || s.Links[0].SpanContext.TraceID().String() != clientTrace || s.Links[0].SpanContext.TraceState().Len() > 0 {
				t.Errorf("%s: got links %+v, want one to the client's span without its state", tt.name, s.Links)
			}
		}
		for _, header := range h.invocations {
			for name := range header {
				text := name + ": " + header.Get(name)
				if strings.Contains(text, clientTrace) || name == "Tracestate" || name == "Baggage" || strings.HasPrefix(name, "X-B3") {
					t.Errorf("%s: the sidecar received %s", tt.name, text)
				}
			}
		}
	}
}

func TestMalformedTraceContextIsIgnored(t *testing.T) {
	h := newHarness(t)
	for _, value := range []string{"", "00", "00-" + strings.Repeat("0", 32) + "-" + clientSpan + "-01", "ff-" + clientTrace + "-" + clientSpan + "-01", strings.Repeat("a", 5000)} {
		h.spans.Reset()
		res := h.do("POST", "/api/auth/login", loginBody, "traceparent", value)
		if res.StatusCode != 200 || len(res.Header.Get("Traceparent")) != 55 {
			t.Errorf("%.20q: got %d, Traceparent %q", value, res.StatusCode, res.Header.Get("Traceparent"))
		}
		for _, s := range h.spans.GetSpans() {
			if len(s.Links) > 0 {
				t.Errorf("%.20q: got links %+v, want none", value, s.Links)
			}
		}
	}
}

// A shared cache gives a response to other clients, with its headers.
func TestCacheableResponsesContainNoIDOfAClient(t *testing.T) {
	h := newHarness(t, withReadCache)
	h.setVersion(1)
	etag := h.get("/api/events/e1").Header.Get("ETag")
	client := append(clientContext("01"), "X-Request-Id", "chosen-by-a-client")
	for name, res := range map[string]response{
		"an event":         h.get("/api/events/e1", client...),
		"a cached event":   h.get("/api/events/e1", client...),
		"the same event":   h.get("/api/events/e1", append(client, "If-None-Match", etag)...),
		"HEAD of an event": h.do("HEAD", "/api/events/e1", "", client...),
		"a list":           h.get("/api/events", client...),
		"availability":     h.get("/api/events/e1/availability", client...),
		"the keys":         h.get("/.well-known/jwks.json", client...),
	} {
		if !strings.HasPrefix(res.Header.Get("Cache-Control"), "public") {
			t.Errorf("%s: Cache-Control: got %q, want public", name, res.Header.Get("Cache-Control"))
		}
		for header, values := range res.Header {
			for _, secret := range []string{"chosen-by-a-client", clientTrace, clientSpan} {
				if strings.Contains(strings.Join(values, ","), secret) {
					t.Errorf("%s: got %s: %s", name, header, values)
				}
			}
		}
		wantHeaders(t, res)
	}
	// No cache keeps these.
	for name, res := range map[string]response{
		"a log-in":   h.do("POST", "/api/auth/login", loginBody, client...),
		"a problem":  h.get("/nowhere", client...),
		"the caller": h.get("/api/auth/me", append(client, bearer(h.token())...)...),
	} {
		if got := res.Header.Get("X-Request-Id"); got != "chosen-by-a-client" {
			t.Errorf("%s: X-Request-Id: got %q, want the client's", name, got)
		}
	}
}

// personal is what a client sends in the requests of TestLogsAndSpansContainNothingPersonal.
// No process may write any of it to its log or export it in a span.
func personal(raw string) []string {
	return []string{
		"ada@example.org", "ada%40example.org", "ada:", "correct horse", raw, "secret-query", "secret-agent", "secret-host",
		"secret-term", "203.0.113.7", "BREW", "secret-scheme", base64.StdEncoding.EncodeToString([]byte("ada@example.org:secret")),
	}
}

func TestLogsAndSpansContainNothingPersonal(t *testing.T) {
	h := newHarness(t, withReadCache, func(c *main.Config) {
		c.Browse = main.Rate{Requests: 1000, Period: 1e9}
		c.Proxies = proxies("0.0.0.0/32")
	})
	raw := h.token()
	addr := listen(t, h.server)
	headers := []string{
		"User-Agent", "secret-agent", "Host", "secret-host", "X-Forwarded-For", "203.0.113.7", "X-Forwarded-Proto", "secret-scheme",
		"X-Forwarded-Host", "secret-host", "Referer", "http://ada@example.org/secret-query", "Cookie", "session=" + raw,
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("ada@example.org:secret"))
	for _, auth := range []string{"Bearer " + raw, basic, "Bearer ada@example.org", ""} {
		with := append(headers, "Authorization", auth)
		for _, path := range []string{
			"/api/auth/me?email=ada@example.org&q=secret-query", "/api/events?category=secret-query", "/api/events/search/secret-term",
			"/api/events/ada%40example.org", "/api/bookings/secret-term", "/nowhere/ada@example.org?secret-query", "/healthz?secret-query",
			"/api/events/e1/availability/stream?secret-query",
		} {
			h.do("GET", path, "", append(with, "Accept", "application/json")...)
			h.do("BREW", path, "", with...)
		}
		h.do("POST", "/api/auth/login?secret-query", loginBody, with...)
		h.do("POST", "/api/auth/register", `{"email":"ada@example.org","password":"correct horse","name":"Ada","role":"ada@example.org"}`, with...)
		h.do("POST", "/api/bookings", `{"eventId":"ada@example.org"}`, with...)
	}
	// Failures have more attributes, and may quote their cause.
	h.auth.fail = apperr.Fault(fmt.Errorf("dial: the account of %s", "somebody"))
	h.do("POST", "/api/auth/login?secret-query", loginBody, headers...)
	h.redis.SetError("ERR of user:ada@example.org")
	h.get("/api/auth/me", append(headers, "Authorization", "Bearer "+raw)...)
	for _, request := range []string{
		"GET http://ada:secret@secret-host/api/events?secret-query HTTP/1.1\r\nHost: secret-host\r\nConnection: close\r\n\r\n",
		"BREW /secret-query ada@example.org\r\n\r\n",
	} {
		sendRaw(t, addr, request)
	}

	spans, err := json.Marshal(h.spans.GetSpans())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(spans), "GET /api/auth/me") || !strings.Contains(h.log.String(), "/api/auth/me") {
		t.Error("the requests were neither traced nor logged")
	}
	text := strings.ReplaceAll(h.log.String(), "ERR of user:ada@example.org", "") // what Redis said is for the operator
	for _, secret := range personal(raw) {
		if i := strings.Index(string(spans), secret); i >= 0 {
			t.Errorf("a span contains %q: ...%s", secret, spans[max(0, i-200):min(len(spans), i+100)])
		}
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("the log contains %q: ...%s", secret, text[max(0, i-200):min(len(text), i+100)])
		}
	}
}

func TestSpanOfARequestHasRouteAndStatus(t *testing.T) {
	h := newHarness(t)
	for _, tt := range []struct {
		method, path, name, attributes string
	}{
		{"GET", "/api/bookings/b1", "GET /api/bookings/:bookingId", "http.request.method=GET http.response.status_code=401 http.route=/api/bookings/:bookingId"},
		{"GET", "/nowhere", "GET none", "http.request.method=GET http.response.status_code=404"},
		{"BREW", "/nowhere", "_OTHER none", "http.request.method=_OTHER http.response.status_code=405"},
		{"GET", "/healthz", "", ""},
	} {
		h.spans.Reset()
		h.do(tt.method, tt.path, "")
		var got []string
		for _, s := range h.spans.GetSpans() {
			if !strings.HasPrefix(s.Name, tt.method) && !strings.HasPrefix(s.Name, "_OTHER") {
				continue
			}
			attrs := []string{}
			for _, a := range s.Attributes {
				attrs = append(attrs, string(a.Key)+"="+a.Value.String())
			}
			got = append(got, s.Name+": "+strings.Join(sorted(attrs), " "))
		}
		want := []string{tt.name + ": " + tt.attributes}
		if tt.name == "" {
			want = nil
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s %s: got %q, want %q", tt.method, tt.path, got, want)
		}
	}
	h.auth.fail = apperr.Unreachable(fmt.Errorf("%s", "away"))
	h.spans.Reset()
	h.wantProblem(h.do("POST", "/api/auth/login", loginBody), http.StatusServiceUnavailable, "unavailable")
	for _, s := range h.spans.GetSpans() {
		if s.Name == "POST /api/auth/login" && s.Status.Code.String() != "Error" {
			t.Errorf("a failure: got status %v, want Error", s.Status)
		}
	}
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}
