package kit

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// Samples are the samples of a scrape. The key is a series as Prometheus writes it, with its
// labels in alphabetical order: name{a="1",b="2"}.
type Samples map[string]float64

// Scrape returns the samples that a handler serves in Prometheus's text format.
func Scrape(t testing.TB, handler http.Handler) Samples {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("scrape: got status %d: %s", w.Code, w.Body)
	}
	return ParseSamples(t, w.Body)
}

// ParseSamples reads a scrape in Prometheus's text format.
func ParseSamples(t testing.TB, text io.Reader) Samples {
	t.Helper()
	samples := Samples{}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		end := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[end+1:], 64)
		if end < 0 || err != nil {
			t.Fatalf("scrape: malformed line %q", line)
		}
		samples[line[:end]] = value
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return samples
}
