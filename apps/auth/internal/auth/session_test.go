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
)

func TestRefresh(t *testing.T) {
	w := newWorld(t)
	old := w.register()
	w.clock.Pass(time.Minute)
	next := w.refresh(old.Tokens.RefreshToken)
	before, after := w.claims(old.Tokens.RefreshToken), w.claims(next.RefreshToken)
	if after.FamilyID != before.FamilyID || after.SessionID == before.SessionID || after.ID == before.ID {
		t.Errorf("from %+v to %+v", before, after)
	}
	if _, err := w.check(next.AccessToken); err != nil {
		t.Error(err)
	}
	_, err := w.check(old.Tokens.AccessToken)
	refused(t, "the replaced access token", err, apperr.Unauthenticated, "auth.session_invalid")
	if !slices.Contains(w.cache.Ended, before.SessionID) {
		t.Error("the cache was not told")
	}
	if w.families() != 1 {
		t.Errorf("%d families", w.families())
	}
}

func TestRefreshAgainGivesTheSameBytes(t *testing.T) {
	w := newWorld(t)
	old := w.register()
	first := w.refresh(old.Tokens.RefreshToken)
	writes := w.sessions.Writes()
	for _, wait := range []time.Duration{0, 3 * time.Second, 7 * time.Second} {
		w.clock.Pass(wait)
		if again := w.refresh(old.Tokens.RefreshToken); again != first {
			t.Errorf("after %s more: other tokens", wait)
		}
	}
	if w.sessions.Writes() != writes {
		t.Error("a replay wrote something")
	}
}

func TestALateReplayIsTheft(t *testing.T) {
	w := newWorld(t)
	old := w.register()
	other := w.logIn()
	next := w.refresh(old.Tokens.RefreshToken)
	w.clock.Pass(10*time.Second + time.Millisecond)
	_, err := w.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: old.Tokens.RefreshToken})
	refused(t, "replay", err, apperr.Unauthenticated, "auth.refresh_invalid")
	_, err = w.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: next.RefreshToken})
	refused(t, "the successor", err, apperr.Unauthenticated, "auth.refresh_invalid")
	_, err = w.check(next.AccessToken)
	refused(t, "its access token", err, apperr.Unauthenticated, "auth.session_invalid")
	if !slices.Contains(w.cache.Ended, w.claims(next.AccessToken).SessionID) {
		t.Error("the cache was not told")
	}
	if _, err := w.check(other.Tokens.AccessToken); err != nil {
		t.Errorf("another log-in ended too: %v", err)
	}
	if !strings.Contains(w.log.String(), "used again") || strings.Contains(w.log.String(), old.Tokens.RefreshToken) {
		t.Errorf("log: %s", w.log)
	}
}

// A token two generations old is theft at any time.
func TestAnOlderTokenIsTheft(t *testing.T) {
	w := newWorld(t)
	first := w.register()
	second := w.refresh(first.Tokens.RefreshToken)
	w.refresh(second.RefreshToken)
	_, err := w.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: first.Tokens.RefreshToken})
	refused(t, "the first", err, apperr.Unauthenticated, "auth.refresh_invalid")
	if w.families() != 0 {
		t.Error("the family lives")
	}
}

func TestParallelRefreshes(t *testing.T) {
	w := newWorld(t)
	old := w.register()
	var seen sync.Map
	var different atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			tokens, err := w.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: old.Tokens.RefreshToken})
			if err != nil {
				t.Error(err)
			}
			if _, known := seen.LoadOrStore(tokens, true); !known {
				different.Add(1)
			}
		})
	}
	wg.Wait()
	if different.Load() != 1 || w.sessions.Writes() != 2 {
		t.Errorf("%d successors, %d writes", different.Load(), w.sessions.Writes())
	}
}

