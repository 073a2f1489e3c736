package main_test

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"boxoffice/gateway"
)

func TestForwardedHeadersAreTrustedOnlyFromTrustedProxies(t *testing.T) {
	h := newHarness(t)
	h.do("POST", "/api/auth/login", loginBody, "X-Forwarded-For", "203.0.113.7")
	if got := h.auth.login.Device.Address; got != "0.0.0.0" { // the remote address of Fiber's in-memory connection
		t.Errorf("no trusted proxies: got %q, want 0.0.0.0", got)
	}
	h = newHarness(t, func(c *main.Config) {
		c.Proxies = proxies("0.0.0.0/32", "10.0.0.0/8")
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
			t.Errorf("user agent: got %q, want curl/8", got)
		}
	}
	// A proxy may add its own header after the client's.
	r := httptest.NewRequest("POST", "/api/auth/login", strings.NewReader(loginBody))
	r.Header.Set("Content-Type", "application/json")
	r.Header["X-Forwarded-For"] = []string{"198.51.100.1", "203.0.113.7, 10.1.2.3"}
	res, err := h.server.Fiber().Test(r, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if got, want := h.auth.login.Device.Address, "203.0.113.7"; got != want {
		t.Errorf("two headers: got %q, want %q", got, want)
	}
	r = httptest.NewRequest("POST", "/api/auth/login", strings.NewReader(loginBody))
	r.Header.Set("Content-Type", "application/json")
	r.Header["X-Forwarded-For"] = []string{"203.0.113.8, ,", "", "10.1.2.3 ,"}
	h.send(r)
	if got, want := h.auth.login.Device.Address, "203.0.113.8"; got != want {
		t.Errorf("empty elements: got %q, want %q", got, want)
	}
	for proto, want := range map[string]bool{"HTTPS": true, "http, https": true, "https,http": false, "http": false, "https ": true, "": false} {
		if got := h.get("/healthz", "X-Forwarded-Proto", proto).Header.Get("Strict-Transport-Security"); (got != "") != want {
			t.Errorf("X-Forwarded-Proto %q: got Strict-Transport-Security %q, want one: %v", proto, got, want)
		}
	}
	if got := h.get("/healthz", "X-Forwarded-Proto", "https").Header.Get("Strict-Transport-Security"); got == "" {
		t.Error("HTTPS at the proxy: got no Strict-Transport-Security header, want one")
	}
}

// proxies returns networks of trusted proxies.
func proxies(networks ...string) []main.ProxyNetwork {
	var all []main.ProxyNetwork
	for _, n := range networks {
		all = append(all, main.ProxyNetwork{Prefix: netip.MustParsePrefix(n)})
	}
	return all
}
