package auth_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/apps/auth/internal/authtest"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/token"
	"boxoffice/test/kit"
)

func TestRefreshReplacesTheSession(t *testing.T) {
	f := newFixture(t)
	old := f.register()
	f.clock.Advance(time.Minute)
	next := f.refresh(old.Tokens.RefreshToken)
	before, after := f.claims(old.Tokens.RefreshToken), f.claims(next.RefreshToken)
	if after.FamilyID != before.FamilyID || after.SessionID == before.SessionID || after.ID == before.ID {
		t.Errorf("got claims %+v after %+v, want the same family and another session", after, before)
	}
	if _, err := f.check(next.AccessToken); err != nil {
		t.Error(err)
	}
	_, err := f.check(old.Tokens.AccessToken)
	wantRefusal(t, "the replaced access token", err, apperr.Unauthenticated, "auth.session_invalid")
	if !slices.Contains(f.cache.Ended, before.SessionID) {
		t.Error("the cache was not invalidated")
	}
	if f.countFamilies() != 1 {
		t.Errorf("got %d families, want 1", f.countFamilies())
	}
}

func TestReplayWithinTheGracePeriodReturnsTheSameTokensAndTheTimeLeft(t *testing.T) {
	f := newFixture(t)
	old := f.register()
	want := f.refresh(old.Tokens.RefreshToken)
	if want.ExpiresIn != 900 {
		t.Errorf("got a lifetime of %d s, want 900", want.ExpiresIn)
	}
	writes := f.sessions.Writes()
	for _, tt := range []struct {
		wait time.Duration
		left int64
	}{{0, 900}, {1500 * time.Millisecond, 898}, {500 * time.Millisecond, 898}, {8 * time.Second, 890}} {
		f.clock.Advance(tt.wait)
		want.ExpiresIn = tt.left
		if got := f.refresh(old.Tokens.RefreshToken); got != want {
			t.Errorf("after %s more: got other tokens or a lifetime of %d s, want the same and %d s", tt.wait, got.ExpiresIn, tt.left)
		}
	}
	if f.sessions.Writes() != writes {
		t.Error("a replay wrote the sessions")
	}
}

// An access token may live for less time than the grace period lasts, and the clock of the
// replica that answers a replay may be behind.
func TestLifetimeOfAReplayedTokenStaysInItsBounds(t *testing.T) {
	f := newFixture(t, func(c *auth.Config) { c.AccessTTL = 2 * time.Second })
	old := f.register()
	if got := f.refresh(old.Tokens.RefreshToken).ExpiresIn; got != 2 {
		t.Errorf("got a lifetime of %d s, want 2", got)
	}
	f.clock.Advance(-5 * time.Second)
	if got := f.refresh(old.Tokens.RefreshToken).ExpiresIn; got != 2 {
		t.Errorf("by a clock that is behind: got a lifetime of %d s, want 2", got)
	}
	f.clock.Advance(10 * time.Second)
	if got := f.refresh(old.Tokens.RefreshToken).ExpiresIn; got != 0 {
		t.Errorf("after the token's expiry: got a lifetime of %d s, want 0", got)
	}
}

func TestReplayAfterTheGracePeriodEndsTheFamily(t *testing.T) {
	f := newFixture(t)
	old := f.register()
	other := f.logIn()
	next := f.refresh(old.Tokens.RefreshToken)
	f.clock.Advance(10*time.Second + time.Millisecond)
	_, err := f.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: old.Tokens.RefreshToken})
	wantRefusal(t, "replay", err, apperr.Unauthenticated, "auth.refresh_invalid")
	_, err = f.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: next.RefreshToken})
	wantRefusal(t, "the successor", err, apperr.Unauthenticated, "auth.refresh_invalid")
	_, err = f.check(next.AccessToken)
	wantRefusal(t, "its access token", err, apperr.Unauthenticated, "auth.session_invalid")
	if !slices.Contains(f.cache.Ended, f.claims(next.AccessToken).SessionID) {
		t.Error("the cache was not invalidated")
	}
	if _, err := f.check(other.Tokens.AccessToken); err != nil {
		t.Errorf("another family: got %v, want it to be live", err)
	}
	if !strings.Contains(f.log.String(), "used again") || strings.Contains(f.log.String(), old.Tokens.RefreshToken) {
		t.Errorf("got log %q, want a warning without the token", f.log)
	}
}

