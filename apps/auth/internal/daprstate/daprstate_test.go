package daprstate_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/apps/auth/internal/authtest"
	"boxoffice/apps/auth/internal/daprstate"
	"boxoffice/shared/apperr"
	"boxoffice/shared/daprlock"
	"boxoffice/test/servers"
)

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
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	data, err := json.Marshal(map[string]string{"signing-key": text, "damaged": "x"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "secrets.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func connect(t *testing.T, addr string) client.Client {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return client.NewClientWithConnection(conn)
}

func TestSidecar(t *testing.T) {
	m, r := servers.StartMongo(t), servers.StartRedis(t)
	sidecar := servers.StartSidecar(t, servers.SidecarConfig{AppID: "auth", Components: []string{
		servers.Component("statestore", "state.mongodb",
			"connectionString", m.URI, "databaseName", m.Database, "collectionName", "sessions", "writeconcern", "majority"),
		servers.Component("memory", "state.in-memory"),
		servers.Component("lock", "lock.redis", "redisHost", r.Addr(), "redisPassword", ""),
		servers.Component("secrets", "secretstores.local.file", "secretsFile", secretsFile(t)),
	}})
	dapr := connect(t, sidecar.GRPCAddr())
	for _, store := range []string{"statestore", "memory"} {
		t.Run(store, func(t *testing.T) {
			authtest.TestSessions(t, func(*testing.T) (auth.Sessions, func() string) {
				return daprstate.NewSessions(dapr, store), rand.Text
			})
		})
	}
	t.Run("refreshes race", func(t *testing.T) { refreshesRace(t, daprstate.NewSessions(dapr, "statestore")) })
	t.Run("no such store", func(t *testing.T) {
		_, _, err := daprstate.NewSessions(dapr, "absent").Entry(t.Context(), "u1")
		if apperr.From(err).Code != apperr.Unavailable {
			t.Errorf("got %v", err)
		}
	})
	t.Run("locks", func(t *testing.T) { locks(t, dapr) })
	t.Run("keys", func(t *testing.T) { keys(t, dapr) })
}

// refreshesRace is the compare-and-set under fire: fifty refreshes of one
// session, of which one may win.
func refreshesRace(t *testing.T, sessions auth.Sessions) {
	user := rand.Text()
	first := authtest.EntryOf("f1")
	if err := sessions.Save(t.Context(), user, first, ""); err != nil {
		t.Fatal(err)
	}
	now := authtest.Epoch.Add(time.Minute)
	rotated := make(chan string, 50)
	done := make(chan struct{})
	for i := range cap(rotated) {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				e, version, err := sessions.Entry(t.Context(), user)
				if err != nil {
					t.Error(err)
					return
				}
				f, rotation, _ := e.Refresh("f1", "f1-1", auth.Session{ID: fmt.Sprint("s", i), StartedAt: now, ExpiresAt: now.Add(time.Hour)}, now)
				if rotation == auth.Replayed {
					rotated <- f.Current.ID
					return
				}
				if rotation != auth.Rotated {
					t.Errorf("rotation %d", rotation)
					return
				}
				if err := sessions.Save(t.Context(), user, e, version); err != nil && !errors.Is(err, auth.ErrStale) {
					t.Error(err)
					return
				}
			}
		}()
	}
	for range cap(rotated) {
		<-done
	}
	close(rotated)
	want := ""
	for got := range rotated {
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("two successors: %s and %s", want, got)
		}
	}
}

func locks(t *testing.T, dapr client.Client) {
	locker := daprlock.New(dapr, "lock")
	held := func() bool {
		t.Helper()
		res, err := dapr.TryLockAlpha1(t.Context(), "lock", &client.LockRequest{ResourceID: "login:ann", LockOwner: "test", ExpiryInSeconds: 60})
		if err != nil {
			t.Fatal(err)
		}
		if res.Success {
			if _, err := dapr.UnlockAlpha1(t.Context(), "lock", &client.UnlockRequest{ResourceID: "login:ann", LockOwner: "test"}); err != nil {
				t.Fatal(err)
			}
		}
		return !res.Success
	}
	unlock := locker.Lock(t.Context(), "login:ann")
	if !held() {
		t.Error("not locked")
	}
	second := locker.Lock(t.Context(), "login:ann") // goes on without it
	second()
	if !held() {
		t.Error("who had no lock ended another's")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	locker.Lock(ctx, "login:ann")()
	unlock()
	if held() {
		t.Error("still locked")
	}
	// A caller who left unlocks all the same.
	ctx, cancel = context.WithCancel(t.Context())
	unlock = locker.Lock(ctx, "login:ann")
	cancel()
	unlock()
	if held() {
		t.Error("still locked by one who left")
	}
	daprlock.New(dapr, "absent").Lock(t.Context(), "login:ann")()
}

func keys(t *testing.T, dapr client.Client) {
	k := daprstate.NewKeys(dapr, "secrets", "signing-key")
	if _, err := k.Keyring(); apperr.From(err).Code != apperr.Unavailable {
		t.Errorf("before: %v", err)
	}
	if err := k.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ring, err := k.Keyring(); err != nil || len(ring.Set().Keys) != 1 {
		t.Errorf("got %v, %v", ring, err)
	}
	for _, bad := range []string{"damaged", "absent"} {
		if err := daprstate.NewKeys(dapr, "secrets", bad).Load(t.Context()); err == nil {
			t.Errorf("%s: loaded", bad)
		}
	}
}
