package transport_test

import (
	"context"
	"crypto/ed25519"
	"errors"
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
)

const (
	email    = "ann@example.com"
	password = "correct horse battery"
	appToken = "shown by the sidecar"
)

var device = authapi.Device{Address: "192.0.2.7", UserAgent: "curl/8"}

// world is auth with fakes for its ports, called over HTTP as a sidecar would.
type world struct {
	client *rpc.Client
	users  *authtest.Users
	clock  *authtest.Clock
	keys   *authtest.Keys
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{users: authtest.NewUsers(), clock: authtest.NewClock(authtest.Epoch), keys: &authtest.Keys{}}
	hasher, err := auth.NewHasher(auth.HashParams{Memory: 64, Passes: 1, Threads: 1}, 2, 100)
	if err != nil {
		t.Fatal(err)
	}
	if w.keys.Ring, err = auth.NewKeyring(ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	svc, err := auth.New(auth.Config{
		Users: w.users, Sessions: authtest.NewSessions(), Attempts: memattempts.NewCounter(w.clock), Cache: &authtest.Cache{},
		Locker: &authtest.Locker{}, Clock: w.clock, IDs: &authtest.IDs{}, Keys: w.keys, Hasher: hasher,
		Policy: auth.NewPolicy(), Log: log, AccessTTL: 15 * time.Minute, SessionTTL: time.Hour,
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
	w.client = rpc.NewClient(rpc.ClientConfig{Sidecar: sidecar.URL, Token: "asked for by the sidecar", Tracing: noop.NewTracerProvider()})
	t.Cleanup(w.client.Close)
	return w
}

func call[Req, Res any](t *testing.T, w *world, op rpc.Op[Req, Res], req Req) Res {
	t.Helper()
	res, err := rpc.Call(t.Context(), w.client, op, req)
	if err != nil {
		t.Fatalf("%s: %v", op.Method, err)
	}
	return res
}

func registration() authapi.RegisterRequest {
	return authapi.RegisterRequest{UserID: "u1", Email: email, Password: password, Name: "Ann", Device: device}
}

func TestJourney(t *testing.T) {
	w := newWorld(t)
	registered := call(t, w, authapi.Register, registration())
	want := authapi.User{ID: "u1", Email: email, Name: "Ann", Role: "user", IsActive: true, CreatedAt: contract.At(authtest.Epoch)}
	if registered.User != want {
		t.Errorf("got %+v, want %+v", registered.User, want)
	}
	login := call(t, w, authapi.LogIn, authapi.LogInRequest{Email: email, Password: password, Device: device})
	if login.User != want || login.Tokens.TokenType != "Bearer" || login.Tokens.ExpiresIn != 900 {
		t.Errorf("got %+v", login)
	}
	ring, err := token.NewRing(call(t, w, authapi.GetKeys, rpc.Nothing{}))
	if err != nil {
		t.Fatal(err)
	}
	refreshed := call(t, w, authapi.Refresh, authapi.RefreshRequest{RefreshToken: login.Tokens.RefreshToken})
	claims, err := token.Verify(refreshed.Tokens.AccessToken, ring, w.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	checked := call(t, w, authapi.CheckSession, authapi.CheckSessionRequest{UserID: claims.Subject, SessionID: claims.SessionID})
	wantSession := authapi.Session{
		ID: claims.SessionID, FamilyID: checked.Session.FamilyID, UserID: "u1", ExpiresAt: contract.At(authtest.Epoch.Add(time.Hour)),
	}
	if checked.User != want || checked.Session != wantSession || checked.Session.FamilyID == "" {
		t.Errorf("got %+v", checked)
	}
	call(t, w, authapi.LogOut, authapi.LogOutRequest{RefreshToken: refreshed.Tokens.RefreshToken})
	_, err = rpc.Call(t.Context(), w.client, authapi.CheckSession, authapi.CheckSessionRequest{UserID: "u1", SessionID: claims.SessionID})
	refused(t, "after the end", err, apperr.Unauthenticated, authapi.ReasonSessionInvalid)
}

func refused(t *testing.T, what string, err error, code apperr.Code, reason string) {
	t.Helper()
	if e := apperr.From(err); err == nil || e.Code != code || e.Reason != reason {
		t.Errorf("%s: got %v, want %s %s", what, err, code, reason)
	}
}

// Every refusal crosses with its code and reason.
func TestRefusals(t *testing.T) {
	register := func(change func(*authapi.RegisterRequest)) func(context.Context, *world) error {
		return func(ctx context.Context, w *world) error {
			r := registration()
			r.UserID = "u2"
			change(&r)
			_, err := rpc.Call(ctx, w.client, authapi.Register, r)
			return err
		}
	}
	logIn := func(ctx context.Context, w *world, password string) error {
		_, err := rpc.Call(ctx, w.client, authapi.LogIn, authapi.LogInRequest{Email: email, Password: password, Device: device})
		return err
	}
	tests := []struct {
		name   string
		ask    func(context.Context, *world) error
		code   apperr.Code
		reason string
	}{
		{"taken", register(func(*authapi.RegisterRequest) {}), apperr.Invalid, "auth.email_taken"},
		{"weak", register(func(r *authapi.RegisterRequest) { r.Password = "password1" }), apperr.Invalid, "auth.weak_password"},
		{"short", register(func(r *authapi.RegisterRequest) { r.Password = "short" }), apperr.Invalid, "invalid"},
		{"admin", register(func(r *authapi.RegisterRequest) { r.Role = "admin" }), apperr.Forbidden, "auth.admin_required"},
		{"wrong password", func(ctx context.Context, w *world) error { return logIn(ctx, w, "wrong password") }, apperr.Unauthenticated, "auth.invalid_credentials"},
		{"locked", func(ctx context.Context, w *world) error {
			for range 5 {
				_ = logIn(ctx, w, "wrong password")
			}
			err := logIn(ctx, w, password)
			if got := apperr.From(err).RetryAfter; got != time.Minute {
				return errors.Join(errors.New("retry after "+got.String()), err)
			}
			return err
		}, apperr.RateLimited, "auth.locked"},
		{"refresh", func(ctx context.Context, w *world) error {
			_, err := rpc.Call(ctx, w.client, authapi.Refresh, authapi.RefreshRequest{RefreshToken: "x"})
			return err
		}, apperr.Unauthenticated, "auth.refresh_invalid"},
		{"log out", func(ctx context.Context, w *world) error {
			_, err := rpc.Call(ctx, w.client, authapi.LogOut, authapi.LogOutRequest{RefreshToken: "x"})
			return err
		}, apperr.Invalid, "auth.session_not_found"},
		{"session", func(ctx context.Context, w *world) error {
			_, err := rpc.Call(ctx, w.client, authapi.CheckSession, authapi.CheckSessionRequest{UserID: "u1", SessionID: "x"})
			return err
		}, apperr.Unauthenticated, "auth.session_invalid"},
		{"a store lost", func(ctx context.Context, w *world) error {
			w.users.Err = apperr.Unreachable(errors.New("gone"))
			return logIn(ctx, w, password)
		}, apperr.Unavailable, "unavailable"},
	}
	for _, tt := range tests {
		w := newWorld(t)
		call(t, w, authapi.Register, registration())
		refused(t, tt.name, tt.ask(t.Context(), w), tt.code, tt.reason)
	}
}

// The answers to a wrong password and to an unknown address are the same bytes.
func TestUnknownAndWrongAreTheSame(t *testing.T) {
	w := newWorld(t)
	call(t, w, authapi.Register, registration())
	_, wrong := rpc.Call(t.Context(), w.client, authapi.LogIn, authapi.LogInRequest{Email: email, Password: "wrong password"})
	_, unknown := rpc.Call(t.Context(), w.client, authapi.LogIn, authapi.LogInRequest{Email: "ben@example.com", Password: password})
	if wrong == nil || unknown == nil || wrong.Error() != unknown.Error() {
		t.Errorf("wrong: %v\nunknown: %v", wrong, unknown)
	}
}
