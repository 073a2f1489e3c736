package main_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/sessioncache"
	"boxoffice/shared/token"
)

// bearer returns the Authorization header for a token.
func bearer(raw string) []string { return []string{"Authorization", "Bearer " + raw} }

func TestAuthenticationErrorsHaveFixedTexts(t *testing.T) {
	refused := func(reason string) error { return apperr.New(apperr.Unauthenticated, reason, "auth's own text") }
	for _, tt := range []struct {
		name         string
		prepare      func(*harness)
		header       func(*harness) string
		code, detail string
	}{
		{name: "no header", header: func(*harness) string { return "" }, code: "auth.token_missing", detail: "No token provided"},
		{name: "another scheme", header: func(*harness) string { return "Basic YTpi" }, code: "auth.token_missing", detail: "No token provided"},
		{name: "no token after the scheme", header: func(*harness) string { return "Bearer " }, code: "auth.token_missing", detail: "No token provided"},
		{name: "malformed token", header: func(*harness) string { return "Bearer nonsense" }, code: "auth.token_invalid", detail: "Invalid or expired token"},
		{
			name: "expired token", code: "auth.token_invalid", detail: "Invalid or expired token",
			header: func(h *harness) string {
				return "Bearer " + h.token(func(c *token.Claims) { c.ExpiresAt = h.now.Add(-time.Second) })
			},
		},
		{
			name: "refresh token", code: "auth.token_type", detail: "Invalid token type",
			header: func(h *harness) string {
				return "Bearer " + h.token(func(c *token.Claims) { c.Type, c.FamilyID = token.Refresh, "f1" })
			},
		},
		{
			name: "session revoked", code: "auth.session_invalid", detail: "Session invalid or expired",
			prepare: func(h *harness) { h.auth.fail = refused(authapi.ReasonSessionInvalid) },
		},
		{
			name: "session ended in the cache", code: "auth.session_invalid", detail: "Session invalid or expired",
			prepare: func(h *harness) {
				if err := h.cache.End(h.t.Context(), "s1"); err != nil {
					h.t.Fatal(err)
				}
			},
		},
		{
			name: "session of another user", code: "auth.session_invalid", detail: "Session invalid or expired",
			prepare: func(h *harness) { h.auth.session.UserID = "u2" },
		},
		{
			name: "session expired", code: "auth.session_expired", detail: "Session expired",
			prepare: func(h *harness) { h.auth.fail = refused(authapi.ReasonSessionExpired) },
		},
		{
			name: "no such user", code: "auth.user_inactive", detail: "User not found or inactive",
			prepare: func(h *harness) { h.auth.fail = refused(authapi.ReasonUserInactive) },
		},
		{
			name: "user deactivated", code: "auth.user_inactive", detail: "User not found or inactive",
			prepare: func(h *harness) { h.auth.user.IsActive = false },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			if tt.prepare != nil {
				tt.prepare(h)
			}
			header := "Bearer " + h.token()
			if tt.header != nil {
				header = tt.header(h)
			}
			p := h.wantProblem(h.get("/api/auth/me", "Authorization", header), 401, tt.code)
			if p.Detail != tt.detail {
				t.Errorf("detail: got %q, want %q", p.Detail, tt.detail)
			}
		})
	}
}

func TestMeReturnsTheUserRecordAndCallsAuthOnlyOnACacheMiss(t *testing.T) {
	h := newHarness(t)
	h.auth.user.Role = authapi.RoleAdmin // differs from the token
	for range 3 {
		res := h.get("/api/auth/me", bearer(h.token())...)
		var got authapi.User
		if err := json.Unmarshal([]byte(res.body), &got); err != nil || res.StatusCode != 200 {
			t.Fatalf("got %d %s, want 200 and a user", res.StatusCode, res.body)
		}
		if got != h.auth.user {
			t.Errorf("got %+v, want %+v", got, h.auth.user)
		}
		wantHeaders(t, res)
		// In place of auth, fill the cache under the lease that the request passed on.
		if err := h.cache.Fill(t.Context(), "lease", h.auth.session, h.auth.user, 1); err != nil {
			t.Fatal(err)
		}
	}
	if h.auth.checks != 1 {
		t.Errorf("got %d calls to auth, want 1", h.auth.checks)
	}
}

