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

// dataDir returns an environment whose DATA_DIR has an admin and, if description is
// not empty, a stack.json.
func dataDir(t *testing.T, description string) func(string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"admin.env": "ADMIN_EMAIL=boss@example.org\nADMIN_PASSWORD=secret\n"}
	if description != "" {
		files["stack.json"] = description
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func(name string) string { return map[string]string{"DATA_DIR": dir}[name] }
}

func TestFindStackReadsItsDescription(t *testing.T) {
	got, err := findStack(dataDir(t, `{"gateway": ["http://127.0.0.1:1234"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := (stack{gateway: "http://127.0.0.1:1234", email: "boss@example.org", password: "secret"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, err = findStack(dataDir(t, "")); err != nil || got.gateway != "http://127.0.0.1:8080" || got.jaeger != "http://127.0.0.1:16686" {
		t.Errorf("got %+v, %v, want the default ports", got, err)
	}
}

func TestErrorWithoutAStackMentionsMakeRun(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, getenv := range map[string]func(string) string{
		"no stack was ever started": func(name string) string { return map[string]string{"DATA_DIR": t.TempDir()}[name] },
		"the stack has ended":       dataDir(t, fmt.Sprintf(`{"gateway": [%q]}`, closed.URL)),
	} {
		s, err := findStack(getenv)
		if err == nil {
			err = (&demo{out: t.Output(), stack: s}).checkReady(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), "start `make run` first") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line that mentions make run", name, err)
		}
	}
}

// responder is a function that returns the response to each request. It implements
// http.RoundTripper.
type responder func() *http.Response

// RoundTrip implements http.RoundTripper.
func (r responder) RoundTrip(*http.Request) (*http.Response, error) { return r(), nil }

// The test runs on synthetic time, so that waits are exact and take no time.
func TestClientStaysWithinTheRateLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []time.Time
		var out strings.Builder
		d := &demo{out: &out, transport: responder(func() *http.Response {
			sent = append(sent, time.Now())
			w := httptest.NewRecorder()
			w.Header().Set("RateLimit-Policy", `"write";q=20;w=1`)
			w.Header().Set("RateLimit", `"write";r=0;t=1`)
			if len(sent) == 2 { // another client used the limit
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusTooManyRequests)
			}
			return w.Result()
		})}
		c := d.newClient()
		for range 2 {
			if err := c.call(t.Context(), request{method: "POST", path: "/api/events", want: 200}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if len(sent) != 3 {
			t.Fatalf("got %d requests, want 3", len(sent))
		}
		if got, want := sent[1].Sub(sent[0]), 50*time.Millisecond; got != want {
			t.Errorf("got the second request after %s, want it after %s, as the limit requires", got, want)
		}
		if got, want := sent[2].Sub(sent[1]), time.Second; got != want {
			t.Errorf("got the retry after %s, want it after %s, as Retry-After requires", got, want)
		}
		if !strings.Contains(out.String(), "waiting 1s") {
			t.Errorf("got output %q, want it to mention the wait", out.String())
		}
	})
}

func TestUnexpectedStatusIsAnError(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	c := (&demo{out: t.Output(), stack: stack{gateway: server.URL}}).newClient()
	err := c.call(t.Context(), request{method: "GET", path: "/api/events", want: 200}, nil)
	if err == nil || !strings.Contains(err.Error(), "GET /api/events: got 404, want 200") {
		t.Errorf("got %v, want an error with the request and both statuses", err)
	}
}

func TestDemoWithoutJaegerPrintsNoTrace(t *testing.T) {
	var out strings.Builder
	if err := (&demo{out: &out}).printTrace(context.Background(), &lastBooking{booking: bookingapi.Booking{}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "no trace to show") || !strings.Contains(out.String(), "JAEGER=off") {
		t.Errorf("got output %q, want it to say that there is no trace", out.String())
	}
}

func TestDemoWithUnreachableJaegerPrintsNoTrace(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	var out strings.Builder
	d := &demo{out: &out, stack: stack{jaeger: server.URL}}
	if err := d.printTrace(t.Context(), &lastBooking{traceID: "1"}); err != nil {
		t.Fatal(err)
	}
	if want := "Jaeger does not answer at " + server.URL; !strings.Contains(out.String(), want) {
		t.Errorf("got %q, want %q in it", out.String(), want)
	}
}
