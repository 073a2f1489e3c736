package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"boxoffice/gateway"
	"boxoffice/shared/apperr"
	"boxoffice/shared/lifecycle"
)

const loginBody = `{"email":"ada@example.org","password":"correct horse"}`

func TestEveryCodeBecomesAProblem(t *testing.T) {
	statuses := map[apperr.Code]int{
		apperr.Invalid: 400, apperr.Unauthenticated: 401, apperr.Forbidden: 403, apperr.NotFound: 404,
		apperr.Conflict: 409, apperr.PreconditionFailed: 412, apperr.Unprocessable: 422, apperr.RateLimited: 429,
		apperr.Internal: 500, apperr.Unavailable: 503, apperr.Timeout: 504,
	}
	for _, code := range apperr.Codes() {
		h := newHarness(t)
		e := apperr.New(code, "auth.because", "Because.")
		e.Fields = []apperr.Field{{Field: "email", Code: "taken", Message: "is taken"}}
		e.RetryAfter = 1500 * time.Millisecond
		h.auth.fail = e.WithCause(errors.New("the secret cause"))
		res := h.do("POST", "/api/auth/login", loginBody)
		p := h.wantProblem(res, statuses[code], "auth.because")
		if p.Detail != "Because." || len(p.Errors) != 1 || p.Errors[0] != e.Fields[0] || p.Instance != "/api/auth/login" {
			t.Errorf("%s: got %+v", code, p)
		}
		if strings.Contains(res.body, "secret") {
			t.Errorf("%s: the cause was sent: %s", code, res.body)
		}
		if got := res.Header.Get("Retry-After"); got != "2" && code != apperr.Unauthenticated {
			t.Errorf("%s: Retry-After: got %q", code, got)
		}
	}
}

func TestUnknownErrorIsInternalAndLoggedOnce(t *testing.T) {
	h := newHarness(t)
	h.auth.fail = errors.New("the secret cause")
	res := h.do("POST", "/api/auth/login", loginBody)
	h.wantProblem(res, 500, "internal")
	if strings.Contains(res.body, "secret") {
		t.Errorf("the cause was sent: %s", res.body)
	}
	if got := strings.Count(h.log.String(), "the secret cause"); got != 1 {
		t.Errorf("the cause was logged %d times:\n%s", got, h.log)
	}
}

func TestBodiesAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		headers    []string
		status     int
		code       string
		field      apperr.Field
	}{
		{name: "no JSON", body: `{"email"`, status: 400, code: "invalid"},
		{name: "nothing", status: 415, code: "unsupported_media_type"},
		{name: "nothing, said to be JSON", headers: []string{"Content-Type", "application/json"}, status: 400, code: "invalid"},
		{name: "an array", body: `[]`, status: 400, code: "invalid"},
		{name: "two values", body: loginBody + `{}`, status: 400, code: "invalid"},
		{name: "unknown field", body: `{"email":"a","password":"b","isAdmin":true}`, status: 400, code: "invalid", field: apperr.Field{Field: "isAdmin", Code: "unknown"}},
		{name: "another case", body: `{"Email":"a","password":"b"}`, status: 400, code: "invalid", field: apperr.Field{Field: "Email", Code: "unknown"}},
		{name: "twice", body: `{"email":"a","email":"b","password":"b"}`, status: 400, code: "invalid", field: apperr.Field{Field: "email", Code: "duplicate"}},
		{name: "null", body: `{"email":null,"password":"b"}`, status: 400, code: "invalid", field: apperr.Field{Field: "email", Code: "null"}},
		{name: "wrong type", body: `{"email":"a","password":7}`, status: 400, code: "invalid", field: apperr.Field{Field: "password", Code: "invalid"}},
		{name: "deep", body: strings.Repeat("[", 30_000), status: 400, code: "invalid"},
		{name: "a form", body: "email=a", headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 415, code: "unsupported_media_type"},
		{name: "another charset", body: loginBody, headers: []string{"Content-Type", "application/json; charset=latin1"}, status: 415, code: "unsupported_media_type"},
		{name: "compressed", body: loginBody, headers: []string{"Content-Encoding", "gzip"}, status: 415, code: "unsupported_media_type"},
		{name: "another answer wanted", body: loginBody, headers: []string{"Accept", "text/html"}, status: 406, code: "not_acceptable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			p := h.wantProblem(h.do("POST", "/api/auth/login", tt.body, tt.headers...), tt.status, tt.code)
			if tt.field.Field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != tt.field.Field || p.Errors[0].Code != tt.field.Code) {
				t.Errorf("errors: got %v, want %v", p.Errors, tt.field)
			}
			if h.auth.login.Email != "" {
				t.Error("auth was called")
			}
		})
	}
}

