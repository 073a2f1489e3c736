package auth_test

import (
	"context"
	"errors"
	"fmt"
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
)

func TestLogIn(t *testing.T) {
	w := newWorld(t)
	registered := w.register()
	got, err := w.LogIn(t.Context(), authapi.LogInRequest{Email: " Ann@EXAMPLE.com", Password: password, Device: device})
	if err != nil || got.User != registered.User {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := w.check(got.Tokens.AccessToken); err != nil {
		t.Error(err)
	}
	if w.families() != 2 {
		t.Errorf("%d families", w.families())
	}
	if !slices.Contains(w.locker.Names, "login:"+email) || w.locker.Held != 0 {
		t.Errorf("locks %v, %d held", w.locker.Names, w.locker.Held)
	}
	if !slices.Contains(w.cache.Filled, "lease-u1 - u1") {
		t.Errorf("the cache was filled with %v", w.cache.Filled)
	}
}

// The same password in another Unicode form is the same password.
func TestLogInNormalises(t *testing.T) {
	w := newWorld(t)
	r := registration()
	r.Password = "pässwörter sind schön"
	if _, err := w.Register(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := w.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: "pa\u0308sswo\u0308rter sind scho\u0308n", Device: device}); err != nil {
		t.Error(err)
	}
}

func TestLogInRefuses(t *testing.T) {
	tests := []struct {
		name            string
		email, password string
		inactive        bool
		code            apperr.Code
		reason          string
	}{
		{"wrong password", email, password + "x", false, apperr.Unauthenticated, "auth.invalid_credentials"},
		{"unknown", "ben@example.com", password, false, apperr.Unauthenticated, "auth.invalid_credentials"},
		{"unknown, empty hash", "ben@example.com", strings.Repeat("x", 200), false, apperr.Unauthenticated, "auth.invalid_credentials"},
		{"inactive", email, password, true, apperr.Unauthenticated, "auth.invalid_credentials"},
		{"endless", email, strings.Repeat(password, 20), false, apperr.Unauthenticated, "auth.invalid_credentials"},
		{"no password", email, "", false, apperr.Invalid, "invalid"},
		{"no e-mail", "", password, false, apperr.Invalid, "invalid"},
		{"no address", "ann@", password, false, apperr.Invalid, "invalid"},
	}
	var messages []string
	for _, tt := range tests {
		w := newWorld(t)
		w.register()
		w.users.Change("u1", func(u *auth.User) { u.Active = !tt.inactive })
		writes := w.sessions.Writes()
		_, err := w.LogIn(t.Context(), authapi.LogInRequest{Email: tt.email, Password: tt.password, Device: device})
		refused(t, tt.name, err, tt.code, tt.reason)
		if w.sessions.Writes() != writes {
			t.Errorf("%s: something was written", tt.name)
		}
		if w.locker.Held != 0 {
			t.Errorf("%s: a lock is held", tt.name)
		}
		if tt.code == apperr.Unauthenticated {
			messages = append(messages, apperr.From(err).Message)
		}
	}
	if slices.Sort(messages); messages[0] != messages[len(messages)-1] {
		t.Errorf("the answers tell them apart: %q", messages)
	}
}

func TestLogInLocks(t *testing.T) {
	for _, who := range []string{email, "nobody@example.com"} {
		w := newWorld(t)
		w.register()
		guess := func(pass string, from authapi.Device) error {
			_, err := w.LogIn(t.Context(), authapi.LogInRequest{Email: who, Password: pass, Device: from})
			return err
		}
		for range 5 {
			refused(t, who, guess("wrong password", device), apperr.Unauthenticated, "auth.invalid_credentials")
		}
		err := guess(password, device)
		refused(t, who, err, apperr.RateLimited, "auth.locked")
		if got := apperr.From(err).RetryAfter; got != time.Minute {
			t.Errorf("retry after %s", got)
		}
		elsewhere := authapi.Device{Address: "192.0.2.8"}
		if err := guess(password, elsewhere); who == email && err != nil {
			t.Errorf("another address is locked out: %v", err)
		}
		w.clock.Pass(time.Minute)
		if err := guess(password, device); who == email && err != nil {
			t.Errorf("after the lock: %v", err)
		}
		// A right one has cleared the count.
		for range 4 {
			if err := guess("wrong password", device); who == email {
				refused(t, who, err, apperr.Unauthenticated, "auth.invalid_credentials")
			}
		}
	}
}