// The grace period covers only the session that was replaced last.
func TestReuseOfAnOlderTokenEndsTheFamilyAtOnce(t *testing.T) {
	f := newFixture(t)
	first := f.register()
	second := f.refresh(first.Tokens.RefreshToken)
	f.refresh(second.RefreshToken)
	_, err := f.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: first.Tokens.RefreshToken})
	wantRefusal(t, "the first", err, apperr.Unauthenticated, "auth.refresh_invalid")
	if f.countFamilies() != 0 {
		t.Error("the family still exists")
	}
}

func TestConcurrentRefreshesHaveOneSuccessor(t *testing.T) {
	f := newFixture(t)
	old := f.register()
	var seen sync.Map
	var distinct atomic.Int64
	kit.Concurrently(50, func(int) {
		tokens, err := f.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: old.Tokens.RefreshToken})
		if err != nil {
			t.Error(err)
		}
		if _, known := seen.LoadOrStore(tokens, true); !known {
			distinct.Add(1)
		}
	})
	if distinct.Load() != 1 || f.sessions.Writes() != 2 {
		t.Errorf("got %d successors and %d writes, want 1 and 2", distinct.Load(), f.sessions.Writes())
	}
}

func TestRefreshRefusesInvalidTokens(t *testing.T) {
	text := func(s string) *string { return &s }
	foreignKey := ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", ed25519.SeedSize)))
	tests := []struct {
		name   string
		change func(f *fixture, raw string) (string, *string)
	}{
		{"no token", func(*fixture, string) (string, *string) { return "", nil }},
		{"malformed token", func(*fixture, string) (string, *string) { return "a.b.c", nil }},
		{"access token", func(f *fixture, _ string) (string, *string) { return f.logIn().Tokens.AccessToken, nil }},
		{"token signed with another key", func(f *fixture, raw string) (string, *string) {
			forged, err := token.Sign(f.claims(raw), foreignKey)
			if err != nil {
				f.t.Fatal(err)
			}
			return forged, nil
		}},
		{"e-mail address of another account", func(_ *fixture, raw string) (string, *string) { return raw, text("ben@example.com") }},
		{"empty e-mail address", func(_ *fixture, raw string) (string, *string) { return raw, text("") }},
		{"expired token", func(f *fixture, raw string) (string, *string) {
			f.clock.Advance(sessionTTL + time.Second)
			return raw, nil
		}},
		{"inactive account", func(f *fixture, raw string) (string, *string) {
			f.users.Update("u1", func(u *auth.User) { u.Active = false })
			return raw, nil
		}},
		{"logged out", func(f *fixture, raw string) (string, *string) {
			if _, err := f.LogOut(f.t.Context(), authapi.LogOutRequest{RefreshToken: raw}); err != nil {
				f.t.Fatal(err)
			}
			return raw, nil
		}},
	}
	for _, tt := range tests {
		f := newFixture(t)
		raw, email := tt.change(f, f.register().Tokens.RefreshToken)
		writes := f.sessions.Writes()
		_, err := f.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: raw, Email: email})
		wantRefusal(t, tt.name, err, apperr.Unauthenticated, "auth.refresh_invalid")
		if f.sessions.Writes() != writes {
			t.Errorf("%s: the sessions were written", tt.name)
		}
	}
	f := newFixture(t)
	if _, err := f.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: f.register().Tokens.RefreshToken, Email: text(" ANN@example.com")}); err != nil {
		t.Errorf("e-mail address of the account: %v", err)
	}
}

func TestNoFamilyOutlivesThirtyDays(t *testing.T) {
	f := newFixture(t)
	login := f.register()
	// A family that is refreshed every six days ends after thirty.
	tokens := login.Tokens
	for range 4 {
		f.clock.Advance(6 * 24 * time.Hour)
		tokens = f.refresh(tokens.RefreshToken)
	}
	checked, err := f.check(tokens.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	want := f.family().CreatedAt.Add(auth.MaxFamilyAge)
	if !checked.Session.ExpiresAt.Equal(want) {
		t.Errorf("got expiry %s, want %s", checked.Session.ExpiresAt, want)
	}
	f.clock.Advance(6 * 24 * time.Hour)
	_, err = f.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: tokens.RefreshToken})
	wantRefusal(t, "after thirty days", err, apperr.Unauthenticated, "auth.refresh_invalid")
}