// What is absent is the app's to tell, together with all else that is wrong.
func TestAllWrongFieldsComeAtOnce(t *testing.T) {
	h := newHarness(t)
	h.auth.fail = apperr.InvalidFields(apperr.Field{Field: "email", Code: "invalid"}, apperr.Field{Field: "password", Code: "required"})
	for _, path := range []string{"/api/auth/register", "/api/auth/login"} {
		if p := h.wantProblem(h.do("POST", path, `{"email":"a"}`), 400, "invalid"); len(p.Errors) != 2 {
			t.Errorf("%s: got %v, want two", path, p.Errors)
		}
	}
}

func TestPathsAndMethods(t *testing.T) {
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
	} {
		res := h.do(tt.method, tt.path, "")
		h.wantProblem(res, 405, "method_not_allowed")
		if got := res.Header.Get("Allow"); got != tt.allow {
			t.Errorf("%s %s: Allow: got %q, want %q", tt.method, tt.path, got, tt.allow)
		}
	}
	h.wantProblem(h.do("BREW", "/nowhere", ""), 405, "method_not_allowed")
}

func TestHealth(t *testing.T) {
	h := newHarness(t, func(c *main.Config) { c.Browse = main.Rate{Requests: 1, Period: time.Hour} })
	for range 3 { // never limited
		res := h.get("/healthz")
		wantHeaders(t, res)
		if res.StatusCode != 200 || res.body != `{"status":"ok"}` {
			t.Errorf("got %d %s", res.StatusCode, res.body)
		}
	}
	res := h.get("/readyz")
	if want := `{"status":"ready","checks":{"auth":"ok"}}`; res.StatusCode != 200 || res.body != want {
		t.Errorf("got %d %s", res.StatusCode, res.body)
	}
	for _, span := range h.spans.GetSpans() {
		if strings.Contains(span.Name, "/healthz") || strings.Contains(span.Name, "/readyz") {
			t.Errorf("a probe left a trace: %s", span.Name)
		}
	}
}

func TestRequestIDIsTheClientsWhenItIsOne(t *testing.T) {
	h := newHarness(t)
	if got := h.get("/healthz", "X-Request-Id", "abc-1").Header.Get("X-Request-Id"); got != "abc-1" {
		t.Errorf("got %q", got)
	}
	for _, bad := range []string{"a b", strings.Repeat("a", 65), "<script>"} {
		if got := h.get("/healthz", "X-Request-Id", bad).Header.Get("X-Request-Id"); got == bad || got == "" {
			t.Errorf("%q: got %q", bad, got)
		}
	}
}

func TestLimits(t *testing.T) {
	for _, redis := range []bool{true, false} {
		t.Run(fmt.Sprintf("redis %v", redis), func(t *testing.T) {
			h := newHarness(t, func(c *main.Config) {
				c.LogIn = main.Rate{Requests: 2, Period: time.Minute}
				c.Browse = main.Rate{Requests: 1, Period: time.Minute}
			})
			if !redis {
				h.redis.Close()
			}
			for left := 1; left >= 0; left-- {
				res := h.do("POST", "/api/auth/login", loginBody)
				if got, want := res.Header.Get("RateLimit"), fmt.Sprintf(`"login";r=%d;t=%d`, left, 60-30*left); got != want || res.StatusCode != 200 {
					t.Errorf("got %d, RateLimit %s, want %s", res.StatusCode, got, want)
				}
				if got, want := res.Header.Get("RateLimit-Policy"), `"login";q=2;w=60`; got != want {
					t.Errorf("RateLimit-Policy: got %s, want %s", got, want)
				}
			}
			res := h.do("POST", "/api/auth/login", loginBody)
			h.wantProblem(res, 429, "rate_limited")
			if got := res.Header.Get("Retry-After"); got != "30" {
				t.Errorf("Retry-After: got %s, want 30", got)
			}
			// The buckets are apart, those of a user and of an address too, and what
			// no route takes is counted.
			if res := h.get("/api/auth/me", bearer(h.token())...); res.StatusCode != 200 {
				t.Errorf("a user's first: got %d", res.StatusCode)
			}
			h.wantProblem(h.get("/api/auth/me", bearer(h.token())...), 429, "rate_limited")
			h.wantProblem(h.get("/nowhere"), 404, "not_found")
			h.wantProblem(h.get("/nowhere"), 429, "rate_limited")
		})
	}
}