func TestLogInIsSlowedDown(t *testing.T) {
	w := newWorld(t)
	w.register()
	for i := range 30 {
		_, err := w.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: "wrong password", Device: authapi.Device{Address: fmt.Sprint("192.0.2.", i)}})
		refused(t, "guess", err, apperr.Unauthenticated, "auth.invalid_credentials")
	}
	before := w.clock.Slept()
	w.logIn()
	if got := w.clock.Slept() - before; got != time.Second {
		t.Errorf("the owner waited %s", got)
	}
}

func TestParallelGuesses(t *testing.T) {
	w := newWorld(t)
	w.register()
	var looked, locked atomic.Int64
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			_, err := w.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: "wrong password", Device: device})
			switch apperr.From(err).Reason {
			case "auth.invalid_credentials":
				looked.Add(1)
			case "auth.locked":
				locked.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if looked.Load() != 5 || locked.Load() != 195 {
		t.Errorf("%d were looked at, %d locked", looked.Load(), locked.Load())
	}
}

// Many right ones at once are not taken for guesses, and none loses its family
// but to the tenth after it.
func TestParallelLogIns(t *testing.T) {
	w := newWorld(t)
	w.register()
	w.clock.Pass(time.Second) // so that the first log-in is the oldest
	var wg sync.WaitGroup
	logins := make([]authapi.Login, 10)
	for i := range logins {
		wg.Go(func() {
			from := authapi.Device{Address: fmt.Sprint("192.0.2.", i%3)}
			var err error
			if logins[i], err = w.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: password, Device: from}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for i, login := range logins {
		if _, err := w.check(login.Tokens.AccessToken); err != nil {
			t.Errorf("log-in %d: %v", i, err)
		}
	}
	if w.families() != 10 {
		t.Errorf("%d families", w.families())
	}
}

func TestTheOldestLogInGoes(t *testing.T) {
	w := newWorld(t)
	first := w.register()
	second := w.logIn()
	for range 9 {
		w.clock.Pass(time.Second)
		w.logIn()
	}
	_, err := w.check(first.Tokens.AccessToken)
	refused(t, "the eleventh", err, apperr.Unauthenticated, "auth.session_invalid")
	if _, err := w.check(second.Tokens.AccessToken); err != nil {
		t.Error(err)
	}
	if ended := w.claims(first.Tokens.AccessToken).SessionID; !slices.Contains(w.cache.Ended, ended) {
		t.Errorf("the cache was not told of %s: %v", ended, w.cache.Ended)
	}
}

// A log-in that verified the old password and stalled fails.
func TestASlowLogInWithAnOldPassword(t *testing.T) {
	w := newWorld(t)
	w.register()
	e, version, err := w.sessions.Entry(t.Context(), "u1")
	if err != nil {
		t.Fatal(err)
	}
	e.PasswordVersion = 2
	if err := w.sessions.Save(t.Context(), "u1", e, version); err != nil {
		t.Fatal(err)
	}
	_, err = w.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: password, Device: device})
	refused(t, "slow", err, apperr.Unauthenticated, "auth.invalid_credentials")
}

// A password change whose maker died before it got to the sessions.
func TestSessionsOfAnOldPasswordAreDead(t *testing.T) {
	w := newWorld(t)
	old := w.register()
	w.users.Change("u1", func(u *auth.User) { u.PasswordVersion++ })
	_, err := w.check(old.Tokens.AccessToken)
	refused(t, "check", err, apperr.Unauthenticated, "auth.session_invalid")
	_, err = w.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: old.Tokens.RefreshToken})
	refused(t, "refresh", err, apperr.Unauthenticated, "auth.refresh_invalid")
	w.logIn()
	if w.families() != 1 {
		t.Errorf("%d families", w.families())
	}
}

func TestRehash(t *testing.T) {
	w := newWorld(t)
	w.register()
	dearer := auth.HashParams{Memory: 128, Passes: 2, Threads: 1}
	w.config.Hasher = newHasher(t, dearer)
	newer, err := auth.New(w.config)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := newer.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: password, Device: device}); err != nil {
			t.Fatal(err)
		}
		u, err := w.users.User(t.Context(), "u1")
		if err != nil || !strings.HasPrefix(u.PasswordHash, "$argon2id$v=19$m=128,t=2,p=1$") || u.PasswordVersion != 1 {
			t.Errorf("got %+v, %v", u, err)
		}
	}
}

