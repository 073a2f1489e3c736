package main_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/eventapi"
)

// doLines sends a request whose header name has several field lines.
func (h *harness) doLines(method, path, body, name string, lines ...string) response {
	h.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "Bearer "+h.token())
	r.Header[name] = lines
	return h.send(r)
}

// The cases follow RFC 9110, sections 5.6 and 12.5.1.
func TestAcceptIsNegotiated(t *testing.T) {
	h := newHarness(t)
	for _, tt := range []struct {
		accept string // field lines, separated by a vertical bar
		status int
	}{
		{"application/json", 200},
		{"application/json; charset=utf-8", 200},
		{`application/json;charset="utf-8"`, 200},
		{"application/json;charset=utf-8;q=0.9", 200},
		{"application/json;version=1", 200},
		{"Application/JSON", 200},
		{"application/*", 200},
		{"APPLICATION/*;q=0.1", 200},
		{"*/*", 200},
		{"text/html, application/xhtml+xml, */*;q=0.8", 200},
		{"text/html|application/json", 200},
		{"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", 200}, // the default of Java's HttpURLConnection
		{"text/html,,\t, application/json ;q=1.000", 200},
		{`text/html;title="a, b;q=0", application/json`, 200},
		{`text/html;title="a\", application/json;q=0, b", application/json`, 200},
		{"application/json;q=0.001", 200},
		{"application/json;;q=1", 200},
		{"application/json;q=0, application/json", 200},
		{"application/json;version=2;q=0, */*", 200},
		{"*/*;q=0, application/json", 200},
		{"application/*;q=0, application/json;q=0.5", 200},
		{"application/problem+json", 200},
		{"", 200},
		{",", 200},
		{"application/json;q=0", 406},
		{"application/json;Q=0.000", 406},
		{"application/json; q=0, */*", 406},
		{"*/*, application/json;q=0", 406},
		{"*/*|application/json;q=0", 406},
		{"application/*;q=0, */*;q=1", 406},
		{"*/*;q=0", 406},
		{"text/*", 406},
		{"text/html", 406},
		{"application/xml, application/vnd.api+json", 406},
		{`text/html;title="application/json"`, 406},
		{`text/html;title=", application/json`, 406},
		{"json", 406},
		{"*/json", 406},
		{"application/jsonx", 406},
		{"application/json/x", 406},
	} {
		if res := h.doLines("GET", "/api/auth/me", "", "Accept", strings.Split(tt.accept, "|")...); res.StatusCode != tt.status {
			t.Errorf("Accept: %s: got %d %s, want %d", tt.accept, res.StatusCode, res.body, tt.status)
		}
	}
}

// An element without a valid weight counts as one without a weight.
func TestMalformedWeightIsIgnored(t *testing.T) {
	h := newHarness(t)
	for _, weight := range []string{"", "x", "-1", "0x0", `"0"`, "1,5", "nan"} {
		if res := h.get("/api/auth/me", "Accept", "application/json;q="+weight, "Authorization", "Bearer "+h.token()); res.StatusCode != 200 {
			t.Errorf("q=%s: got %d, want 200", weight, res.StatusCode)
		}
	}
}

func TestLargeAcceptIsRefused(t *testing.T) {
	h := newHarness(t)
	fitting := strings.Repeat("text/html,", 31) + "application/json"
	fitting += strings.Repeat(" ", 1024-len(fitting)-1) + ","
	for _, tt := range []struct {
		name   string
		lines  []string
		status int
	}{
		{"32 ranges in 1 KiB", []string{fitting}, 200},
		{"1025 bytes", []string{fitting + ","}, 431},
		{"1025 bytes in two lines", []string{fitting[:10], fitting[10:] + ","}, 431},
		{"33 ranges", []string{strings.Repeat("a/b,", 32) + "*/*"}, 431},
		{"33 ranges in two lines", []string{strings.Repeat("a/b,", 32), "*/*"}, 431},
		{"15 KB of ranges", []string{strings.Repeat("a/b;q=0.5,", 1500)}, 431},
	} {
		res := h.doLines("GET", "/api/auth/me", "", "Accept", tt.lines...)
		if res.StatusCode != tt.status {
			t.Errorf("%s: got %d, want %d", tt.name, res.StatusCode, tt.status)
		}
		if tt.status != 200 {
			p := h.wantProblem(res, 431, "headers_too_large")
			if !strings.Contains(p.Detail, "Accept") {
				t.Errorf("%s: got detail %q, want one that names the header", tt.name, p.Detail)
			}
		}
	}
	for _, probe := range []string{"/healthz", "/readyz"} {
		for _, accept := range []string{"text/html", strings.Repeat("a/b,", 3000)} {
			if res := h.get(probe, "Accept", accept); res.StatusCode != 200 {
				t.Errorf("%s with %.20s: got %d, want 200", probe, accept, res.StatusCode)
			}
		}
	}
}