func TestExpiredCachedSessionIsCheckedByAuth(t *testing.T) {
	h := newHarness(t)
	// The session expires while its value in the cache still counts.
	h.auth.session.ExpiresAt = contract.At(h.now.Add(5 * time.Second))
	if _, _, err := h.cache.Lookup(t.Context(), sessioncache.Request{SessionID: "s1", UserID: "u1"}); err != nil {
		t.Fatal(err)
	}
	if err := h.cache.Fill(t.Context(), "lease", h.auth.session, h.auth.user, 1); err != nil {
		t.Fatal(err)
	}
	raw := h.token(func(c *token.Claims) { c.ExpiresAt = h.now.Add(3 * time.Hour) })
	h.now = h.now.Add(10 * time.Second)
	h.auth.fail = apperr.New(apperr.Unauthenticated, authapi.ReasonSessionExpired, "")
	h.wantProblem(h.get("/api/auth/me", bearer(raw)...), 401, "auth.session_expired")
}

func TestAuthChecksEverySessionWhileRedisIsUnreachable(t *testing.T) {
	h := newHarness(t)
	h.redis.Close()
	for range 3 {
		if res := h.get("/api/auth/me", bearer(h.token())...); res.StatusCode != 200 {
			t.Errorf("got %d %s, want 200", res.StatusCode, res.body)
		}
	}
	if h.auth.checks != 3 {
		t.Errorf("got %d calls to auth for 3 requests, want 3", h.auth.checks)
	}
	h.auth.fail = apperr.New(apperr.Unauthenticated, authapi.ReasonSessionInvalid, "")
	h.wantProblem(h.get("/api/auth/me", bearer(h.token())...), 401, "auth.session_invalid")
}

func TestUnreachableAuthCausesUnavailableAndNotUnauthenticated(t *testing.T) {
	h := newHarness(t)
	h.auth.fail = apperr.Unreachable(errors.New("the database's address"))
	p := h.wantProblem(h.get("/api/auth/me", bearer(h.token())...), 503, "unavailable")
	if p.Detail == "" {
		t.Error("got no detail, want one")
	}
}

func TestUnknownKeyRefreshesTheKeysAtMostOncePerInterval(t *testing.T) {
	h := newHarness(t)
	other := newHarness(t)
	before := h.auth.fetched
	for range 5 {
		h.wantProblem(h.get("/api/auth/me", bearer(other.token())...), 401, "auth.token_invalid")
	}
	if got := h.auth.fetched - before; got != 1 {
		t.Errorf("got %d refreshes for 5 requests, want 1", got)
	}
	// Auth now publishes that key.
	h.auth.keys.Keys = append(h.auth.keys.Keys, other.auth.keys.Keys...)
	h.now = h.now.Add(time.Minute)
	if res := h.get("/api/auth/me", bearer(other.token())...); res.StatusCode != 200 {
		t.Errorf("published key: got %d %s, want 200", res.StatusCode, res.body)
	}
}

func TestGuestRoutesRefuseAnInvalidTokenAndLogInIgnoresIt(t *testing.T) {
	h := newHarness(t)
	body := `{"email":"ada@example.org","password":"correct horse","name":"Ada"}`
	h.wantProblem(h.do("POST", "/api/auth/register", body, bearer("bad")...), 401, "auth.token_invalid")
	if res := h.do("POST", "/api/auth/login", `{"email":"a@b.c","password":"p"}`, bearer("bad")...); res.StatusCode != 200 {
		t.Errorf("log-in: got %d %s, want 200", res.StatusCode, res.body)
	}
}

// The gateway leaves it to auth to check who may create an admin.
func TestRegistrationOfAnAdminCarriesTheCallersToken(t *testing.T) {
	h := newHarness(t)
	raw := h.token()
	for _, tt := range []struct {
		role    string
		headers []string
		want    string
	}{
		{"user", bearer(raw), ""},
		{"admin", bearer(raw), raw},
		{"admin", nil, ""},
	} {
		body := `{"email":"ada@example.org","password":"correct horse","name":"Ada","role":"` + tt.role + `"}`
		if res := h.do("POST", "/api/auth/register", body, tt.headers...); res.StatusCode != 201 || h.auth.register.CallerToken != tt.want {
			t.Errorf("role %s, headers %v: got %d and token %q, want 201 and %q", tt.role, tt.headers, res.StatusCode, h.auth.register.CallerToken, tt.want)
		}
	}
}

func TestPublishedKeysVerifyTokens(t *testing.T) {
	h := newHarness(t)
	res := h.get("/.well-known/jwks.json")
	ring, err := token.ParseRing([]byte(res.body))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.Verify(h.token(), ring, h.now); err != nil {
		t.Errorf("verify with the published keys: got %v, want no error", err)
	}
	if got := res.Header.Get("Cache-Control"); got != "public, max-age=300" {
		t.Errorf("Cache-Control: got %q, want public, max-age=300", got)
	}
}
