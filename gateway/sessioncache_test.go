package main_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	main "boxoffice/gateway"
	"boxoffice/shared/app"
	"boxoffice/shared/sessioncache"
	"boxoffice/shared/telemetry"
	"boxoffice/test/kit"
)

// Write access to Redis makes nobody an admin.
func TestForgedCachedUserIsNotUsed(t *testing.T) {
	h := newHarness(t)
	raw := h.token()
	h.get("/api/auth/me", bearer(raw)...)
	if err := h.cache.Fill(t.Context(), "lease", h.auth.session, h.auth.user, 1); err != nil {
		t.Fatal(err)
	}
	value, err := h.redis.Get("user:u1")
	if err != nil {
		t.Fatal(err)
	}
	for _, forged := range []string{
		strings.Replace(value, `"role":"user"`, `"role":"admin"`, 1),
		`v:1:{"id":"u1","email":"ada@example.org","name":"Ada","role":"admin","isActive":true,"createdAt":"2026-01-01T00:00:00.000Z"}`,
	} {
		if forged == value {
			t.Fatalf("got the value %s, want one with a role", value)
		}
		if err := h.redis.Set("user:u1", forged); err != nil {
			t.Fatal(err)
		}
		h.wantProblem(h.get("/api/bookings", bearer(raw)...), 403, "auth.admin_required")
	}
}

func TestWrongSealsAreCountedAndLoggedOnce(t *testing.T) {
	h := newHarness(t)
	client := redis.NewClient(&redis.Options{Addr: h.redis.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	meters, err := telemetry.NewMetrics("gateway", "test")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cache, err := main.NewSessionCache(&app.App{Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: meters}, client, []byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := h.redis.Set("user:u1", "v:1:{}"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := cache.Lookup(t.Context(), sessioncache.Request{SessionID: "s1", UserID: "u1"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "wrong seal"); n != 1 {
		t.Errorf("got %d log lines, want 1: %s", n, &log)
	}
	if got := kit.Scrape(t, meters)["boxoffice_session_cache_rejected_total"]; got != 3 {
		t.Errorf("got %v rejected look-ups, want 3", got)
	}
}
