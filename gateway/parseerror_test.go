package main_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// fasthttp refuses these requests before any handler runs. The problem names the path all
// the same, unless the request has none.
func TestRefusalsOfTheParserNameThePath(t *testing.T) {
	h := newHarness(t)
	addr := listen(t, h.server)
	const host = " HTTP/1.1\r\nHost: a\r\n"
	long := strings.Repeat("a", 20_000)
	for _, tt := range []struct {
		name, request string
		status        int
		instance      string
	}{
		{"body too large", "POST /api/auth/login?x=1" + host + "Content-Type: application/json\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat("a", 70_000), 413, "/api/auth/login"},
		{"chunked body too large", "POST /api/auth/login" + host + "Transfer-Encoding: chunked\r\n\r\n11170\r\n" + strings.Repeat("a", 70_000) + "\r\n0\r\n\r\n", 413, "/api/auth/login"},
		{"malformed chunk", "POST /api/auth/login" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "/api/auth/login"},
		{"headers too large", "GET /api/events?a=b" + host + "X-A: " + long + "\r\n\r\n", 431, "/api/events"},
		{"query too large", "GET /api/events?a=" + long + host + "\r\n", 431, "/api/events"},
		{"path too large", "GET /" + long + host + "\r\n", 431, "/"},
		{"two content lengths", "POST /api/auth/login" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, "/api/auth/login"},
		{"negative content length", "POST /api/auth/login" + host + "Content-Length: -1\r\n\r\n", 400, "/api/auth/login"},
		{"unknown transfer coding", "POST /api/auth/login" + host + "Transfer-Encoding: gzip\r\n\r\n", 400, "/api/auth/login"},
		{"no host", "GET /api/events HTTP/1.1\r\n\r\n", 400, "/api/events"},
		{"two hosts", "GET /api/events" + host + "Host: b\r\n\r\n", 400, "/api/events"},
		{"space before the colon", "GET /api/events" + host + "X-A : b\r\n\r\n", 400, "/api/events"},
		{"malformed header", "GET /api/events" + host + "nonsense\r\n\r\n", 400, "/api/events"},
		{"unknown version", "GET /api/events HTTP/x\r\nHost: a\r\n\r\n", 400, "/api/events"},
		{"empty lines first", "\r\n\r\nGET /api/events" + host + "Host: b\r\n\r\n", 400, "/api/events"},
		{"absolute form", "GET http://a/api/events?x" + host + "Host: b\r\n\r\n", 400, "/api/events"},
		{"absolute form without path", "GET http://a?x" + host + "Host: b\r\n\r\n", 400, "/"},
		{"after another request", "GET /healthz" + host + "\r\nGET /api/events" + host + "Host: b\r\n\r\n", 400, "/"},
		{"not HTTP", "nonsense\r\n\r\n", 400, "/"},
		{"multipart", "POST /api/auth/login" + host + "Content-Type: multipart/form-data\r\nContent-Length: 1\r\n\r\na", 415, "/api/auth/login"},
		{"malformed multipart", "POST /api/auth/login" + host + "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1\r\n\r\na", 415, "/api/auth/login"},
		{"unexpected expectation", "POST /api/auth/login" + host + "Expect: 100-continue\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 1\r\n\r\na", 415, "/api/auth/login"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code := map[int]string{400: "invalid", 413: "body_too_large", 415: "unsupported_media_type", 431: "headers_too_large"}[tt.status]
			res := lastResponse(t, addr, tt.request)
			if p := h.wantProblem(res, tt.status, code); p.Instance != tt.instance {
				t.Errorf("got instance %q, want %q", p.Instance, tt.instance)
			}
		})
	}
}

// A response to HEAD has no body (RFC 9110, section 9.3.2), even if fasthttp refuses it.
func TestRefusedHeadHasNoBody(t *testing.T) {
	h := newHarness(t)
	addr := listen(t, h.server)
	text := exchange(t, addr, "HEAD /api/events HTTP/1.1\r\nHost: a\r\nX-A: "+strings.Repeat("a", 20_000)+"\r\n\r\n")
	if head, body, _ := strings.Cut(text, "\r\n\r\n"); !strings.HasPrefix(head, "HTTP/1.1 431") || body != "" {
		t.Errorf("got %q, want 431 without a body", text)
	}
}

// lastResponse writes requests to a TCP connection and returns the first response that is an
// error.
func lastResponse(t *testing.T, addr, requests string) response {
	t.Helper()
	conn := dial(t, addr)
	go func() { _, _ = io.WriteString(conn, requests) }() // fails if the server responds before it has read everything
	for reader := bufio.NewReader(conn); ; {
		res, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode >= http.StatusBadRequest {
			return response{res, string(body)}
		}
	}
}

// exchange writes a request to a TCP connection and returns all that the server sends until
// it closes the connection.
func exchange(t *testing.T, addr, request string) string {
	t.Helper()
	conn := dial(t, addr)
	go func() { _, _ = io.WriteString(conn, request) }()
	text, err := io.ReadAll(conn)
	if err != nil && len(text) == 0 { // a reset after the response is no failure
		t.Fatal(err)
	}
	return string(text)
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}
