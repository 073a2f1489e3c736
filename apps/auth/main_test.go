package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/sessioncache"
	"boxoffice/shared/token"
	"boxoffice/test/servers"
)

const (
	apiToken = "asked for by the sidecar"
	appToken = "shown to the app by the sidecar"
	boss     = "boss@example.com"
	secret   = "a rather long secret"
	patience = 20 * time.Second
)

// program is auth as it runs, with its sidecar, its database and a Redis.
type program struct {
	*rpc.Client
	keys  token.Ring
	cache *sessioncache.Cache
	drop  func() // ends Redis
}

func startProgram(t *testing.T) program {
	t.Helper()
	mongo, redisServer := servers.StartMongo(t), servers.StartRedis(t)
	port := servers.FreePort(t)
	sidecar := servers.StartSidecar(t, servers.SidecarConfig{
		AppID: "auth", AppPort: port, APIToken: apiToken, AppToken: appToken,
		Components: []string{
			servers.Component("statestore", "state.mongodb",
				"connectionString", mongo.URI, "databaseName", mongo.Database, "collectionName", "sessions", "writeconcern", "majority"),
			servers.Component("lock", "lock.redis", "redisHost", redisServer.Addr(), "redisPassword", "",
				"redisMaxRetries", "-1", "dialTimeout", "100ms", "readTimeout", "200ms", "writeTimeout", "200ms"),
			servers.Component("secrets", "secretstores.local.file", "secretsFile", secretsFile(t)),
		},
	})
	env := map[string]string{
		"APP_PORT": strconv.Itoa(port), "DAPR_HTTP_PORT": strconv.Itoa(sidecar.HTTPPort), "DAPR_GRPC_PORT": strconv.Itoa(sidecar.GRPCPort),
		"DAPR_API_TOKEN": apiToken, "APP_API_TOKEN": appToken,
		"MONGO_URI": mongo.URI, "MONGO_DATABASE": mongo.Database, "REDIS_ADDR": redisServer.Addr(),
		"ADMIN_EMAIL": boss, "ADMIN_PASSWORD": secret,
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, func(name string) string { return env[name] }, t.Output()) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("auth ended with: %v", err)
		}
	})
	awaitReady(t, "http://127.0.0.1:"+env["APP_PORT"]+"/readyz", ended)

	p := program{
		Client: rpc.NewClient(rpc.ClientConfig{Sidecar: sidecar.URL(), Token: apiToken, Tracing: noop.NewTracerProvider()}),
		drop:   redisServer.Close,
	}
	t.Cleanup(p.Close)
	set, err := rpc.Call(t.Context(), p.Client, authapi.GetKeys, rpc.Nothing{})
	if err != nil {
		t.Fatal(err)
	}
	if p.keys, err = token.NewRing(set); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: redisServer.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	p.cache = sessioncache.New(client, rand.Text)
	return p
}

func awaitReady(t *testing.T, url string, ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := http.DefaultClient.Do(r); err == nil {
			_ = res.Body.Close()
			if res.StatusCode/100 == 2 {
				return
			}
		}
		select {
		case <-tick.C:
		case err := <-ended:
			t.Fatalf("auth ended: %v", err)
		case <-ctx.Done():
			t.Fatal("auth does not become ready")
		}
	}
}

// eventually waits until a thing is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !so(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not so: %s", what)
		}
	}
}

