package attack_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"boxoffice/test/stack"
)

// from returns a client whose connections come from a loopback address, so that an attack
// does not use up the limits of other tests.
func from(address string) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true},
	}
}

// send sends a request with header fields, whose names and values alternate, and returns
// the status of the response.
func send(t *testing.T, client *http.Client, method, path, body string, headers ...string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, running.Gateway+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// A header with thousands of ranges is refused before it is parsed, in one field line or in
// many, on every kind of route. Probes do not look at it.
func TestLargeAcceptIsRefused(t *testing.T) {
	client := from("127.0.0.10")
	weights := strings.Repeat("a/b;q=0.5,", 1500)
	quotes := strings.Repeat(`a/b;c="\",`, 1500)
	for _, path := range []string{"/api/events", "/api/auth/me", "/.well-known/jwks.json", "/api/events/e1/availability/stream"} {
		for _, accept := range []string{weights, quotes, strings.Repeat(",", 15_000), strings.Repeat("*/*,", 33)} {
			if got := send(t, client, "GET", path, "", "Accept", accept); got != 431 {
				t.Errorf("%s, %.12s...: got %d, want 431", path, accept, got)
			}
		}
		lines := []string{}
		for i := range 300 {
			lines = append(lines, "Accept", fmt.Sprintf("a/b%d;q=0.5", i))
		}
		if got := send(t, client, "GET", path, "", lines...); got != 431 {
			t.Errorf("%s, 300 lines: got %d, want 431", path, got)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := send(t, client, "GET", path, "", "Accept", weights); got != 200 {
			t.Errorf("%s: got %d, want 200", path, got)
		}
	}
}

// Two hundred probes with the largest header that the server reads take no longer than the
// same probes without it, give or take the noise of the machine. Before, they took a minute.
func TestProbesWithLargeHeadersAreCheap(t *testing.T) {
	client := from("127.0.0.11")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 200 {
		send(t, client, "GET", "/healthz", "", "Accept", strings.Repeat("a/b;q=0.5,", 1500))
		if ctx.Err() != nil {
			t.Fatal("200 probes: got no end after 10 s")
		}
	}
}

// fasthttp refuses these requests itself. Each answer is a problem that names the path.
func TestRefusalsNameThePath(t *testing.T) {
	for _, tt := range []struct {
		request string
		status  string
		path    string
	}{
		{"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 3\r\n\r\n--x", "415", "/api/auth/login"},
		{"POST /api/bookings HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data\r\nContent-Length: 3\r\n\r\n--x", "401", "/api/bookings"},
		{"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n", "413", "/api/auth/login"},
		{"GET /api/events?x HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 17_000) + "\r\n\r\n", "431", "/api/events"},
		{"GET /api/events HTTP/1.1\r\n\r\n", "400", "/api/events"},
		{"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400", "/api/auth/login"},
	} {
		text := exchange(t, "127.0.0.12", tt.request)
		if !strings.HasPrefix(text, "HTTP/1.1 "+tt.status) || !strings.Contains(text, `"instance":"`+tt.path+`"`) {
			t.Errorf("%.60q: got %q, want %s with the instance %s", tt.request, text, tt.status, tt.path)
		}
	}
}

// exchange writes a request to the gateway from a loopback address and returns what arrives
// up to the end of a problem document.
func exchange(t *testing.T, address, request string) string {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(running.Gateway, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	go func() { _, _ = conn.Write([]byte(request)) }()
	var text []byte
	for buffer := make([]byte, 4096); !strings.HasSuffix(string(text), "}"); {
		n, err := conn.Read(buffer)
		text = append(text, buffer[:n]...)
		if err != nil {
			break
		}
	}
	return string(text)
}

// Times that Go's parser accepts and RFC 3339 does not are refused, and so are filters without
// a value. A bound at the zero time is a bound.
func TestFiltersCannotBeTricked(t *testing.T) {
	guest := stack.Client{Gateway: running.Gateway}
	for _, query := range []string{
		"from=2030-01-01T1:00:00Z", "from=2030-01-01T01:00:00%2B99:99", "to=2030-01-01T01:00:00,5Z", "to=2030-02-30T00:00:00Z", "to=", "status=",
	} {
		guest.Do(t, "GET", "/api/events?"+query, nil).Refused(t, 400, "invalid")
	}
	var page struct{ Data []struct{ ID string } }
	guest.Do(t, "GET", "/api/events?to=0001-01-01T00:00:00Z", nil).Want(t, 200, &page)
	if len(page.Data) > 0 {
		t.Errorf("events before the year 1: got %v, want none", page.Data)
	}
}
