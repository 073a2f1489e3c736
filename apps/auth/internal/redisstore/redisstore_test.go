package redisstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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

// noFallback is the local counter of tests in which Redis is reachable. Begin, Fail and
// Withdraw fail, because Redis must count the attempts. The others are called in any case.
type noFallback struct{}

var errFallback = errors.New("called the local counter although Redis is reachable")

func (noFallback) Begin(context.Context, auth.Attempt) (auth.AttemptDecision, error) {
	return auth.AttemptDecision{}, errFallback
}

func (noFallback) Fail(context.Context, auth.Attempt) error { return errFallback }

func (noFallback) Withdraw(context.Context, auth.Attempt) error { return errFallback }

func (noFallback) Succeed(context.Context, auth.Attempt) error { return nil }

func (noFallback) Remember(context.Context, string, string) {}

func TestAttemptsConform(t *testing.T) {
	authtest.AttemptsSuite{Open: func(t *testing.T) (auth.Attempts, func(time.Duration)) {
		m := miniredis.RunT(t)
		now := authtest.Epoch
		m.SetTime(now)
		attempts := redisstore.NewAttempts(connect(t, m.Addr()), memattempts.NewCounter(authtest.NewClock(now)))
		return attempts, func(d time.Duration) {
			now = now.Add(d)
			m.SetTime(now)
			m.FastForward(d)
		}
	}}.Conform(t)
}

func TestAttemptsFallBackToTheLocalCounter(t *testing.T) {
	authtest.AttemptsSuite{Open: func(t *testing.T) (auth.Attempts, func(time.Duration)) {
		clock := authtest.NewClock(authtest.Epoch)
		return redisstore.NewAttempts(connect(t, "127.0.0.1:1"), memattempts.NewCounter(clock)), clock.Advance
	}}.Conform(t)
}

