package auth_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/apps/auth/internal/authtest"
	"boxoffice/apps/auth/internal/memattempts"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/token"
)

const (
	email      = "ann@example.com"
	password   = "correct horse battery"
	accessTTL  = 15 * time.Minute
	sessionTTL = 7 * 24 * time.Hour
)

var (
	cheap  = auth.HashParams{Memory: 64, Passes: 1, Threads: 1}
	device = authapi.Device{Address: "192.0.2.7", UserAgent: "curl/8"}
	key    = ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))
)

// world is a service over fakes.
type world struct {
	*auth.Service
	t        *testing.T
	users    *authtest.Users
	sessions *authtest.Sessions
	cache    *authtest.Cache
	locker   *authtest.Locker
	clock    *authtest.Clock
	keys     *authtest.Keys
	log      *bytes.Buffer
	config   auth.Config
}

func newWorld(t *testing.T, changes ...func(*auth.Config)) *world {
	t.Helper()
	w := &world{
		t: t, users: authtest.NewUsers(), sessions: authtest.NewSessions(), cache: &authtest.Cache{},
		locker: &authtest.Locker{}, clock: authtest.NewClock(authtest.Epoch), keys: &authtest.Keys{}, log: &bytes.Buffer{},
	}
	var err error
	if w.keys.Ring, err = auth.NewKeyring(key); err != nil {
		t.Fatal(err)
	}
	w.config = auth.Config{
		Users: w.users, Sessions: w.sessions, Attempts: memattempts.NewCounter(w.clock), Cache: w.cache, Locker: w.locker,
		Clock: w.clock, IDs: &authtest.IDs{}, Keys: w.keys, Hasher: newHasher(t, cheap), Policy: auth.NewPolicy(),
		Log: slog.New(slog.NewTextHandler(w.log, nil)), AccessTTL: accessTTL, SessionTTL: sessionTTL,
	}
	for _, change := range changes {
		change(&w.config)
	}
	if w.Service, err = auth.New(w.config); err != nil {
		t.Fatal(err)
	}
	return w
}

func newHasher(t *testing.T, params auth.HashParams) *auth.Hasher {
	t.Helper()
	h, err := auth.NewHasher(params, 4, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func registration() authapi.RegisterRequest {
	return authapi.RegisterRequest{UserID: "u1", Email: email, Password: password, Name: "Ann", Device: device}
}

// register makes the account that most tests are about.
func (w *world) register() authapi.Login {
	w.t.Helper()
	login, err := w.Register(w.t.Context(), registration())
	if err != nil {
		w.t.Fatal(err)
	}
	return login
}

func (w *world) logIn() authapi.Login {
	w.t.Helper()
	login, err := w.LogIn(w.t.Context(), authapi.LogInRequest{Email: email, Password: password, Device: device})
	if err != nil {
		w.t.Fatal(err)
	}
	return login
}

func (w *world) refresh(refreshToken string) authapi.Tokens {
	w.t.Helper()
	refreshed, err := w.Refresh(w.t.Context(), authapi.RefreshRequest{RefreshToken: refreshToken})
	if err != nil {
		w.t.Fatal(err)
	}
	return refreshed.Tokens
}

// claims are what a token of ours says, over or not.
func (w *world) claims(raw string) token.Claims {
	w.t.Helper()
	c, err := token.Verify(raw, w.keys.Ring, w.clock.Now())
	if err != nil && !errors.Is(err, token.ErrExpired) {
		w.t.Fatal(err)
	}
	return c
}

// check asks about the session of an access token.
func (w *world) check(access string) (authapi.CheckedSession, error) {
	w.t.Helper()
	c := w.claims(access)
	return w.CheckSession(w.t.Context(), authapi.CheckSessionRequest{UserID: c.Subject, SessionID: c.SessionID, Lease: "lease"})
}

// family returns the only family of the user.
func (w *world) family() auth.Family {
	w.t.Helper()
	e, _, err := w.sessions.Entry(w.t.Context(), "u1")
	if err != nil || len(e.Families) != 1 {
		w.t.Fatalf("got %+v, %v, want one family", e, err)
	}
	return e.Families[0]
}

// stored returns a user as the store has it.
func (w *world) stored(id string) auth.User {
	w.t.Helper()
	u, err := w.users.User(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

// families is how many log-ins the user has.
func (w *world) families() int {
	w.t.Helper()
	e, _, err := w.sessions.Entry(w.t.Context(), "u1")
	if err != nil {
		w.t.Fatal(err)
	}
	return len(e.Families)
}

// refused checks an answer's code and reason, as clients will see them.
func refused(t *testing.T, what string, err error, code apperr.Code, reason string) {
	t.Helper()
	if e := apperr.From(err); err == nil || e.Code != code || e.Reason != reason {
		t.Errorf("%s: got %v, want %s %s", what, err, code, reason)
	}
}
