package main_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"boxoffice/gateway"
	"boxoffice/shared/lifecycle"
	"boxoffice/test/kit"
)

const loginBody = `{"email":"ada@example.org","password":"correct horse"}`

func TestUnknownPathsAndMethodsGetProblems(t *testing.T) {
	h := newHarness(t)
	for _, path := range []string{"/", "/api", "/api/auth/Login", "/api/auth/login/", "/api/auth/me/"} {
		h.wantProblem(h.get(path), 404, "not_found")
	}
	for _, tt := range []struct{ method, path, allow string }{
		{"GET", "/api/auth/login", "POST"},
		{"DELETE", "/api/auth/login", "POST"},
		{"OPTIONS", "/api/auth/me", "GET, HEAD"},
		{"BREW", "/api/auth/login", "POST"},
		{"TRACE", "/api/auth/login", "POST"},
		{"PUT", "/api/events", "GET, HEAD, POST"},
		{"POST", "/api/events/e1", "GET, HEAD, PUT, DELETE"},
		{"GET", "/api/events/e1/cancel", "POST"},
		{"PUT", "/api/events/e1/availability", "GET, HEAD"},
		{"POST", "/api/events/search/cancel", "GET, HEAD"},
		{"POST", "/api/events/organizer/cancel", "GET, HEAD"},
	} {
		res := h.do(tt.method, tt.path, "")
		h.wantProblem(res, 405, "method_not_allowed")
		if got := res.Header.Get("Allow"); got != tt.allow {
			t.Errorf("%s %s: Allow: got %q, want %q", tt.method, tt.path, got, tt.allow)
		}
	}
	h.wantProblem(h.do("BREW", "/nowhere", ""), 405, "method_not_allowed")
}

func TestValidClientRequestIDIsKept(t *testing.T) {
	h := newHarness(t)
	if got := h.get("/healthz", "X-Request-Id", "abc-1").Header.Get("X-Request-Id"); got != "abc-1" {
		t.Errorf("got %q, want abc-1", got)
	}
	for _, bad := range []string{"a b", strings.Repeat("a", 65), "<script>"} {
		if got := h.get("/healthz", "X-Request-Id", bad).Header.Get("X-Request-Id"); got == bad || got == "" {
			t.Errorf("%q: got %q, want a new id", bad, got)
		}
	}
}

// The http package does not send such malformed requests, so the test writes them to a
// TCP connection.
func TestUnparsableRequestGetsAProblem(t *testing.T) {
	h := newHarness(t)
	addr := listen(t, h.server)
	for _, tt := range []struct {
		name, request string
		status        int
		code          string
	}{
		{"not HTTP", "nonsense\r\n\r\n", 400, "invalid"},
		{"two content lengths", "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, "invalid"},
		{"body too large", "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat("a", 70_000), 413, "body_too_large"},
		{"headers too large", "GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("a", 20_000) + "\r\n\r\n", 431, "headers_too_large"},
		{"unknown method", "BREW /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h.wantProblem(sendRaw(t, addr, tt.request), tt.status, tt.code)
		})
	}
}

// sendRaw writes a request to a TCP connection and returns the response.
func sendRaw(t *testing.T, addr, request string) response {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	go func() { _, _ = io.WriteString(conn, request) }() // fails if the server responds before it has read everything
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{res, string(body)}
}

// listen starts the gateway on a free port and returns its address.
func listen(t *testing.T, server *main.Server) string {
	t.Helper()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(kit.FreePort(t)))
	ctx, cancel := context.WithCancel(t.Context())
	up := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- lifecycle.Run(ctx, lifecycle.Config{StartTimeout: 5 * time.Second, StopTimeout: 5 * time.Second}, server.Part(addr),
			lifecycle.Part{Name: "up", Start: func(context.Context) error { close(up); return nil }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-up:
	case err := <-done:
		t.Fatal(err)
	}
	return addr
}