func TestCheckSessionReturnsSessionAndUser(t *testing.T) {
	f := newFixture(t)
	login := f.register()
	c := f.claims(login.Tokens.AccessToken)
	checked, err := f.CheckSession(t.Context(), authapi.CheckSessionRequest{UserID: "u1", SessionID: c.SessionID, Lease: "the lease"})
	if err != nil || checked.User != login.User || checked.Session.ID != c.SessionID {
		t.Errorf("got %+v, %v, want session %s of %+v", checked, err, c.SessionID, login.User)
	}
	if want := "the lease " + c.SessionID + " u1"; !slices.Contains(f.cache.Filled, want) {
		t.Errorf("got cache fills %v, want %q", f.cache.Filled, want)
	}
	_, err = f.CheckSession(t.Context(), authapi.CheckSessionRequest{UserID: "u2", SessionID: c.SessionID})
	wantRefusal(t, "another user's session", err, apperr.Unauthenticated, "auth.session_invalid")
	_, err = f.CheckSession(t.Context(), authapi.CheckSessionRequest{UserID: "u1", SessionID: "unknown"})
	wantRefusal(t, "unknown session", err, apperr.Unauthenticated, "auth.session_invalid")

	f.users.Update("u1", func(u *auth.User) { u.Active = false })
	checked, err = f.check(login.Tokens.AccessToken)
	if err != nil || checked.User.IsActive {
		t.Errorf("inactive: got %+v, %v, want an inactive user", checked, err)
	}
}

func TestExpiryIsReportedOnce(t *testing.T) {
	f := newFixture(t, func(c *auth.Config) { c.SessionTTL = time.Second })
	login := f.register()
	f.clock.Advance(time.Second)
	var expired, invalid atomic.Int64
	kit.Concurrently(20, func(int) {
		switch _, err := f.check(login.Tokens.AccessToken); {
		case errors.Is(err, auth.ErrSessionExpired):
			expired.Add(1)
		case errors.Is(err, auth.ErrSessionInvalid):
			invalid.Add(1)
		default:
			t.Error(err)
		}
	})
	if expired.Load() != 1 || invalid.Load() != 19 {
		t.Errorf("got %d expired and %d invalid, want 1 and 19", expired.Load(), invalid.Load())
	}
	if f.countFamilies() != 0 {
		t.Error("the expired family still exists")
	}
}

// A log-in removes expired families only if there are too many families, or if the
// expired ones can no longer have a valid access token.
func TestExpiredFamilyIsKeptWhileItsAccessTokensMayBeValid(t *testing.T) {
	f := newFixture(t, func(c *auth.Config) { c.SessionTTL = time.Second })
	login := f.register()
	f.clock.Advance(time.Minute)
	f.logIn()
	_, err := f.check(login.Tokens.AccessToken)
	wantRefusal(t, "expired", err, apperr.Unauthenticated, "auth.session_expired")
	for range 10 {
		f.clock.Advance(time.Minute)
		f.logIn()
	}
	if f.countFamilies() != 10 {
		t.Errorf("got %d families, want 10", f.countFamilies())
	}
	f.clock.Advance(auth.MaxAccessTTL + time.Second)
	f.logIn()
	if f.countFamilies() != 1 {
		t.Errorf("after a day: got %d families, want 1", f.countFamilies())
	}
}

