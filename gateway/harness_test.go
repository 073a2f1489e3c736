package main_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"boxoffice/gateway"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/lifecycle"
	"boxoffice/shared/redisconn"
	"boxoffice/shared/rpc"
	"boxoffice/shared/sessioncache"
	"boxoffice/shared/telemetry"
	"boxoffice/shared/token"
	"boxoffice/test/kit"
)

// secret is the API token that the sidecar and the apps share.
const secret = "a token of at least sixteen characters"

// harness runs the gateway in this process, with the real server, the real rpc
// client and the real session cache. Redis, the sidecar and the apps are fakes.
type harness struct {
	t       *testing.T
	server  *main.Server
	auth    *fakeAuth
	event   *fakeEvent
	booking *fakeBooking
	redis   *miniredis.Miniredis
	cache   *sessioncache.Cache
	log     *kit.Log
	spans   *tracetest.InMemoryExporter
	started *tracetest.SpanRecorder // also has the spans that have not ended
	metrics *telemetry.Metrics
	now     time.Time // the gateway's clock; real time if it is zero
	private ed25519.PrivateKey

	invoked     sync.Mutex
	invocations []http.Header // of the requests to the sidecar
}

// fakeAuth implements auth's operations. Its fields hold the results to return and
// record the requests.
type fakeAuth struct {
	user     authapi.User
	session  authapi.Session
	fail     error                   // if not nil, the result of every operation except auth.jwks
	checks   int                     // calls to auth.session.check
	register authapi.RegisterRequest // the last request
	login    authapi.LogInRequest    // the last request
	keys     token.KeySet
	fetched  int // calls to auth.jwks
}

// newHarness returns a running harness. The functions in change modify the gateway's
// configuration, which sets no rate limits.
func newHarness(t *testing.T, change ...func(*main.Config)) *harness {
	t.Helper()
	return newSampledHarness(t, 1, change...)
}

// newSampledHarness is like newHarness, but records only a fraction of the traces.
func newSampledHarness(t *testing.T, samplingRatio float64, change ...func(*main.Config)) *harness {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{
		t: t, log: &kit.Log{}, spans: tracetest.NewInMemoryExporter(), started: tracetest.NewSpanRecorder(),
		now: time.Now(), private: private,
	}
	h.auth = &fakeAuth{
		user:    authapi.User{ID: "u1", Email: "ada@example.org", Name: "Ada", Role: authapi.RoleUser, IsActive: true, CreatedAt: contract.At(h.now)},
		session: authapi.Session{ID: "s1", FamilyID: "f1", UserID: "u1", ExpiresAt: contract.At(h.now.Add(time.Hour))},
		keys:    token.NewKeySet(public),
	}
	h.event, h.booking = &fakeEvent{}, &fakeBooking{}
	h.redis = miniredis.RunT(t)
	client, err := redisconn.Open(redisconn.Config{Addr: h.redis.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })

	if h.metrics, err = telemetry.NewMetrics("gateway", "test"); err != nil {
		t.Fatal(err)
	}
	tracing := telemetry.New("gateway", "test", samplingRatio, sdktrace.WithSyncer(h.spans), sdktrace.WithSpanProcessor(h.started))
	log := telemetry.NewLog(h.log, "gateway", "test")
	calls := rpc.NewClient(rpc.ClientConfig{Sidecar: h.sidecar(map[string]http.Handler{
		authapi.App: h.auth.serve(log, tracing), eventapi.App: h.event.serve(log, tracing),
		bookingapi.App: h.booking.serve(log, tracing),
	}), Token: secret, Tracing: tracing})
	t.Cleanup(calls.Close)
	clock := func() time.Time {
		if h.now.IsZero() {
			return time.Now()
		}
		return h.now
	}
	keys := main.NewKeyring(clock, func(ctx context.Context) (token.KeySet, error) {
		return rpc.Call(ctx, calls, authapi.GetKeys, rpc.Nothing{})
	})
	h.cache, err = sessioncache.New(sessioncache.Config{
		Redis: client, Nonce: func() string { return "lease" }, Key: []byte("a secret of at least thirty-two bytes"), Now: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := main.Config{StreamsPerAddress: 10, MaxConnections: 1000, ConnectionsPerAddress: 1000}
	for _, f := range change {
		f(&cfg)
	}
	ready := lifecycle.NewReadiness(time.Second, lifecycle.Check{Name: "auth", Probe: keys.Check})
	h.server = main.NewServer(cfg, main.Deps{
		Log: log, Tracing: tracing, Metrics: h.metrics, Calls: calls, Cache: h.cache, Keys: keys, Ready: ready, Now: clock, AppToken: secret,
	})
	if err := ready.Part(0).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.fetchKeys(keys)
	return h
}

// fetchKeys runs the keyring until it has loaded auth's keys.
func (h *harness) fetchKeys(keys *main.Keyring) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = keys.Run(ctx) }()
	for keys.Check(ctx) != nil {
		select {
		case <-time.After(time.Millisecond):
		case <-h.t.Context().Done():
			h.t.Fatal("keyring: got no keys before the test ended")
		}
	}
	cancel()
	<-done
}

// sidecar starts a fake sidecar that passes each invocation to the handler of its app,
// and returns its URL. It records the headers of all invocations.
func (h *harness) sidecar(apps map[string]http.Handler) string {
	h.t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1.0/invoke/{app}/method/{method}", func(w http.ResponseWriter, r *http.Request) {
		h.invoked.Lock()
		h.invocations = append(h.invocations, r.Header.Clone())
		h.invoked.Unlock()
		r.Header.Set("dapr-api-token", secret)
		r.URL.Path = "/" + r.PathValue("method")
		apps[r.PathValue("app")].ServeHTTP(w, r)
	})
	srv := httptest.NewServer(mux)
	h.t.Cleanup(srv.Close)
	return srv.URL
}