func secretsFile(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(map[string]string{
		signingKey: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "secrets.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func call[Req, Res any](t *testing.T, p program, op rpc.Op[Req, Res], req Req) Res {
	t.Helper()
	res, err := rpc.Call(t.Context(), p.Client, op, req)
	if err != nil {
		t.Fatalf("%s: %v", op.Method, err)
	}
	return res
}

func (p program) claims(t *testing.T, raw string) token.Claims {
	t.Helper()
	c, err := token.Verify(raw, p.keys, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (p program) look(t *testing.T, c token.Claims) sessioncache.Known {
	t.Helper()
	_, known, err := p.cache.Look(t.Context(), sessioncache.Question{SessionID: c.SessionID, UserID: c.Subject})
	if err != nil {
		t.Fatal(err)
	}
	return known
}

// The whole program through its sidecar: what the gateway sees of a log-in.
func TestProgram(t *testing.T) {
	p := startProgram(t)
	device := authapi.Device{Address: "192.0.2.7", UserAgent: "curl/8"}
	t.Run("a session's life", func(t *testing.T) {
		registered := call(t, p, authapi.Register, authapi.RegisterRequest{
			UserID: "u1", Email: "Ann@example.com", Password: "correct horse battery", Name: "Ann", Device: device,
		})
		login := call(t, p, authapi.LogIn, authapi.LogInRequest{Email: "ann@example.com", Password: "correct horse battery", Device: device})
		if login.User != registered.User {
			t.Errorf("got %+v, want %+v", login.User, registered.User)
		}
		c := p.claims(t, login.Tokens.AccessToken)
		var checked authapi.CheckedSession
		// Redis is a help: on a busy machine a fill may not come through.
		eventually(t, "the session and its user are known", func() bool {
			known := p.look(t, c)
			checked = call(t, p, authapi.CheckSession, authapi.CheckSessionRequest{UserID: c.Subject, SessionID: c.SessionID, Lease: known.Lease})
			return known.Session != nil && *known.Session == checked.Session && known.User != nil && *known.User == login.User
		})
		refreshed := fiftyRefreshes(t, p, login.Tokens.RefreshToken)
		eventually(t, "the replaced session is known to be over", func() bool { return p.look(t, c).Ended })
		call(t, p, authapi.LogOut, authapi.LogOutRequest{RefreshToken: refreshed.RefreshToken})
		next := p.claims(t, refreshed.AccessToken)
		eventually(t, "the session is known to be over", func() bool { return p.look(t, next).Ended })
		_, err := rpc.Call(t.Context(), p.Client, authapi.CheckSession, authapi.CheckSessionRequest{UserID: next.Subject, SessionID: next.SessionID})
		if apperr.From(err).Reason != authapi.ReasonSessionInvalid {
			t.Errorf("got %v", err)
		}
	})
	t.Run("registrations race for an address", func(t *testing.T) {
		reasons := together(20, func(i int) error {
			_, err := rpc.Call(t.Context(), p.Client, authapi.Register, authapi.RegisterRequest{
				UserID: fmt.Sprint("racer", i), Email: "race@example.com", Password: "correct horse battery", Name: "Racer", Device: device,
			})
			return err
		})
		if reasons["none"] != 1 || reasons[authapi.ReasonEmailTaken] != 19 {
			t.Errorf("got %v", reasons)
		}
	})
	t.Run("parallel guesses", func(t *testing.T) {
		reasons := together(60, func(int) error {
			_, err := rpc.Call(t.Context(), p.Client, authapi.LogIn, authapi.LogInRequest{
				Email: "race@example.com", Password: "wrong password", Device: authapi.Device{Address: "198.51.100.1"},
			})
			return err
		})
		// On a busy machine Redis may be given up for a second, and then the
		// process counts to five by itself.
		looked := reasons[authapi.ReasonInvalidCredentials]
		if looked < 5 || looked > 10 || looked+reasons[authapi.ReasonLocked] != 60 {
			t.Errorf("got %v", reasons)
		}
	})
	t.Run("parallel log-ins", func(t *testing.T) {
		tokens := make([]authapi.Tokens, 9)
		reasons := together(len(tokens), func(i int) error {
			login, err := rpc.Call(t.Context(), p.Client, authapi.LogIn, authapi.LogInRequest{
				Email: "race@example.com", Password: "correct horse battery", Device: device,
			})
			tokens[i] = login.Tokens
			return err
		})
		if reasons["none"] != len(tokens) {
			t.Fatalf("got %v", reasons)
		}
		for _, tk := range tokens {
			c := p.claims(t, tk.AccessToken)
			call(t, p, authapi.CheckSession, authapi.CheckSessionRequest{UserID: c.Subject, SessionID: c.SessionID})
		}
	})
	t.Run("the first admin", func(t *testing.T) {
		login := call(t, p, authapi.LogIn, authapi.LogInRequest{Email: boss, Password: secret, Device: device})
		if login.User.Role != authapi.RoleAdmin {
			t.Errorf("got %+v", login.User)
		}
	})
	t.Run("without Redis", func(t *testing.T) {
		p.drop()
		login := call(t, p, authapi.LogIn, authapi.LogInRequest{Email: boss, Password: secret, Device: device})
		c := p.claims(t, login.Tokens.AccessToken)
		call(t, p, authapi.CheckSession, authapi.CheckSessionRequest{UserID: c.Subject, SessionID: c.SessionID, Lease: "x"})
		for range 5 {
			_, err := rpc.Call(t.Context(), p.Client, authapi.LogIn, authapi.LogInRequest{Email: boss, Password: "wrong password", Device: device})
			if apperr.From(err).Reason != authapi.ReasonInvalidCredentials {
				t.Fatal(err)
			}
		}
		_, err := rpc.Call(t.Context(), p.Client, authapi.LogIn, authapi.LogInRequest{Email: boss, Password: secret, Device: device})
		if apperr.From(err).Reason != authapi.ReasonLocked {
			t.Errorf("got %v", err)
		}
	})
}

// together runs fn so many times at once and counts the reasons of its errors.
func together(n int, fn func(i int) error) map[string]int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	reasons := map[string]int{}
	for i := range n {
		wg.Go(func() {
			reason := "none"
			if err := fn(i); err != nil {
				reason = apperr.From(err).Reason
			}
			mu.Lock()
			defer mu.Unlock()
			reasons[reason]++
		})
	}
	wg.Wait()
	return reasons
}

// fiftyRefreshes refreshes at once and returns the one answer.
func fiftyRefreshes(t *testing.T, p program, refreshToken string) authapi.Tokens {
	t.Helper()
	answers := make([]authapi.Tokens, 50)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			res, err := rpc.Call(t.Context(), p.Client, authapi.Refresh, authapi.RefreshRequest{RefreshToken: refreshToken})
			if err != nil {
				t.Error(err)
			}
			answers[i] = res.Tokens
		})
	}
	wg.Wait()
	if different := slices.Compact(slices.Clone(answers)); len(different) != 1 {
		t.Fatalf("%d different answers", len(different))
	}
	return answers[0]
}

func TestRefusesToStart(t *testing.T) {
	err := run(t.Context(), func(string) string { return "" }, t.Output())
	if err == nil {
		t.Fatal("started with nothing")
	}
}