// Whoever asks for what is not to be had is counted as anybody else.
func TestLimitsComeBeforeWhatIsAccepted(t *testing.T) {
	h := newHarness(t, func(c *main.Config) { c.Browse = main.Rate{Requests: 1, Period: time.Minute} })
	const path = "/.well-known/jwks.json"
	h.wantProblem(h.get(path, "Accept", "image/png"), 406, "not_acceptable")
	h.wantProblem(h.get(path, "Accept", "image/png"), 429, "rate_limited")
}

func TestAddressIsTheConnectionsUnlessAProxySaysSo(t *testing.T) {
	h := newHarness(t)
	h.do("POST", "/api/auth/login", loginBody, "X-Forwarded-For", "203.0.113.7")
	if got := h.auth.login.Device.Address; got != "0.0.0.0" { // what a connection in memory has
		t.Errorf("without proxies: got %q", got)
	}
	h = newHarness(t, func(c *main.Config) {
		c.Proxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/32"), netip.MustParsePrefix("10.0.0.0/8")}
	})
	for header, want := range map[string]string{
		"203.0.113.7":                       "203.0.113.7",
		"198.51.100.1, 203.0.113.7":         "203.0.113.7",
		"198.51.100.1,203.0.113.7,10.1.2.3": "203.0.113.7",
		"2001:db8::1":                       "2001:db8::1",
		"10.1.2.3":                          "10.1.2.3",
		"nonsense":                          "0.0.0.0",
		"":                                  "0.0.0.0",
	} {
		h.do("POST", "/api/auth/login", loginBody, "X-Forwarded-For", header, "User-Agent", "curl/8")
		if got := h.auth.login.Device.Address; got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
		if got := h.auth.login.Device.UserAgent; got != "curl/8" {
			t.Errorf("user agent: got %q", got)
		}
	}
	// A proxy may add a line of its own below the client's.
	r := httptest.NewRequest("POST", "/api/auth/login", strings.NewReader(loginBody))
	r.Header.Set("Content-Type", "application/json")
	r.Header["X-Forwarded-For"] = []string{"198.51.100.1", "203.0.113.7, 10.1.2.3"}
	res, err := h.server.Fiber().Test(r, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if got, want := h.auth.login.Device.Address, "203.0.113.7"; got != want {
		t.Errorf("two lines: got %q, want %q", got, want)
	}
	if got := h.get("/healthz", "X-Forwarded-Proto", "https").Header.Get("Strict-Transport-Security"); got == "" {
		t.Error("no HSTS behind a proxy that speaks TLS")
	}
}

func TestOneLineARequestAndNothingSecretInIt(t *testing.T) {
	h := newHarness(t)
	raw := h.token()
	h.get("/api/auth/me?email=ada@example.org", "Authorization", "Bearer "+raw, "X-Request-Id", "r1")
	h.do("POST", "/api/auth/login", loginBody)
	lines := strings.Split(strings.TrimSpace(h.log.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("got %d lines:\n%s", len(lines), h.log)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &line); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"msg": "request", "request_id": "r1", "method": "GET", "route": "/api/auth/me", "status": 200.0, "user_id": "u1",
	} {
		if line[key] != want {
			t.Errorf("%s: got %v, want %v", key, line[key], want)
		}
	}
	if id, _ := line["trace_id"].(string); len(id) != 32 {
		t.Errorf("trace_id: got %v", line["trace_id"])
	}
	for _, secret := range []string{raw, "correct horse", "ada@example.org"} {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// TestRefusalsOfTheServerItself needs a real connection: the requests are none.
func TestRefusalsOfTheServerItself(t *testing.T) {
	h := newHarness(t)
	addr := listen(t, h.server)
	for _, tt := range []struct {
		name, request string
		status        int
		code          string
	}{
		{"no HTTP", "nonsense\r\n\r\n", 400, "invalid"},
		{"two lengths", "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, "invalid"},
		{"a body too large", "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat("a", 70_000), 413, "body_too_large"},
		{"headers too large", "GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("a", 20_000) + "\r\n\r\n", 431, "headers_too_large"},
		{"an unknown method", "BREW /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			go func() { _, _ = io.WriteString(conn, tt.request) }() // it may be refused before it is read
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			h.wantProblem(response{res, string(body)}, tt.status, tt.code)
		})
	}
}

// listen starts the gateway on a free port.
func listen(t *testing.T, server *main.Server) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
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
