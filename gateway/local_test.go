package main_test

import (
	"strings"
	"testing"
	"time"

	"boxoffice/gateway"
)

func TestProbesAreNeitherRateLimitedNorTraced(t *testing.T) {
	h := newHarness(t, func(c *main.Config) { c.Browse = main.Rate{Requests: 1, Period: time.Hour} })
	for range 3 { // if probes were rate limited, the second would be refused
		res := h.get("/healthz")
		wantHeaders(t, res)
		if res.StatusCode != 200 || res.body != `{"status":"ok"}` {
			t.Errorf("/healthz: got %d %s, want 200 and status ok", res.StatusCode, res.body)
		}
	}
	res := h.get("/readyz")
	if want := `{"status":"ready","checks":{"auth":"ok"}}`; res.StatusCode != 200 || res.body != want {
		t.Errorf("/readyz: got %d %s, want 200 %s", res.StatusCode, res.body, want)
	}
	for _, span := range h.spans.GetSpans() {
		if strings.Contains(span.Name, "/healthz") || strings.Contains(span.Name, "/readyz") {
			t.Errorf("got span %s, want no span for a probe", span.Name)
		}
	}
}