// serve returns the HTTP handler of the fake app.
func (f *fakeAuth) serve(log *slog.Logger, tracing *telemetry.Tracing) http.Handler {
	srv := rpc.NewServer(rpc.ServerConfig{App: authapi.App, Token: secret, Log: log, Tracing: tracing})
	tokens := authapi.Tokens{AccessToken: "a", RefreshToken: "r", TokenType: "Bearer", ExpiresIn: 900}
	rpc.Handle(srv, authapi.Register, func(_ context.Context, r authapi.RegisterRequest) (authapi.Login, error) {
		f.register = r
		return authapi.Login{User: f.user, Tokens: tokens}, f.fail
	})
	rpc.Handle(srv, authapi.LogIn, func(_ context.Context, r authapi.LogInRequest) (authapi.Login, error) {
		f.login = r
		return authapi.Login{User: f.user, Tokens: tokens}, f.fail
	})
	rpc.Handle(srv, authapi.Refresh, func(context.Context, authapi.RefreshRequest) (authapi.Refreshed, error) {
		return authapi.Refreshed{Tokens: tokens}, f.fail
	})
	rpc.Handle(srv, authapi.LogOut, func(context.Context, authapi.LogOutRequest) (rpc.Nothing, error) {
		return rpc.Nothing{}, f.fail
	})
	rpc.Handle(srv, authapi.CheckSession, func(context.Context, authapi.CheckSessionRequest) (authapi.CheckedSession, error) {
		f.checks++
		return authapi.CheckedSession{Session: f.session, User: f.user}, f.fail
	})
	rpc.Handle(srv, authapi.GetKeys, func(context.Context, rpc.Nothing) (token.KeySet, error) {
		f.fetched++
		return f.keys, nil
	})
	return srv
}

// token returns a signed access token of the fake session, with its claims modified
// by change.
func (h *harness) token(change ...func(*token.Claims)) string {
	h.t.Helper()
	c := token.Claims{
		Type: token.Access, Subject: "u1", SessionID: "s1", Email: "ada@example.org", Role: authapi.RoleUser,
		ID: "j1", IssuedAt: h.now.Add(-time.Minute), ExpiresAt: h.now.Add(10 * time.Minute),
	}
	for _, f := range change {
		f(&c)
	}
	raw, err := token.Sign(c, h.private)
	if err != nil {
		h.t.Fatal(err)
	}
	return raw
}

// response is an HTTP response with its body already read.
type response struct {
	*http.Response
	body string
}

// do sends a request and returns its response. headers are alternating names and
// values. A body that is not empty has content type JSON unless headers set another.
func (h *harness) do(method, path, body string, headers ...string) response {
	h.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return h.send(r)
}

// send sends a request and returns its response.
func (h *harness) send(r *http.Request) response {
	h.t.Helper()
	res, err := h.server.Fiber().Test(r, 10_000)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return response{res, string(data)}
}

func (h *harness) get(path string, headers ...string) response {
	h.t.Helper()
	return h.do(http.MethodGet, path, "", headers...)
}

// problem is a problem document as a client decodes it.
type problem struct {
	Type, Title, Detail, Instance, Code, TraceID string
	Status                                       int
	Errors                                       []apperr.Field
}

// wantProblem checks that res is a problem with this status and code. It also checks
// the members and headers that every problem has, and returns the problem document.
func (h *harness) wantProblem(res response, status int, code string) problem {
	h.t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(res.body), &p); err != nil {
		h.t.Fatalf("status %d: %v: %s", res.StatusCode, err, res.body)
	}
	if res.StatusCode != status || p.Status != status || p.Code != code {
		h.t.Errorf("got status %d, %d in the body, %s (%s), want %d %s", res.StatusCode, p.Status, p.Code, p.Detail, status, code)
	}
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		h.t.Errorf("Content-Type: got %q, want application/problem+json", got)
	}
	if p.Type == "" || p.Title == "" || p.Detail == "" || p.Instance == "" || len(p.TraceID) != 32 {
		h.t.Errorf("got problem %s, want type, title, detail, instance and traceId", res.body)
	}
	if !strings.Contains(res.Header.Get("Traceparent"), p.TraceID) {
		h.t.Errorf("Traceparent: got %q, want the trace id of the problem, %s", res.Header.Get("Traceparent"), p.TraceID)
	}
	wantHeaders(h.t, res)
	return p
}

// wantHeaders checks the headers that every response has.
func wantHeaders(t *testing.T, res response) {
	t.Helper()
	for _, name := range []string{"X-Request-Id", "Traceparent", "X-Content-Type-Options", "Content-Security-Policy", "Cache-Control"} {
		if len(res.Header.Values(name)) != 1 || res.Header.Get(name) == "" {
			t.Errorf("%s: got %q, want one value", name, res.Header.Values(name))
		}
	}
	switch res.StatusCode {
	case http.StatusUnauthorized:
		if got := res.Header.Get("WWW-Authenticate"); got != "Bearer" {
			t.Errorf("WWW-Authenticate: got %q, want Bearer", got)
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if res.Header.Get("Retry-After") == "" {
			t.Error("Retry-After: got none, want a number of seconds")
		}
	}
}
