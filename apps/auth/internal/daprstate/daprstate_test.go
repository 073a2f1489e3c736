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

func TestPortsWorkThroughASidecar(t *testing.T) {
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
		t.Run("sessions in "+store+" conform", func(t *testing.T) {
			authtest.SessionsSuite{Sessions: daprstate.NewSessions(dapr, store), NewUserID: rand.Text}.Conform(t)
		})
	}
	t.Run("concurrent refreshes have one successor", func(t *testing.T) { testConcurrentRefreshes(t, daprstate.NewSessions(dapr, "statestore")) })
	t.Run("a missing store is unavailable", func(t *testing.T) {
		_, _, err := daprstate.NewSessions(dapr, "absent").Load(t.Context(), "u1")
		if apperr.From(err).Code != apperr.Unavailable {
			t.Errorf("got %v, want unavailable", err)
		}
	})
	t.Run("only the holder of a lock releases it", func(t *testing.T) { testLocks(t, dapr) })
	t.Run("keys are available once loaded", func(t *testing.T) { testKeys(t, dapr) })
}

// testConcurrentRefreshes rotates one session in fifty goroutines. One of them must
// win, and all must see the same successor.
func testConcurrentRefreshes(t *testing.T, sessions auth.Sessions) {
	user := rand.Text()
	first := authtest.NewUserSessions("f1")
	if err := sessions.Save(t.Context(), user, first, ""); err != nil {
		t.Fatal(err)
	}
	now := authtest.Epoch.Add(time.Minute)
	successors := make(chan string, 50)
	done := make(chan struct{})
	for i := range cap(successors) {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				us, version, err := sessions.Load(t.Context(), user)
				if err != nil {
					t.Error(err)
					return
				}
				f, rotation, _ := us.Rotate("f1", "f1-1", auth.Session{ID: fmt.Sprint("s", i), StartedAt: now, ExpiresAt: now.Add(time.Hour)}, now)
				if rotation == auth.Replayed {
					successors <- f.Current.ID
					return
				}
				if rotation != auth.Rotated {
					t.Errorf("got rotation %d, want Rotated or Replayed", rotation)
					return
				}
				if err := sessions.Save(t.Context(), user, us, version); err != nil && !errors.Is(err, auth.ErrStale) {
					t.Error(err)
					return
				}
			}
		}()
	}
	for range cap(successors) {
		<-done
	}
	close(successors)
	want := ""
	for got := range successors {
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("got successors %s and %s, want the same", want, got)
		}
	}
}

func testLocks(t *testing.T, dapr client.Client) {
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
		t.Error("after Lock: got it unlocked, want it locked")
	}
	unlockWithoutLock := locker.Lock(t.Context(), "login:ann") // returns without the lock
	unlockWithoutLock()
	if !held() {
		t.Error("a caller without the lock released it")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	locker.Lock(ctx, "login:ann")()
	unlock()
	if held() {
		t.Error("after unlock: got it locked, want it unlocked")
	}
	// A lock is released even if its context has ended.
	ctx, cancel = context.WithCancel(t.Context())
	unlock = locker.Lock(ctx, "login:ann")
	cancel()
	unlock()
	if held() {
		t.Error("after unlock with an ended context: got it locked, want it unlocked")
	}
	daprlock.New(dapr, "absent").Lock(t.Context(), "login:ann")()
}

func testKeys(t *testing.T, dapr client.Client) {
	k := daprstate.NewKeys(dapr, "secrets", "signing-key")
	if _, err := k.Keyring(); apperr.From(err).Code != apperr.Unavailable {
		t.Errorf("before Load: got %v, want unavailable", err)
	}
	if err := k.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ring, err := k.Keyring(); err != nil || len(ring.Set().Keys) != 1 {
		t.Errorf("got %v, %v, want one key", ring, err)
	}
	for _, bad := range []string{"damaged", "absent"} {
		if err := daprstate.NewKeys(dapr, "secrets", bad).Load(t.Context()); err == nil {
			t.Errorf("secret %q: got no error, want one", bad)
		}
	}
}
