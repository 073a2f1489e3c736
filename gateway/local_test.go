package main_test

import (
	"strings"
	"testing"
	"time"

	"boxoffice/gateway"
)

func TestProbes(t *testing.T) {
	h := newHarness(t, func(c *main.Config) { c.Browse = main.Rate{Requests: 1, Period: time.Hour} })
	for range 3 { // probes are not rate limited
		res := h.get("/healthz")
		wantHeaders(t, res)
		if res.StatusCode != 200 || res.body != `{"status":"ok"}` {
			t.Errorf("/healthz: got %d %s", res.StatusCode, res.body)
		}
	}
	res := h.get("/readyz")
	if want := `{"status":"ready","checks":{"auth":"ok"}}`; res.StatusCode != 200 || res.body != want {
		t.Errorf("/readyz: got %d %s, want 200 %s", res.StatusCode, res.body, want)
	}
	for _, span := range h.spans.GetSpans() {
		if strings.Contains(span.Name, "/healthz") || strings.Contains(span.Name, "/readyz") {
			t.Errorf("got span %s, want none of a probe", span.Name)
		}
	}
}
