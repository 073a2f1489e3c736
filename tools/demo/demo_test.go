package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/shared/contract/bookingapi"
)

// dataDir is a data directory with an admin, and a stack when its description is
// not empty.
func dataDir(t *testing.T, stack string) func(string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"admin.env": "ADMIN_EMAIL=boss@example.org\nADMIN_PASSWORD=secret\n"}
	if stack != "" {
		files["stack.json"] = stack
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func(name string) string { return map[string]string{"DATA_DIR": dir}[name] }
}

func TestPlaceIsWhatTheStackSays(t *testing.T) {
	got, err := locate(dataDir(t, `{"gateway": ["http://127.0.0.1:1234"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := (place{gateway: "http://127.0.0.1:1234", email: "boss@example.org", password: "secret"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, err = locate(dataDir(t, "")); err != nil || got.gateway != "http://127.0.0.1:8080" || got.jaeger != "http://127.0.0.1:16686" {
		t.Errorf("got %+v, %v, want the usual ports", got, err)
	}
}

func TestStartTheStackFirst(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, where := range map[string]func(string) string{
		"nothing was ever started": func(name string) string { return map[string]string{"DATA_DIR": t.TempDir()}[name] },
		"it has ended":             dataDir(t, fmt.Sprintf(`{"gateway": [%q]}`, closed.URL)),
	} {
		p, err := locate(where)
		if err == nil {
			err = (&demo{out: t.Output(), where: p}).ready(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), "start `make run` first") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line that says make run", name, err)
		}
	}
}

// answers stands in for the network.
type answers func() *http.Response

func (a answers) RoundTrip(*http.Request) (*http.Response, error) { return a(), nil }

// Its clock is the test's own, so that waits are exact and take no time.
func TestLimitsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Time
		var out strings.Builder
		d := &demo{out: &out, transport: answers(func() *http.Response {
			asked = append(asked, time.Now())
			w := httptest.NewRecorder()
			w.Header().Set("RateLimit-Policy", `"write";q=20;w=1`)
			w.Header().Set("RateLimit", `"write";r=0;t=1`)
			if len(asked) == 2 { // somebody else was faster
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusTooManyRequests)
			}
			return w.Result()
		})}
		c := d.guest()
		for range 2 {
			if err := c.call(t.Context(), request{method: "POST", path: "/api/events", want: 200}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if len(asked) != 3 {
			t.Fatalf("asked %d times, want 3", len(asked))
		}
		if got, want := asked[1].Sub(asked[0]), 50*time.Millisecond; got != want {
			t.Errorf("asked again after %s where the limit has room after %s", got, want)
		}
		if got, want := asked[2].Sub(asked[1]), time.Second; got != want {
			t.Errorf("asked again after %s where Retry-After says %s", got, want)
		}
		if !strings.Contains(out.String(), "waiting 1s") {
			t.Errorf("got %q, want to be told of the wait", out.String())
		}
	})
}

func TestWrongStatusIsAnError(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	c := (&demo{out: t.Output(), where: place{gateway: server.URL}}).guest()
	err := c.call(t.Context(), request{method: "GET", path: "/api/events", want: 200}, nil)
	if err == nil || !strings.Contains(err.Error(), "GET /api/events: got 404, want 200") {
		t.Errorf("got %v", err)
	}
}

func TestWithoutJaegerThereIsNoTrace(t *testing.T) {
	var out strings.Builder
	if err := (&demo{out: &out}).show(context.Background(), &latest{booking: bookingapi.Booking{}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "no trace to show") || !strings.Contains(out.String(), "JAEGER=off") {
		t.Errorf("got %q", out.String())
	}
}