func TestRefreshRefuses(t *testing.T) {
	text := func(s string) *string { return &s }
	stranger := ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", ed25519.SeedSize)))
	tests := []struct {
		name   string
		change func(w *world, raw string) (string, *string)
	}{
		{"no token", func(*world, string) (string, *string) { return "", nil }},
		{"nonsense", func(*world, string) (string, *string) { return "a.b.c", nil }},
		{"an access token", func(w *world, _ string) (string, *string) { return w.logIn().Tokens.AccessToken, nil }},
		{"another's key", func(w *world, raw string) (string, *string) {
			forged, err := token.Sign(w.claims(raw), stranger)
			if err != nil {
				w.t.Fatal(err)
			}
			return forged, nil
		}},
		{"another's e-mail", func(_ *world, raw string) (string, *string) { return raw, text("ben@example.com") }},
		{"an empty e-mail", func(_ *world, raw string) (string, *string) { return raw, text("") }},
		{"its end", func(w *world, raw string) (string, *string) { w.clock.Pass(sessionTTL + time.Second); return raw, nil }},
		{"inactive", func(w *world, raw string) (string, *string) {
			w.users.Change("u1", func(u *auth.User) { u.Active = false })
			return raw, nil
		}},
		{"logged out", func(w *world, raw string) (string, *string) {
			if _, err := w.LogOut(w.t.Context(), authapi.LogOutRequest{RefreshToken: raw}); err != nil {
				w.t.Fatal(err)
			}
			return raw, nil
		}},
	}
	for _, tt := range tests {
		w := newWorld(t)
		raw, email := tt.change(w, w.register().Tokens.RefreshToken)
		writes := w.sessions.Writes()
		_, err := w.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: raw, Email: email})
		refused(t, tt.name, err, apperr.Unauthenticated, "auth.refresh_invalid")
		if w.sessions.Writes() != writes {
			t.Errorf("%s: something was written", tt.name)
		}
	}
	w := newWorld(t)
	if _, err := w.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: w.register().Tokens.RefreshToken, Email: text(" ANN@example.com")}); err != nil {
		t.Errorf("the own e-mail: %v", err)
	}
}

func TestSessionsEnd(t *testing.T) {
	w := newWorld(t)
	login := w.register()
	// Refreshed each six days, a log-in lives for thirty.
	tokens := login.Tokens
	for range 4 {
		w.clock.Pass(6 * 24 * time.Hour)
		tokens = w.refresh(tokens.RefreshToken)
	}
	checked, err := w.check(tokens.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	want := w.family().CreatedAt.Add(auth.MaxFamilyAge)
	if !checked.Session.ExpiresAt.Equal(want) {
		t.Errorf("ends %s, want %s", checked.Session.ExpiresAt, want)
	}
	w.clock.Pass(6 * 24 * time.Hour)
	_, err = w.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: tokens.RefreshToken})
	refused(t, "after thirty days", err, apperr.Unauthenticated, "auth.refresh_invalid")
}

func TestCheckSession(t *testing.T) {
	w := newWorld(t)
	login := w.register()
	c := w.claims(login.Tokens.AccessToken)
	checked, err := w.CheckSession(t.Context(), authapi.CheckSessionRequest{UserID: "u1", SessionID: c.SessionID, Lease: "the lease"})
	if err != nil || checked.User != login.User || checked.Session.ID != c.SessionID {
		t.Errorf("got %+v, %v", checked, err)
	}
	if want := "the lease " + c.SessionID + " u1"; !slices.Contains(w.cache.Filled, want) {
		t.Errorf("the cache was filled with %v", w.cache.Filled)
	}
	_, err = w.CheckSession(t.Context(), authapi.CheckSessionRequest{UserID: "u2", SessionID: c.SessionID})
	refused(t, "another's session", err, apperr.Unauthenticated, "auth.session_invalid")
	_, err = w.CheckSession(t.Context(), authapi.CheckSessionRequest{UserID: "u1", SessionID: "unknown"})
	refused(t, "unknown", err, apperr.Unauthenticated, "auth.session_invalid")

	w.users.Change("u1", func(u *auth.User) { u.Active = false })
	checked, err = w.check(login.Tokens.AccessToken)
	if err != nil || checked.User.IsActive {
		t.Errorf("inactive: got %+v, %v", checked, err)
	}
}

