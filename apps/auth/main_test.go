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
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/sessioncache"
	"boxoffice/shared/token"
	"boxoffice/test/kit"
	"boxoffice/test/servers"
)

const (
	apiToken      = "checked by the sidecar"
	appToken      = "sent to the app by the sidecar"
	adminEmail    = "boss@example.com"
	adminPassword = "a rather long secret"
	waitTimeout   = 20 * time.Second

	sessionCacheKey = "a secret of at least thirty-two bytes"
)

// program is a running auth app with its sidecar, a MongoDB and a Redis. Its Client
// calls auth through the sidecar.
type program struct {
	*rpc.Client
	keys      token.Ring
	cache     *sessioncache.Cache
	stopRedis func()
}

func startProgram(t *testing.T) program {
	t.Helper()
	mongo, redisServer := servers.StartMongo(t), servers.StartRedis(t)
	port := kit.FreePort(t)
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
		"METRICS_PORT": strconv.Itoa(kit.FreePort(t)), "DAPR_API_TOKEN": apiToken, "APP_API_TOKEN": appToken,
		"MONGO_URI": mongo.URI, "MONGO_DATABASE": mongo.Database, "REDIS_ADDR": redisServer.Addr(),
		"ADMIN_EMAIL": adminEmail, "ADMIN_PASSWORD": adminPassword,
		"SESSION_CACHE_KEY": sessionCacheKey,
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		defer close(ended) // the cleanup receives, even if the wait for readiness has done so
		ended <- run(ctx, func(name string) string { return env[name] }, t.Output())
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run: got %v, want no error", err)
		}
	})
	awaitReady(t, "http://127.0.0.1:"+env["APP_PORT"]+"/readyz", ended)

	p := program{
		Client:    rpc.NewClient(rpc.ClientConfig{Sidecar: sidecar.URL(), Token: apiToken, Tracing: noop.NewTracerProvider()}),
		stopRedis: redisServer.Close,
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
	p.cache, err = sessioncache.New(sessioncache.Config{Redis: client, Nonce: rand.Text, Key: []byte(sessionCacheKey), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func awaitReady(t *testing.T, url string, ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	kit.Eventually(t, waitTimeout, "auth is ready", func() error {
		select {
		case err := <-ended:
			t.Fatalf("auth ended before it was ready: %v", err)
		default:
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if res.StatusCode/100 != 2 {
			return fmt.Errorf("got status %d, want 2xx", res.StatusCode)
		}
		return nil
	})
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

func (p program) claims(t *testing.T, raw string) token.Claims {
	t.Helper()
	c, err := token.Verify(raw, p.keys, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (p program) lookup(t *testing.T, c token.Claims) sessioncache.Entry {
	t.Helper()
	_, entry, err := p.cache.Lookup(t.Context(), sessioncache.Request{SessionID: c.SessionID, UserID: c.Subject})
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// The test calls auth through its sidecar and reads the session cache as the gateway
// does.
func TestProgramWorksThroughItsSidecar(t *testing.T) {
	p := startProgram(t)
	device := authapi.Device{Address: "192.0.2.7", UserAgent: "curl/8"}
	t.Run("a session from registration to log-out", func(t *testing.T) {
		registered := kit.Call(t, p.Client, authapi.Register, authapi.RegisterRequest{
			UserID: "u1", Email: "Ann@example.com", Password: "correct horse battery", Name: "Ann", Device: device,
		})
		login := kit.Call(t, p.Client, authapi.LogIn, authapi.LogInRequest{Email: "ann@example.com", Password: "correct horse battery", Device: device})
		if login.User != registered.User {
			t.Errorf("got %+v, want %+v", login.User, registered.User)
		}
		c := p.claims(t, login.Tokens.AccessToken)
		var checked authapi.CheckedSession
		// A fill is best effort: on a busy machine it may time out.
		kit.Eventually(t, waitTimeout, "the session and its user are cached", func() bool {
			entry := p.lookup(t, c)
			checked = kit.Call(t, p.Client, authapi.CheckSession, authapi.CheckSessionRequest{UserID: c.Subject, SessionID: c.SessionID, Lease: entry.Lease})
			return entry.Session != nil && *entry.Session == checked.Session && entry.User != nil && *entry.User == login.User
		})
		refreshed := refreshConcurrently(t, p, login.Tokens.RefreshToken)
		kit.Eventually(t, waitTimeout, "the replaced session has a tombstone", func() bool { return p.lookup(t, c).Ended })
		kit.Call(t, p.Client, authapi.LogOut, authapi.LogOutRequest{RefreshToken: refreshed.RefreshToken})
		next := p.claims(t, refreshed.AccessToken)
		kit.Eventually(t, waitTimeout, "the ended session has a tombstone", func() bool { return p.lookup(t, next).Ended })
		_, err := rpc.Call(t.Context(), p.Client, authapi.CheckSession, authapi.CheckSessionRequest{UserID: next.Subject, SessionID: next.SessionID})
		if apperr.From(err).Reason != authapi.ReasonSessionInvalid {
			t.Errorf("got %v, want %s", err, authapi.ReasonSessionInvalid)
		}
	})
	t.Run("concurrent registrations of an address have one winner", func(t *testing.T) {
		// Each one computes a hash. With the race detector, on a busy machine, more of them
		// would not all be done before the operation's timeout.
		const racers = 6
		reasons := kit.Outcomes(racers, func(i int) error {
			_, err := rpc.Call(t.Context(), p.Client, authapi.Register, authapi.RegisterRequest{
				UserID: fmt.Sprint("racer", i), Email: "race@example.com", Password: "correct horse battery", Name: "Racer", Device: device,
			})
			return err
		})
		if reasons["none"] != 1 || reasons[authapi.ReasonEmailTaken] != racers-1 {
			t.Errorf("got %v, want one success and %d %s", reasons, racers-1, authapi.ReasonEmailTaken)
		}
	})
	t.Run("concurrent guesses are locked out", func(t *testing.T) {
		guess := authapi.LogInRequest{
			Email: "race@example.com", Password: "wrong password", Device: authapi.Device{Address: "198.51.100.1"},
		}
		reasons := kit.Outcomes(60, func(int) error {
			_, err := rpc.Call(t.Context(), p.Client, authapi.LogIn, guess)
			return err
		})
		// On a busy machine a command to Redis may time out. For the next second, auth
		// then uses its own counter, which admits another five guesses. A guess may also
		// time out while it waits for the others.
		verified := reasons[authapi.ReasonInvalidCredentials]
		if verified > 10 || verified+reasons[authapi.ReasonLocked]+reasons[string(apperr.Timeout)] != 60 {
			t.Errorf("got %v, want at most 10 verified and the others locked or timed out", reasons)
		}
		kit.Eventually(t, waitTimeout, "a further guess is locked out", func() error {
			_, err := rpc.Call(t.Context(), p.Client, authapi.LogIn, guess)
			if reason := apperr.From(err).Reason; reason != authapi.ReasonLocked {
				return fmt.Errorf("got %v, want %s", err, authapi.ReasonLocked)
			}
			return nil
		})
	})
	t.Run("concurrent log-ins all succeed", func(t *testing.T) {
		tokens := make([]authapi.Tokens, 9)
		reasons := kit.Outcomes(len(tokens), func(i int) error {
			login, err := rpc.Call(t.Context(), p.Client, authapi.LogIn, authapi.LogInRequest{
				Email: "race@example.com", Password: "correct horse battery", Device: device,
			})
			tokens[i] = login.Tokens
			return err
		})
		if reasons["none"] != len(tokens) {
			t.Fatalf("got %v, want successes only", reasons)
		}
		for _, tk := range tokens {
			c := p.claims(t, tk.AccessToken)
			kit.Call(t, p.Client, authapi.CheckSession, authapi.CheckSessionRequest{UserID: c.Subject, SessionID: c.SessionID})
		}
	})
	t.Run("the first admin can log in", func(t *testing.T) {
		login := kit.Call(t, p.Client, authapi.LogIn, authapi.LogInRequest{Email: adminEmail, Password: adminPassword, Device: device})
		if login.User.Role != authapi.RoleAdmin {
			t.Errorf("got %+v, want an admin", login.User)
		}
	})
	t.Run("log-ins and lockout work without Redis", func(t *testing.T) {
		p.stopRedis()
		login := kit.Call(t, p.Client, authapi.LogIn, authapi.LogInRequest{Email: adminEmail, Password: adminPassword, Device: device})
		c := p.claims(t, login.Tokens.AccessToken)
		kit.Call(t, p.Client, authapi.CheckSession, authapi.CheckSessionRequest{UserID: c.Subject, SessionID: c.SessionID, Lease: "x"})
		for range 5 {
			_, err := rpc.Call(t.Context(), p.Client, authapi.LogIn, authapi.LogInRequest{Email: adminEmail, Password: "wrong password", Device: device})
			if apperr.From(err).Reason != authapi.ReasonInvalidCredentials {
				t.Fatalf("got %v, want %s", err, authapi.ReasonInvalidCredentials)
			}
		}
		_, err := rpc.Call(t.Context(), p.Client, authapi.LogIn, authapi.LogInRequest{Email: adminEmail, Password: adminPassword, Device: device})
		if apperr.From(err).Reason != authapi.ReasonLocked {
			t.Errorf("got %v, want %s", err, authapi.ReasonLocked)
		}
	})
}

// refreshConcurrently sends fifty refreshes of one token at the same time, checks that
// all responses have the same tokens, and returns those tokens.
func refreshConcurrently(t *testing.T, p program, refreshToken string) authapi.Tokens {
	t.Helper()
	answers := make([]authapi.Tokens, 50)
	kit.Concurrently(len(answers), func(i int) {
		res, err := rpc.Call(t.Context(), p.Client, authapi.Refresh, authapi.RefreshRequest{RefreshToken: refreshToken})
		if err != nil {
			t.Error(err)
		}
		answers[i] = res.Tokens
		answers[i].ExpiresIn = 0 // the time left differs
	})
	if distinct := slices.Compact(slices.Clone(answers)); len(distinct) != 1 {
		t.Fatalf("got %d different responses, want 1", len(distinct))
	}
	return answers[0]
}

func TestRunRequiresConfiguration(t *testing.T) {
	err := run(t.Context(), func(string) string { return "" }, t.Output())
	if err == nil {
		t.Fatal("got no error without configuration, want one")
	}
}