func TestStreamNegotiatesItsOwnType(t *testing.T) {
	h := newHarness(t)
	h.event.one = eventapi.Versioned{Event: eventapi.Event{ID: "e1", Status: "published"}}
	for accept, want := range map[string]int{
		"text/event-stream": 200, "Text/Event-Stream; charset=utf-8": 200, "text/*": 200, "*/*": 200,
		"application/json": 406, "*/*, text/event-stream;q=0": 406, "text/*;q=0, */*": 406,
	} {
		if res := h.do("HEAD", "/api/events/e1/availability/stream", "", "Accept", accept); res.StatusCode != want {
			t.Errorf("Accept: %s: got %d, want %d", accept, res.StatusCode, want)
		}
	}
}

func TestContentTypeAndEncoding(t *testing.T) {
	h := newHarness(t)
	for _, tt := range []struct {
		contentType string
		encodings   []string
		status      int
	}{
		{"application/json", nil, 200},
		{"application/json; charset=utf8", nil, 200},
		{`application/json;CHARSET="UTF-8"`, nil, 200},
		{"Application/Json;", nil, 200},
		{"application/json ; charset = utf-8", nil, 200},
		{"application/json; charset=utf-8; charset=utf-8", nil, 200},
		{"application/json; charset", nil, 200},
		{"application/json; charset=iso-8859-1", nil, 200}, // RFC 8259, section 11
		{"application/json", []string{"identity"}, 200},
		{"application/json", []string{"Identity, identity"}, 200},
		{"application/json", []string{"identity", "identity"}, 200},
		{"application/json", []string{""}, 200},
		{"application/json", []string{"gzip"}, 415},
		{"application/json", []string{"identity, gzip"}, 415},
		{"application/json", []string{"identity", "br"}, 415},
		{"application/json", []string{"identityx"}, 415},
		{"application/jsonx", nil, 415},
		{"application/json text/html", nil, 415},
		{"text/plain; application/json", nil, 415},
		{"application/*", nil, 415},
		{"*/*", nil, 415},
		{"json", nil, 415},
		{"multipart/form-data", nil, 415},
		{"multipart/form-data; boundary=x", nil, 415},
	} {
		r := httptest.NewRequest(http.MethodPost, "/api/auth/login", strings.NewReader(loginBody))
		r.Header.Set("Content-Type", tt.contentType)
		r.Header["Content-Encoding"] = tt.encodings
		res := h.send(r)
		if res.StatusCode != tt.status {
			t.Errorf("%s, %q: got %d %s, want %d", tt.contentType, tt.encodings, res.StatusCode, res.body, tt.status)
		}
		if tt.status != 415 {
			continue
		}
		if p := h.wantProblem(res, 415, "unsupported_media_type"); p.Instance != "/api/auth/login" {
			t.Errorf("%s: got instance %s, want /api/auth/login", tt.contentType, p.Instance)
		}
		if accept, coding := res.Header.Get("Accept"), res.Header.Get("Accept-Encoding"); accept != "application/json" || coding != "identity" {
			t.Errorf("%s: got Accept %q, Accept-Encoding %q, want what to send instead", tt.contentType, accept, coding)
		}
	}
}

func TestEntityTagListsHaveSeveralLines(t *testing.T) {
	h := newHarness(t)
	h.event.one = eventapi.Versioned{Event: eventapi.Event{ID: "e1", Status: "published", Version: 3}, SeatsVersion: 7}
	for _, tt := range []struct {
		lines  string // separated by a vertical bar
		status int
	}{
		{`"3-7"`, 304},
		{`W/"3-7"`, 304},
		{`"1-1"|"3-7"`, 304},
		{`"1-1",, W/"3-7"`, 304},
		{`, "3-7"`, 304},
		{`"a,b", "3-7"`, 304},
		{"*", 304},
		{`"1-1"`, 200},
		{`"a,"3-7",b"`, 200}, // malformed
		{"3-7", 200},
		{`"1-1", *`, 200},
		{"", 200},
	} {
		if res := h.doLines("GET", "/api/events/e1", "", "If-None-Match", strings.Split(tt.lines, "|")...); res.StatusCode != tt.status {
			t.Errorf("If-None-Match: %s: got %d, want %d", tt.lines, res.StatusCode, tt.status)
		}
	}
	h.auth.user.Role = authapi.RoleAdmin
	for _, lines := range []string{`, "3-7"`, `"1-1",,"3-7",`, `"1-1"|"3-7"`, `|"3-7"`} {
		h.event.update = eventapi.UpdateRequest{}
		res := h.doLines("PUT", "/api/events/e1", `{"name":"n"}`, "If-Match", strings.Split(lines, "|")...)
		versions := h.event.update.Versions
		if res.StatusCode != 200 || len(versions) == 0 || versions[len(versions)-1] != 3 {
			t.Errorf("If-Match: %s: got %d, versions %v, want 200 and version 3", lines, res.StatusCode, versions)
		}
	}
}