func TestAnExpiredSessionIsMetOnce(t *testing.T) {
	w := newWorld(t, func(c *auth.Config) { c.SessionTTL = time.Second })
	login := w.register()
	w.clock.Pass(time.Second)
	var expired, invalid atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			switch _, err := w.check(login.Tokens.AccessToken); {
			case errors.Is(err, auth.ErrSessionExpired):
				expired.Add(1)
			case errors.Is(err, auth.ErrSessionInvalid):
				invalid.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if expired.Load() != 1 || invalid.Load() != 19 {
		t.Errorf("%d were told that it expired, %d that it is not valid", expired.Load(), invalid.Load())
	}
	if w.families() != 0 {
		t.Error("it is still there")
	}
}

// Another log-in does not take the answer away, unless there are too many.
func TestAnExpiredSessionIsKeptUntilMet(t *testing.T) {
	w := newWorld(t, func(c *auth.Config) { c.SessionTTL = time.Second })
	login := w.register()
	w.clock.Pass(time.Minute)
	w.logIn()
	_, err := w.check(login.Tokens.AccessToken)
	refused(t, "met", err, apperr.Unauthenticated, "auth.session_expired")
	for range 10 {
		w.clock.Pass(time.Minute)
		w.logIn()
	}
	if w.families() != 10 {
		t.Errorf("%d families", w.families())
	}
	w.clock.Pass(auth.MaxAccessTTL + time.Second)
	w.logIn()
	if w.families() != 1 {
		t.Errorf("%d families after a day", w.families())
	}
}

func TestLogOut(t *testing.T) {
	w := newWorld(t)
	first := w.register()
	other := w.logIn()
	second := w.refresh(first.Tokens.RefreshToken)
	w.clock.Pass(time.Minute)
	third := w.refresh(second.RefreshToken)
	w.clock.Pass(sessionTTL - time.Second) // the first token has ended, the log-in lives
	if _, err := w.LogOut(t.Context(), authapi.LogOutRequest{RefreshToken: first.Tokens.RefreshToken}); err != nil {
		t.Fatal(err)
	}
	c := w.claims(third.AccessToken)
	_, err := w.CheckSession(t.Context(), authapi.CheckSessionRequest{UserID: c.Subject, SessionID: c.SessionID})
	refused(t, "its session", err, apperr.Unauthenticated, "auth.session_invalid")
	if !slices.Contains(w.cache.Ended, c.SessionID) || !slices.Contains(w.cache.Dropped, "u1") {
		t.Error("the cache was not told")
	}
	for name, raw := range map[string]string{
		"again": first.Tokens.RefreshToken, "its last": third.RefreshToken, "none": "", "nonsense": "a.b.c",
		"an access token": other.Tokens.AccessToken,
	} {
		_, err := w.LogOut(t.Context(), authapi.LogOutRequest{RefreshToken: raw})
		refused(t, name, err, apperr.Invalid, "auth.session_not_found")
	}
	w.clock.Pass(time.Hour)
	_, err = w.LogOut(t.Context(), authapi.LogOutRequest{RefreshToken: other.Tokens.RefreshToken})
	refused(t, "one that has expired", err, apperr.Invalid, "auth.session_not_found")
}

// An unknown user is told so only with a live session.
func TestCheckSessionOfNobody(t *testing.T) {
	w := newWorld(t)
	if err := w.sessions.Save(t.Context(), "u9", authtest.EntryOf("f1"), ""); err != nil {
		t.Fatal(err)
	}
	_, err := w.CheckSession(t.Context(), authapi.CheckSessionRequest{UserID: "u9", SessionID: "f1-1"})
	refused(t, "live", err, apperr.Unauthenticated, "auth.user_inactive")
	_, err = w.CheckSession(t.Context(), authapi.CheckSessionRequest{UserID: "u9", SessionID: "f2-1"})
	refused(t, "unknown", err, apperr.Unauthenticated, "auth.session_invalid")
}

// A store may say that a write was lost which it did make.
func TestAWriteThatLooksLost(t *testing.T) {
	w := newWorld(t)
	login := w.register()
	w.config.Sessions = &stammering{Sessions: w.sessions}
	service, err := auth.New(w.config)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	again, err := service.LogIn(ctx, authapi.LogInRequest{Email: email, Password: password, Device: device})
	if err != nil || w.families() != 2 {
		t.Errorf("log in: %v, %d families", err, w.families())
	}
	refreshed, err := service.Refresh(ctx, authapi.RefreshRequest{RefreshToken: login.Tokens.RefreshToken})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.check(refreshed.Tokens.AccessToken); err != nil {
		t.Errorf("refresh: %v", err)
	}
	if !slices.Contains(w.cache.Ended, w.claims(login.Tokens.AccessToken).SessionID) {
		t.Error("refresh: the cache was not told")
	}
	if _, err := service.LogOut(ctx, authapi.LogOutRequest{RefreshToken: again.Tokens.RefreshToken}); err != nil || w.families() != 1 {
		t.Errorf("log out: %v, %d families", err, w.families())
	}
}

type stammering struct {
	auth.Sessions
	told sync.Map
}

func (s *stammering) Save(ctx context.Context, userID string, e auth.Entry, version string) error {
	err := s.Sessions.Save(ctx, userID, e, version)
	if _, told := s.told.LoadOrStore(version, true); err == nil && !told {
		return auth.ErrStale
	}
	return err
}

func TestKeysRotate(t *testing.T) {
	w := newWorld(t)
	old := w.register()
	next := ed25519.NewKeyFromSeed([]byte(strings.Repeat("n", ed25519.SeedSize)))
	var err error
	if w.keys.Ring, err = auth.NewKeyring(next, key); err != nil {
		t.Fatal(err)
	}
	set, err := w.GetKeys(t.Context(), rpc.Nothing{})
	if err != nil || len(set.Keys) != 2 {
		t.Errorf("published %+v, %v", set, err)
	}
	tokens := w.refresh(old.Tokens.RefreshToken)
	only, err := auth.NewKeyring(next)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.Verify(tokens.AccessToken, only, w.clock.Now()); err != nil {
		t.Errorf("not signed with the new key: %v", err)
	}
}