func TestAnyRefreshTokenOfAFamilyLogsItOut(t *testing.T) {
	f := newFixture(t)
	first := f.register()
	other := f.logIn()
	second := f.refresh(first.Tokens.RefreshToken)
	f.clock.Advance(time.Minute)
	third := f.refresh(second.RefreshToken)
	f.clock.Advance(sessionTTL - time.Second) // the first token has expired, but the family is live
	if _, err := f.LogOut(t.Context(), authapi.LogOutRequest{RefreshToken: first.Tokens.RefreshToken}); err != nil {
		t.Fatal(err)
	}
	c := f.claims(third.AccessToken)
	_, err := f.CheckSession(t.Context(), authapi.CheckSessionRequest{UserID: c.Subject, SessionID: c.SessionID})
	wantRefusal(t, "its session", err, apperr.Unauthenticated, "auth.session_invalid")
	if !slices.Contains(f.cache.Ended, c.SessionID) || !slices.Contains(f.cache.Dropped, "u1") {
		t.Error("the cache was not invalidated")
	}
	for name, raw := range map[string]string{
		"the same token again": first.Tokens.RefreshToken, "current token": third.RefreshToken, "no token": "", "malformed token": "a.b.c",
		"access token": other.Tokens.AccessToken,
	} {
		_, err := f.LogOut(t.Context(), authapi.LogOutRequest{RefreshToken: raw})
		wantRefusal(t, name, err, apperr.Invalid, "auth.session_not_found")
	}
	f.clock.Advance(time.Hour)
	_, err = f.LogOut(t.Context(), authapi.LogOutRequest{RefreshToken: other.Tokens.RefreshToken})
	wantRefusal(t, "expired family", err, apperr.Invalid, "auth.session_not_found")
}

func TestCheckSessionReportsAMissingUserOnlyForALiveSession(t *testing.T) {
	f := newFixture(t)
	if err := f.sessions.Save(t.Context(), "u9", authtest.NewUserSessions("f1"), ""); err != nil {
		t.Fatal(err)
	}
	_, err := f.CheckSession(t.Context(), authapi.CheckSessionRequest{UserID: "u9", SessionID: "f1-1"})
	wantRefusal(t, "live session", err, apperr.Unauthenticated, "auth.user_inactive")
	_, err = f.CheckSession(t.Context(), authapi.CheckSessionRequest{UserID: "u9", SessionID: "f2-1"})
	wantRefusal(t, "unknown session", err, apperr.Unauthenticated, "auth.session_invalid")
}

// A store may report ErrStale for a write that it made; see auth.Sessions.
func TestStoredWriteThatIsReportedAsStaleTakesEffectOnce(t *testing.T) {
	f := newFixture(t)
	registered := f.register()
	f.config.Sessions = &staleOnce{Sessions: f.sessions}
	service, err := auth.New(f.config)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	login, err := service.LogIn(ctx, authapi.LogInRequest{Email: email, Password: password, Device: device})
	if err != nil || f.countFamilies() != 2 {
		t.Errorf("log in: got error %v and %d families, want 2", err, f.countFamilies())
	}
	refreshed, err := service.Refresh(ctx, authapi.RefreshRequest{RefreshToken: registered.Tokens.RefreshToken})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.check(refreshed.Tokens.AccessToken); err != nil {
		t.Errorf("refresh: %v", err)
	}
	if !slices.Contains(f.cache.Ended, f.claims(registered.Tokens.AccessToken).SessionID) {
		t.Error("refresh: the replaced session has no tombstone")
	}
	if _, err := service.LogOut(ctx, authapi.LogOutRequest{RefreshToken: login.Tokens.RefreshToken}); err != nil || f.countFamilies() != 1 {
		t.Errorf("log out: got error %v and %d families, want 1", err, f.countFamilies())
	}
}

// staleOnce stores every record, but reports ErrStale for the first write of each
// version.
type staleOnce struct {
	auth.Sessions
	reported sync.Map
}

func (s *staleOnce) Save(ctx context.Context, userID string, us auth.UserSessions, version string) error {
	err := s.Sessions.Save(ctx, userID, us, version)
	if _, reported := s.reported.LoadOrStore(version, true); err == nil && !reported {
		return auth.ErrStale
	}
	return err
}

func TestTokensOfThePreviousKeyRemainValid(t *testing.T) {
	f := newFixture(t)
	old := f.register()
	next := ed25519.NewKeyFromSeed([]byte(strings.Repeat("n", ed25519.SeedSize)))
	var err error
	if f.keys.Ring, err = auth.NewKeyring(next, key); err != nil {
		t.Fatal(err)
	}
	set, err := f.GetKeys(t.Context(), rpc.Nothing{})
	if err != nil || len(set.Keys) != 2 {
		t.Errorf("got %+v, %v, want two keys", set, err)
	}
	tokens := f.refresh(old.Tokens.RefreshToken)
	only, err := auth.NewKeyring(next)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.Verify(tokens.AccessToken, only, f.clock.Now()); err != nil {
		t.Errorf("verify with the new key only: %v", err)
	}
}
