package main_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"boxoffice/test/kit"
)

func TestRequestsAreMeasuredByRoute(t *testing.T) {
	h := newHarness(t)
	h.get("/healthz")
	h.get("/api/auth/me", "Authorization", "Bearer "+h.token())
	h.get("/api/auth/me")
	h.get("/api/bookings/b1")
	h.get("/api/bookings/b2")
	h.do("HEAD", "/api/bookings/b2", "")
	h.get("/nowhere/1")
	h.get("/nowhere/2")
	h.do("BREW", "/api/bookings/b2", "")
	got := kit.Scrape(t, h.metrics)
	counts := map[string]float64{}
	for series, n := range got {
		if labels, ok := strings.CutPrefix(series, "http_server_request_duration_seconds_count"); ok {
			counts[labels] = n
		}
	}
	want := map[string]float64{
		`{http_request_method="GET",http_response_status_code="200",http_route="/healthz"}`:                  1,
		`{http_request_method="GET",http_response_status_code="200",http_route="/api/auth/me"}`:              1,
		`{http_request_method="GET",http_response_status_code="401",http_route="/api/auth/me"}`:              1,
		`{http_request_method="GET",http_response_status_code="401",http_route="/api/bookings/:bookingId"}`:  2,
		`{http_request_method="HEAD",http_response_status_code="401",http_route="/api/bookings/:bookingId"}`: 1,
		`{http_request_method="GET",http_response_status_code="404"}`:                                        2,
		`{http_request_method="_OTHER",http_response_status_code="405"}`:                                     1,
	}
	for labels, n := range want {
		if counts[labels] != n {
			t.Errorf("%s: got %v requests, want %v", labels, counts[labels], n)
		}
	}
	if len(counts) != len(want) {
		t.Errorf("got %d series %v, want %d", len(counts), counts, len(want))
	}
}

// A client that measured a slow request finds its trace.
func TestSlowRequestsHaveExemplars(t *testing.T) {
	h := newHarness(t)
	res := h.get("/api/auth/me", "Authorization", "Bearer "+h.token())
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text")
	w := httptest.NewRecorder()
	h.metrics.ServeHTTP(w, r)
	span := h.spans.GetSpans()
	if len(span) == 0 {
		t.Fatalf("got no span of the request %v", res.Status)
	}
	if want := `trace_id="` + span[len(span)-1].SpanContext.TraceID().String() + `"`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("got no exemplar with %s in\n%s", want, w.Body)
	}
}
