// Package e2e_test uses Boxoffice as its clients do, over HTTP, with all parts
// real.
package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"boxoffice/test/stack"
)

// running is the one stack of this package's tests: they share it as clients
// share a service. Set once, before any test.
var running *stack.Stack //nolint:gochecknoglobals // TestMain has no other way to hand it on

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (status int) {
	data, err := os.MkdirTemp("", "boxoffice-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(data)
	running, err = stack.Start(stack.Options{Data: data, Env: []string{
		// In the path, and out of the tests' way.
		"RATE_LIMIT_BROWSE=100000/1m", "RATE_LIMIT_WRITE=100000/1m", "RATE_LIMIT_LOGIN=100000/1m",
	}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	status = m.Run()
	if err := running.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// client is somebody who talks to the gateway.
type client struct {
	t     *testing.T
	token string // sent when there is one
}

// response is an answer that was read whole.
type response struct {
	*http.Response
	body string
}

// do sends a request; body may be nil.
func (c client) do(method, path string, body any) response {
	c.t.Helper()
	var data io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		data = strings.NewReader(string(text))
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, running.Gateway+path, data)
	if err != nil {
		c.t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	return send(c.t, r)
}

func send(t *testing.T, r *http.Request) response {
	t.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	defer cancel()
	res, err := http.DefaultClient.Do(r.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{res, string(text)}
}

// want decodes a body of that status into v, which may be nil.
func (r response) want(t *testing.T, status int, v any) {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s: got %d %s, want %d", r.Request.Method, r.Request.URL.Path, r.StatusCode, r.body, status)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal([]byte(r.body), v); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
}

// refused checks a problem's status and code, and returns its detail.
func (r response) refused(t *testing.T, status int, code string) string {
	t.Helper()
	var p struct{ Code, Detail string }
	r.want(t, status, &p)
	if p.Code != code {
		t.Errorf("%s %s: got %s (%s), want %s", r.Request.Method, r.Request.URL.Path, p.Code, p.Detail, code)
	}
	return p.Detail
}

// traceID is the trace that an answer names.
func (r response) traceID(t *testing.T) string {
	t.Helper()
	parts := strings.Split(r.Header.Get("Traceparent"), "-")
	if len(parts) != 4 {
		t.Fatalf("traceparent: got %q", r.Header.Get("Traceparent"))
	}
	return parts[1]
}

// address returns an e-mail address that nobody has.
func address() string { return "ada-" + strings.ToLower(rand.Text()[:12]) + "@example.org" }

const password = "correct horse battery staple"