// An attempt whose password nobody looked at costs nothing.
func TestOverload(t *testing.T) {
	full, err := auth.NewHasher(cheap, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.register()
	w.config.Hasher = full
	busy, err := auth.New(w.config)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		_, err := busy.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: password, Device: device})
		refused(t, "busy", err, apperr.Unavailable, "unavailable")
		if e := apperr.From(err); e.RetryAfter == 0 || e.Failure() {
			t.Errorf("got %+v", e)
		}
	}
	r := registration()
	r.UserID, r.Email = "u2", "ben@example.com"
	_, err = busy.Register(t.Context(), r)
	refused(t, "register", err, apperr.Unavailable, "unavailable")
	w.logIn()
}

// Nor does one that left while it was made to wait.
func TestDelayThatIsCutOff(t *testing.T) {
	w := newWorld(t)
	w.register()
	// Enough from elsewhere for a delay.
	for i := range 30 {
		if _, err := w.config.Attempts.Begin(t.Context(), email, fmt.Sprint("192.0.2.", 100+i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		ctx, leave := context.WithCancel(t.Context())
		w.config.Clock = leaving{w.clock, leave}
		svc, err := auth.New(w.config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := svc.LogIn(ctx, authapi.LogInRequest{Email: email, Password: password, Device: device}); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want that it was cut off", err)
		}
	}
	w.logIn() // it would be locked
}

// leaving is a clock at which who is made to wait leaves.
type leaving struct {
	*authtest.Clock
	leave func()
}

func (l leaving) Sleep(ctx context.Context, d time.Duration) error {
	l.leave()
	return l.Clock.Sleep(ctx, d)
}

func TestFailingPorts(t *testing.T) {
	lost := apperr.Unreachable(errors.New("gone"))
	for name, fail := range map[string]func(w *world){
		"users":    func(w *world) { w.users.Err = lost },
		"sessions": func(w *world) { w.sessions.Err = lost },
		"keys":     func(w *world) { w.keys.Err = lost },
	} {
		w := newWorld(t)
		login := w.register()
		fail(w)
		ctx := t.Context()
		for range 6 { // none of them counts as a guess
			_, err := w.LogIn(ctx, authapi.LogInRequest{Email: email, Password: password, Device: device})
			refused(t, name+": log in", err, apperr.Unavailable, "unavailable")
		}
		_, err := w.Refresh(ctx, authapi.RefreshRequest{RefreshToken: login.Tokens.RefreshToken})
		refused(t, name+": refresh", err, apperr.Unavailable, "unavailable")
		r := registration()
		r.UserID, r.Email = "u2", "ben@example.com"
		_, err = w.Register(ctx, r)
		refused(t, name+": register", err, apperr.Unavailable, "unavailable")
		if name != "users" {
			_, err = w.LogOut(ctx, authapi.LogOutRequest{RefreshToken: login.Tokens.RefreshToken})
			refused(t, name+": log out", err, apperr.Unavailable, "unavailable")
		}
		if name != "keys" {
			_, err = w.CheckSession(ctx, authapi.CheckSessionRequest{UserID: "u1", SessionID: w.claims(login.Tokens.AccessToken).SessionID})
			refused(t, name+": check", err, apperr.Unavailable, "unavailable")
		}
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	w := newWorld(t)
	w.register()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // whichever wins, nothing is left behind
		if _, err := w.LogIn(ctx, authapi.LogInRequest{Email: email, Password: password, Device: device}); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	w.logIn()
}

func TestConfigRefused(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*auth.Config){
		"no access":     func(c *auth.Config) { c.AccessTTL = 0 },
		"long access":   func(c *auth.Config) { c.AccessTTL = 25 * time.Hour },
		"short session": func(c *auth.Config) { c.SessionTTL = time.Millisecond },
		"long session":  func(c *auth.Config) { c.SessionTTL = 31 * 24 * time.Hour },
	} {
		cfg := w.config
		change(&cfg)
		if _, err := auth.New(cfg); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