func TestAttemptsOnEachServer(t *testing.T) {
	servers.EachRedis(t, func(t *testing.T, addr string) {
		a, ctx := redisstore.NewAttempts(connect(t, addr), noFallback{}), t.Context()
		n := 0
		begin := func(address string) (auth.Attempt, auth.AttemptDecision) {
			n++
			attempt := auth.Attempt{ID: fmt.Sprint("attempt", n), Account: "ann", Address: address}
			d, err := a.Begin(ctx, attempt)
			if err != nil {
				t.Fatal(err)
			}
			return attempt, d
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		var first auth.Attempt
		admitted := 0
		for range 8 {
			attempt, d := begin("home")
			if !d.Locked {
				first, admitted = attempt, admitted+1
			} else if d.RetryAfter > time.Minute || d.RetryAfter < 50*time.Second {
				t.Errorf("got %+v, want a lock of about a minute", d)
			}
		}
		if admitted != 5 {
			t.Errorf("got %d admitted guesses, want 5", admitted)
		}
		must(a.Succeed(ctx, first))
		home, d := begin("home")
		if d.Locked {
			t.Errorf("after a correct password: got %+v, want it not locked", d)
		}
		must(a.Withdraw(ctx, home))
		a.Remember(ctx, "ann", "office")
		for i := range auth.ThrottleThreshold - 4 { // four guesses from home have failed
			bot, _ := begin(fmt.Sprint("bot", i))
			must(a.Fail(ctx, bot))
		}
		turn, d := begin("new")
		if !d.HasTurn || d.Delay != 0 {
			t.Errorf("after %d failures: got %+v, want a turn", auth.ThrottleThreshold, d)
		}
		if _, d := begin("another"); !d.Busy {
			t.Errorf("during the turn: got %+v, want busy", d)
		}
		for _, known := range []string{"home", "office"} {
			if _, d := begin(known); d.Busy || d.HasTurn {
				t.Errorf("known address %s: got %+v, want it admitted", known, d)
			}
		}
		must(a.Fail(ctx, turn))
		if _, d := begin("another"); !d.HasTurn {
			t.Errorf("after the turn: got %+v, want the next one", d)
		}
	})
}

func TestAttemptKeysExpire(t *testing.T) {
	m := miniredis.RunT(t)
	a, ctx := redisstore.NewAttempts(connect(t, m.Addr()), noFallback{}), t.Context()
	for i := range 200 {
		attempt := auth.Attempt{ID: fmt.Sprint(i), Account: "ann", Address: fmt.Sprint("address", i)}
		a.Remember(ctx, "ann", attempt.Address) // so that it needs no turn
		if _, err := a.Begin(ctx, attempt); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Begin(ctx, auth.Attempt{ID: "new", Account: "ann", Address: "unknown"}); err != nil || !m.Exists("attempts:ann:turn") {
		t.Errorf("got %v, want a turn", err)
	}
	for _, key := range m.Keys() {
		if ttl := m.TTL(key); ttl <= 0 || ttl > auth.KnownAddressTTL {
			t.Errorf("got key %s with TTL %s, want one", key, ttl)
		}
	}
	for key, most := range map[string]int{"attempts:ann:failures": auth.MaxAccountFailures, "attempts:ann:known": auth.MaxKnownAddresses} {
		if members, err := m.ZMembers(key); err != nil || len(members) != most {
			t.Errorf("%s: got %d members, %v, want %d", key, len(members), err, most)
		}
	}
}

func newSessionCache(t *testing.T, addr string) *sessioncache.Cache {
	t.Helper()
	cache, err := sessioncache.New(sessioncache.Config{
		Redis: connect(t, addr), Nonce: rand.Text, Key: []byte("a secret of at least thirty-two bytes"), Now: func() time.Time { return authtest.Epoch },
	})
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

func family(id string) auth.Family { return authtest.NewUserSessions(id).Families[0] }

func TestCacheFillsAndInvalidates(t *testing.T) {
	m := miniredis.RunT(t)
	shared := newSessionCache(t, m.Addr())
	c := redisstore.NewCache(shared, authtest.NewClock(authtest.Epoch), slog.New(slog.DiscardHandler))
	ctx := t.Context()
	look := func() sessioncache.Entry {
		t.Helper()
		_, entry, err := shared.Lookup(ctx, sessioncache.Request{SessionID: "f1-1", UserID: "u1"})
		if err != nil {
			t.Fatal(err)
		}
		return entry
	}
	u := authtest.NewUser("u1", "ann@example.com")
	c.Fill(ctx, "", "u1", family("f1"), u)
	c.Fill(ctx, look().Lease, "u1", family("f1"), u)
	got := look()
	if got.Session == nil || *got.Session != family("f1").Public("u1") || got.User == nil || *got.User != u.Public() {
		t.Fatalf("got %+v, want the session and its user", got)
	}
	c.DropUser(ctx, "u1")
	if m.Exists("user:u1") {
		t.Error("the dropped user is still cached")
	}
	lease := c.LeaseUser(ctx, "u1")
	c.FillUser(ctx, lease, u)
	if got := look(); got.User == nil {
		t.Error("FillUser did not cache the user")
	}
	c.End(ctx, "f1-1")
	if !look().Ended {
		t.Error("the ended session has no tombstone")
	}
}

func TestFailedInvalidationsAreRetriedUntilObsolete(t *testing.T) {
	m := miniredis.RunT(t)
	shared := newSessionCache(t, m.Addr())
	clock := authtest.NewClock(authtest.Epoch)
	c := redisstore.NewCache(shared, clock, slog.New(slog.DiscardHandler))
	ctx := t.Context()
	m.SetError("LOADING")
	c.End(ctx, "s1", "s2")
	c.DropUser(ctx, "u1")
	c.LeaseUser(ctx, "u1")
	c.FillUser(ctx, "lease", authtest.NewUser("u1", "ann@example.com"))
	if left := c.RetryPending(ctx); left != 3 {
		t.Errorf("got %d pending, want 3", left)
	}
	m.SetError("")
	if err := m.Set("user:u1", "v:1:{}"); err != nil {
		t.Fatal(err)
	}
	if left := c.RetryPending(ctx); left != 0 {
		t.Errorf("got %d pending, want 0", left)
	}
	if keys := m.Keys(); !slices.Equal(keys, []string{"session:s1", "session:s2"}) {
		t.Errorf("got keys %v, want only the tombstones", keys)
	}
	// Retries end when Redis can no longer return the old value.
	m.SetError("LOADING")
	c.End(ctx, "s3")
	c.DropUser(ctx, "u3")
	clock.Advance(sessioncache.SessionStale)
	if left := c.RetryPending(ctx); left > 2 {
		t.Errorf("got %d pending, want at most 2", left)
	}
	clock.Advance(sessioncache.UserStale)
	if left := c.RetryPending(ctx); left != 0 {
		t.Errorf("got %d pending, want 0", left)
	}
}
