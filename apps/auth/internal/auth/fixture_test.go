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
	cheapHash = auth.HashParams{Memory: 64, Passes: 1, Threads: 1}
	device    = authapi.Device{Address: "192.0.2.7", UserAgent: "curl/8"}
	key       = ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))
)

// fixture is a Service together with the fakes that it uses.
type fixture struct {
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

func newFixture(t *testing.T, changes ...func(*auth.Config)) *fixture {
	t.Helper()
	f := &fixture{
		t: t, users: authtest.NewUsers(), sessions: authtest.NewSessions(), cache: &authtest.Cache{},
		locker: &authtest.Locker{}, clock: authtest.NewClock(authtest.Epoch), keys: &authtest.Keys{}, log: &bytes.Buffer{},
	}
	var err error
	if f.keys.Ring, err = auth.NewKeyring(key); err != nil {
		t.Fatal(err)
	}
	f.config = auth.Config{
		Users: f.users, Sessions: f.sessions, Attempts: memattempts.NewCounter(f.clock), Cache: f.cache, Locker: f.locker,
		Clock: f.clock, IDs: &authtest.IDs{}, Keys: f.keys, Hasher: newHasher(t, cheapHash), Policy: auth.NewPolicy(),
		Pseudonyms: newPseudonyms(t), Log: slog.New(slog.NewTextHandler(f.log, nil)), AccessTTL: accessTTL, SessionTTL: sessionTTL,
	}
	for _, change := range changes {
		change(&f.config)
	}
	if f.Service, err = auth.New(f.config); err != nil {
		t.Fatal(err)
	}
	return f
}

func newPseudonyms(t *testing.T) *auth.Pseudonyms {
	t.Helper()
	p, err := auth.NewPseudonyms([]byte("a secret of at least thirty-two bytes"))
	if err != nil {
		t.Fatal(err)
	}
	return p
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

// register registers user u1.
func (f *fixture) register() authapi.Login {
	f.t.Helper()
	login, err := f.Register(f.t.Context(), registration())
	if err != nil {
		f.t.Fatal(err)
	}
	return login
}

func (f *fixture) logIn() authapi.Login {
	f.t.Helper()
	login, err := f.LogIn(f.t.Context(), authapi.LogInRequest{Email: email, Password: password, Device: device})
	if err != nil {
		f.t.Fatal(err)
	}
	return login
}

func (f *fixture) refresh(refreshToken string) authapi.Tokens {
	f.t.Helper()
	refreshed, err := f.Refresh(f.t.Context(), authapi.RefreshRequest{RefreshToken: refreshToken})
	if err != nil {
		f.t.Fatal(err)
	}
	return refreshed.Tokens
}

// claims returns the claims of a token, which may have expired.
func (f *fixture) claims(raw string) token.Claims {
	f.t.Helper()
	c, err := token.Verify(raw, f.keys.Ring, f.clock.Now())
	if err != nil && !errors.Is(err, token.ErrExpired) {
		f.t.Fatal(err)
	}
	return c
}

// check calls CheckSession for the session of an access token.
func (f *fixture) check(access string) (authapi.CheckedSession, error) {
	f.t.Helper()
	c := f.claims(access)
	return f.CheckSession(f.t.Context(), authapi.CheckSessionRequest{UserID: c.Subject, SessionID: c.SessionID, Lease: "lease"})
}

// family returns the only family of u1.
func (f *fixture) family() auth.Family {
	f.t.Helper()
	us, _, err := f.sessions.Load(f.t.Context(), "u1")
	if err != nil || len(us.Families) != 1 {
		f.t.Fatalf("got %+v, %v, want one family", us, err)
	}
	return us.Families[0]
}

// stored returns a user from the store.
func (f *fixture) stored(id string) auth.User {
	f.t.Helper()
	u, err := f.users.User(f.t.Context(), id)
	if err != nil {
		f.t.Fatal(err)
	}
	return u
}

// countFamilies returns how many families u1 has.
func (f *fixture) countFamilies() int {
	f.t.Helper()
	us, _, err := f.sessions.Load(f.t.Context(), "u1")
	if err != nil {
		f.t.Fatal(err)
	}
	return len(us.Families)
}

// wantRefusal checks the code and the reason that a client gets for err.
func wantRefusal(t *testing.T, what string, err error, code apperr.Code, reason string) {
	t.Helper()
	if e := apperr.From(err); err == nil || e.Code != code || e.Reason != reason {
		t.Errorf("%s: got %v, want %s %s", what, err, code, reason)
	}
}
