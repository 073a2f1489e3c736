package transport_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/apps/auth/internal/authtest"
	"boxoffice/apps/auth/internal/memattempts"
	"boxoffice/apps/auth/internal/transport"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/token"
	"boxoffice/test/kit"
)

const (
	email    = "ann@example.com"
	password = "correct horse battery"
	appToken = "sent by the sidecar"
)

var device = authapi.Device{Address: "192.0.2.7", UserAgent: "curl/8"}

// fixture is auth with fakes for its ports. The client calls it over HTTP as a sidecar
// does.
type fixture struct {
	client *rpc.Client
	users  *authtest.Users
	clock  *authtest.Clock
	keys   *authtest.Keys
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{users: authtest.NewUsers(), clock: authtest.NewClock(authtest.Epoch), keys: &authtest.Keys{}}
	hasher, err := auth.NewHasher(auth.HashParams{Memory: 64, Passes: 1, Threads: 1}, 2, 100)
	if err != nil {
		t.Fatal(err)
	}
	if f.keys.Ring, err = auth.NewKeyring(ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))); err != nil {
		t.Fatal(err)
	}
	pseudonyms, err := auth.NewPseudonyms([]byte("a secret of at least thirty-two bytes"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	svc, err := auth.New(auth.Config{
		Users: f.users, Sessions: authtest.NewSessions(), Attempts: memattempts.NewCounter(f.clock), Cache: &authtest.Cache{},
		Locker: &authtest.Locker{}, Clock: f.clock, IDs: &authtest.IDs{}, Keys: f.keys, Hasher: hasher,
		Policy: auth.NewPolicy(), Pseudonyms: pseudonyms, Log: log, AccessTTL: 15 * time.Minute, SessionTTL: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := rpc.NewServer(rpc.ServerConfig{App: authapi.App, Token: appToken, Log: log, Tracing: noop.NewTracerProvider()})
	transport.Bind(srv, svc)
	sidecar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = strings.TrimPrefix(r.URL.Path, "/v1.0/invoke/auth/method")
		r.Header.Set("dapr-api-token", appToken)
		srv.ServeHTTP(w, r)
	}))
	t.Cleanup(sidecar.Close)
	f.client = rpc.NewClient(rpc.ClientConfig{Sidecar: sidecar.URL, Token: "checked by the sidecar", Tracing: noop.NewTracerProvider()})
	t.Cleanup(f.client.Close)
	return f
}

func registration() authapi.RegisterRequest {
	return authapi.RegisterRequest{UserID: "u1", Email: email, Password: password, Name: "Ann", Device: device}
}

