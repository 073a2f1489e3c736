package main_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAccessLogHasOneLinePerRequestAndNoSecrets(t *testing.T) {
	h := newHarness(t)
	raw := h.token()
	h.get("/api/auth/me?email=ada@example.org", "Authorization", "Bearer "+raw, "X-Request-Id", "r1")
	h.do("POST", "/api/auth/login", loginBody)
	lines := strings.Split(strings.TrimSpace(h.log.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("got %d lines for 2 requests, want 2:\n%s", len(lines), h.log)
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
		t.Errorf("trace_id: got %v, want 32 hex digits", line["trace_id"])
	}
	for _, secret := range []string{raw, "correct horse", "ada@example.org"} {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("got a log that contains %q, want no secrets", secret)
		}
	}
}
