package redisstore_test

import (
	"crypto/rand"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/apps/auth/internal/authtest"
	"boxoffice/apps/auth/internal/memattempts"
	"boxoffice/apps/auth/internal/redisstore"
	"boxoffice/shared/sessioncache"
	"boxoffice/test/servers"
)

func connect(t *testing.T, addr string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// none is the local counter of tests in which Redis is there.
type none struct{ auth.Attempts }

func TestAttempts(t *testing.T) {
	authtest.TestAttempts(t, func(t *testing.T) authtest.Counting {
		m := miniredis.RunT(t)
		now := authtest.Epoch
		m.SetTime(now)
		return authtest.Counting{
			Attempts: redisstore.NewAttempts(connect(t, m.Addr()), memattempts.NewCounter(authtest.NewClock(now))),
			Pass: func(d time.Duration) {
				now = now.Add(d)
				m.SetTime(now)
				m.FastForward(d)
			},
		}
	})
}

func TestAttemptsOnEachServer(t *testing.T) {
	servers.EachRedis(t, func(t *testing.T, addr string) {
		a := redisstore.NewAttempts(connect(t, addr), none{memattempts.NewCounter(authtest.NewClock(authtest.Epoch))})
		through := 0
		for range 8 {
			v, err := a.Begin(t.Context(), "ann@example.com", "192.0.2.1")
			if err != nil {
				t.Fatal(err)
			}
			if !v.Locked {
				through++
			} else if v.RetryAfter > time.Minute || v.RetryAfter < 50*time.Second {
				t.Errorf("got %+v", v)
			}
		}
		if through != 5 {
			t.Errorf("%d got through, want 5", through)
		}
		if err := a.Clear(t.Context(), "ann@example.com", "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
		if v, err := a.Begin(t.Context(), "ann@example.com", "192.0.2.1"); err != nil || v.Locked {
			t.Errorf("after a right one: %+v, %v", v, err)
		}
		if err := a.Withdraw(t.Context(), "ann@example.com", "192.0.2.1"); err != nil {
			t.Error(err)
		}
	})
}

func TestRedisKnowsNoAddresses(t *testing.T) {
	m := miniredis.RunT(t)
	a := redisstore.NewAttempts(connect(t, m.Addr()), none{})
	if _, err := a.Begin(t.Context(), "ann@example.com", "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	for _, key := range m.Keys() {
		if strings.Contains(key, "ann") || m.TTL(key) <= 0 {
			t.Errorf("key %s, kept for %s", key, m.TTL(key))
		}
	}
}

// Without Redis the same rules hold, counted here.
func TestAttemptsWithoutRedis(t *testing.T) {
	authtest.TestAttempts(t, func(t *testing.T) authtest.Counting {
		clock := authtest.NewClock(authtest.Epoch)
		gone := connect(t, "127.0.0.1:1")
		return authtest.Counting{Attempts: redisstore.NewAttempts(gone, memattempts.NewCounter(clock)), Pass: clock.Pass}
	})
}

func family(id string) auth.Family { return authtest.EntryOf(id).Families[0] }

func TestCache(t *testing.T) {
	m := miniredis.RunT(t)
	shared := sessioncache.New(connect(t, m.Addr()), rand.Text)
	c := redisstore.NewCache(shared, authtest.NewClock(authtest.Epoch), slog.New(slog.DiscardHandler))
	ctx := t.Context()
	look := func() sessioncache.Known {
		t.Helper()
		_, known, err := shared.Look(ctx, sessioncache.Question{SessionID: "f1-1", UserID: "u1"})
		if err != nil {
			t.Fatal(err)
		}
		return known
	}
	u := authtest.User("u1", "ann@example.com")
	c.Fill(ctx, "", "u1", family("f1"), u)
	c.Fill(ctx, look().Lease, "u1", family("f1"), u)
	got := look()
	if got.Session == nil || *got.Session != family("f1").Public("u1") || got.User == nil || *got.User != u.Public() {
		t.Fatalf("got %+v", got)
	}
	c.DropUser(ctx, "u1")
	if m.Exists("user:u1") {
		t.Error("the user is still there")
	}
	lease := c.LeaseUser(ctx, "u1")
	c.FillUser(ctx, lease, u)
	if got := look(); got.User == nil {
		t.Error("log-in did not fill the user in")
	}
	c.End(ctx, "f1-1")
	if !look().Ended {
		t.Error("not ended")
	}
}

// What Redis did not hear it is told again.
func TestNoticesAreRepeated(t *testing.T) {
	m := miniredis.RunT(t)
	shared := sessioncache.New(connect(t, m.Addr()), rand.Text)
	clock := authtest.NewClock(authtest.Epoch)
	c := redisstore.NewCache(shared, clock, slog.New(slog.DiscardHandler))
	ctx := t.Context()
	m.SetError("LOADING")
	c.End(ctx, "s1", "s2")
	c.DropUser(ctx, "u1")
	c.LeaseUser(ctx, "u1")
	c.FillUser(ctx, "lease", authtest.User("u1", "ann@example.com"))
	if left := c.Repeat(ctx); left != 3 {
		t.Errorf("%d are pending, want 3", left)
	}
	m.SetError("")
	if err := m.Set("user:u1", "v:1:{}"); err != nil {
		t.Fatal(err)
	}
	if left := c.Repeat(ctx); left != 0 {
		t.Errorf("%d are pending", left)
	}
	if keys := m.Keys(); !slices.Equal(keys, []string{"session:s1", "session:s2"}) {
		t.Errorf("keys %v", keys)
	}
	// It ends when Redis can no longer show the opposite.
	m.SetError("LOADING")
	c.End(ctx, "s3")
	c.DropUser(ctx, "u3")
	clock.Pass(sessioncache.SessionStale)
	if left := c.Repeat(ctx); left > 2 {
		t.Errorf("%d are pending", left)
	}
	clock.Pass(sessioncache.UserStale)
	if left := c.Repeat(ctx); left != 0 {
		t.Errorf("%d are pending", left)
	}
}