func TestOperationsServeASessionFromRegistrationToLogOut(t *testing.T) {
	f := newFixture(t)
	registered := kit.Call(t, f.client, authapi.Register, registration())
	want := authapi.User{ID: "u1", Email: email, Name: "Ann", Role: "user", IsActive: true, CreatedAt: contract.At(authtest.Epoch)}
	if registered.User != want {
		t.Errorf("got %+v, want %+v", registered.User, want)
	}
	login := kit.Call(t, f.client, authapi.LogIn, authapi.LogInRequest{Email: email, Password: password, Device: device})
	if login.User != want || login.Tokens.TokenType != "Bearer" || login.Tokens.ExpiresIn != 900 {
		t.Errorf("got %+v, want user %+v and a Bearer token for 900 s", login, want)
	}
	ring, err := token.NewRing(kit.Call(t, f.client, authapi.GetKeys, rpc.Nothing{}))
	if err != nil {
		t.Fatal(err)
	}
	refreshed := kit.Call(t, f.client, authapi.Refresh, authapi.RefreshRequest{RefreshToken: login.Tokens.RefreshToken})
	claims, err := token.Verify(refreshed.Tokens.AccessToken, ring, f.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	checked := kit.Call(t, f.client, authapi.CheckSession, authapi.CheckSessionRequest{UserID: claims.Subject, SessionID: claims.SessionID})
	wantSession := authapi.Session{
		ID: claims.SessionID, FamilyID: checked.Session.FamilyID, UserID: "u1", ExpiresAt: contract.At(authtest.Epoch.Add(time.Hour)),
	}
	if checked.User != want || checked.Session != wantSession || checked.Session.FamilyID == "" {
		t.Errorf("got %+v, want %+v of %+v", checked, wantSession, want)
	}
	kit.Call(t, f.client, authapi.LogOut, authapi.LogOutRequest{RefreshToken: refreshed.Tokens.RefreshToken})
	_, err = rpc.Call(t.Context(), f.client, authapi.CheckSession, authapi.CheckSessionRequest{UserID: "u1", SessionID: claims.SessionID})
	wantRefusal(t, "after the log-out", err, apperr.Unauthenticated, authapi.ReasonSessionInvalid)
}

// wantRefusal checks the code and the reason that a client gets for err.
func wantRefusal(t *testing.T, what string, err error, code apperr.Code, reason string) {
	t.Helper()
	if e := apperr.From(err); err == nil || e.Code != code || e.Reason != reason {
		t.Errorf("%s: got %v, want %s %s", what, err, code, reason)
	}
}

func TestRefusalsKeepTheirCodeAndReasonOnTheWire(t *testing.T) {
	register := func(change func(*authapi.RegisterRequest)) func(context.Context, *fixture) error {
		return func(ctx context.Context, f *fixture) error {
			r := registration()
			r.UserID = "u2"
			change(&r)
			_, err := rpc.Call(ctx, f.client, authapi.Register, r)
			return err
		}
	}
	logIn := func(ctx context.Context, f *fixture, password string) error {
		_, err := rpc.Call(ctx, f.client, authapi.LogIn, authapi.LogInRequest{Email: email, Password: password, Device: device})
		return err
	}
	tests := []struct {
		name   string
		call   func(context.Context, *fixture) error
		code   apperr.Code
		reason string
	}{
		{"taken e-mail address", register(func(*authapi.RegisterRequest) {}), apperr.Invalid, "auth.email_taken"},
		{"weak password", register(func(r *authapi.RegisterRequest) { r.Password = "password1" }), apperr.Invalid, "auth.weak_password"},
		{"short password", register(func(r *authapi.RegisterRequest) { r.Password = "short" }), apperr.Invalid, "invalid"},
		{"admin role", register(func(r *authapi.RegisterRequest) { r.Role = "admin" }), apperr.Forbidden, "auth.admin_required"},
		{"wrong password", func(ctx context.Context, f *fixture) error { return logIn(ctx, f, "wrong password") }, apperr.Unauthenticated, "auth.invalid_credentials"},
		{"locked account", func(ctx context.Context, f *fixture) error {
			for range 5 {
				_ = logIn(ctx, f, "wrong password")
			}
			err := logIn(ctx, f, password)
			if got := apperr.From(err).RetryAfter; got != time.Minute {
				return errors.Join(fmt.Errorf("got a Retry-After of %s, want a minute", got), err)
			}
			return err
		}, apperr.RateLimited, "auth.locked"},
		{"invalid refresh token", func(ctx context.Context, f *fixture) error {
			_, err := rpc.Call(ctx, f.client, authapi.Refresh, authapi.RefreshRequest{RefreshToken: "x"})
			return err
		}, apperr.Unauthenticated, "auth.refresh_invalid"},
		{"log-out with an invalid token", func(ctx context.Context, f *fixture) error {
			_, err := rpc.Call(ctx, f.client, authapi.LogOut, authapi.LogOutRequest{RefreshToken: "x"})
			return err
		}, apperr.Invalid, "auth.session_not_found"},
		{"unknown session", func(ctx context.Context, f *fixture) error {
			_, err := rpc.Call(ctx, f.client, authapi.CheckSession, authapi.CheckSessionRequest{UserID: "u1", SessionID: "x"})
			return err
		}, apperr.Unauthenticated, "auth.session_invalid"},
		{"unreachable store", func(ctx context.Context, f *fixture) error {
			f.users.Err = apperr.Unreachable(errors.New("gone"))
			return logIn(ctx, f, password)
		}, apperr.Unavailable, "unavailable"},
	}
	for _, tt := range tests {
		f := newFixture(t)
		kit.Call(t, f.client, authapi.Register, registration())
		wantRefusal(t, tt.name, tt.call(t.Context(), f), tt.code, tt.reason)
	}
}

// A client must not be able to find out which e-mail addresses are registered.
func TestUnknownAddressAndWrongPasswordGetTheSameRefusal(t *testing.T) {
	f := newFixture(t)
	kit.Call(t, f.client, authapi.Register, registration())
	_, wrong := rpc.Call(t.Context(), f.client, authapi.LogIn, authapi.LogInRequest{Email: email, Password: "wrong password"})
	_, unknown := rpc.Call(t.Context(), f.client, authapi.LogIn, authapi.LogInRequest{Email: "ben@example.com", Password: password})
	if wrong == nil || unknown == nil || wrong.Error() != unknown.Error() {
		t.Errorf("got %v for a wrong password and %v for an unknown address, want the same", wrong, unknown)
	}
}
