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
	"time"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/tools/traces"
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

func TestLimitsAreKept(t *testing.T) {
	asked := make(chan time.Time, 4)
	turn := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- time.Now()
		w.Header().Set("RateLimit-Policy", `"write";q=20;w=1`)
		w.Header().Set("RateLimit", `"write";r=0;t=1`)
		if turn++; turn == 2 { // somebody else was faster
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer server.Close()
	var out strings.Builder
	c := (&demo{out: &out, where: place{gateway: server.URL}}).guest()
	for range 2 {
		if err := c.call(t.Context(), request{method: "POST", path: "/api/events", want: 200}, nil); err != nil {
			t.Fatal(err)
		}
	}
	first, second, third := <-asked, <-asked, <-asked
	if got := second.Sub(first); got < 50*time.Millisecond {
		t.Errorf("asked again after %s where the limit has room after 50ms", got)
	}
	if got := third.Sub(second); got < time.Second {
		t.Errorf("asked again after %s where Retry-After says a second", got)
	}
	if !strings.Contains(out.String(), "waiting 1s") {
		t.Errorf("got %q, want to be told of the wait", out.String())
	}
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

// tree is a trace that holds those parts and nothing else.
func tree(parts []part) *traces.Span {
	root := &traces.Span{Service: "gateway", Name: "POST /api/bookings"}
	for _, p := range parts {
		at := root
		for i, step := range p.path {
			next, err := at.Find(step)
			if err != nil {
				label, sidecar := strings.CutPrefix(p.path[i], "daprd ")
				service, name, _ := strings.Cut(label, " ")
				next = &traces.Span{Service: service, Name: name, Sidecar: sidecar}
				at.Children = append(at.Children, next)
			}
			at = next
		}
	}
	return root
}

func TestMissingPartIsNamed(t *testing.T) {
	all := parts()
	if err := whole(tree(all)); err != nil {
		t.Fatal(err)
	}
	for _, missing := range all {
		var rest []part
		for _, p := range all {
			if len(p.path) < len(missing.path) || strings.Join(p.path[:len(missing.path)], "\n") != strings.Join(missing.path, "\n") {
				rest = append(rest, p)
			}
		}
		if err := whole(tree(rest)); err == nil || !strings.Contains(err.Error(), missing.name+" is missing") {
			t.Errorf("without %s: got %v", missing.name, err)
		}
	}
	if err := whole(&traces.Span{Service: "gateway", Name: "GET /api/events"}); err == nil {
		t.Error("another trace passes for a booking's")
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
