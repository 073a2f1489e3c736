package sessioncache_test

import (
	"context"
	"crypto/rand"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/ratelimit"
	"boxoffice/shared/sessioncache"
	"boxoffice/test/servers"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const secret = "a secret of at least thirty-two bytes"

type fixture struct {
	*sessioncache.Cache
	redis    *miniredis.Miniredis
	t        *testing.T
	clock    *clock
	rejected *atomic.Int64 // calls of Config.Rejected
}

func open(t *testing.T) fixture {
	t.Helper()
	m := miniredis.RunT(t)
	m.SetTime(now)
	client := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { client.Close() })
	f := fixture{redis: m, t: t, clock: &clock{}, rejected: &atomic.Int64{}}
	f.Cache = f.with(client, secret)
	return f
}

// with returns another cache in the same Redis.
func (f fixture) with(client redis.Scripter, secret string) *sessioncache.Cache {
	f.t.Helper()
	cache, err := sessioncache.New(sessioncache.Config{
		Redis: client, Nonce: rand.Text, Key: []byte(secret), Now: f.clock.now,
		Rejected: func(context.Context) { f.rejected.Add(1) },
	})
	must(f.t, err)
	return cache
}

// clock is ahead of now by its value in nanoseconds.
type clock struct{ atomic.Int64 }

func (c *clock) now() time.Time { return now.Add(time.Duration(c.Load())) }

// wait lets time pass for the cache and for Redis.
func (f fixture) wait(d time.Duration) {
	f.clock.Add(int64(d))
	f.redis.FastForward(d)
}

// lookup looks up session s1 of user u1.
func (f fixture) lookup() sessioncache.Entry {
	f.t.Helper()
	_, entry, err := f.Lookup(f.t.Context(), sessioncache.Request{SessionID: "s1", UserID: "u1"})
	if err != nil {
		f.t.Fatal(err)
	}
	return entry
}

func session(expiresAt time.Time) authapi.Session {
	return authapi.Session{ID: "s1", FamilyID: "f1", UserID: "u1", ExpiresAt: contract.At(expiresAt)}
}

func user(name string) authapi.User {
	return authapi.User{ID: "u1", Email: "ann@example.com", Name: name, Role: "user", IsActive: true, CreatedAt: contract.At(now)}
}

// fill caches session s1, which lives for an hour, and user u1 under lease.
func (f fixture) fill(lease, name string, version int64) {
	f.t.Helper()
	if err := f.Fill(f.t.Context(), lease, session(now.Add(time.Hour)), user(name), version); err != nil {
		f.t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFillUnderLeaseCachesSessionAndUser(t *testing.T) {
	f := open(t)
	miss := f.lookup()
	if miss.Session != nil || miss.User != nil || miss.Ended || miss.Lease == "" {
		t.Fatalf("empty cache: got %+v, want only a lease", miss)
	}
	f.fill(miss.Lease, "Ann", 1)
	hit := f.lookup()
	if hit.Session == nil || *hit.Session != session(now.Add(time.Hour)) || hit.User == nil || *hit.User != user("Ann") {
		t.Fatalf("after the fill: got %+v, want session and user", hit)
	}
	f.wait(time.Minute)
	if late := f.lookup(); late.Session != nil || late.User == nil {
		t.Errorf("after a minute: got %+v, want only the user", late)
	}
	f.wait(time.Hour)
	if late := f.lookup(); late.User != nil {
		t.Errorf("after an hour: got user %+v, want none", late.User)
	}
}

func TestSessionIsNotCachedPastItsExpiry(t *testing.T) {
	f := open(t)
	lease := f.lookup().Lease
	must(t, f.Fill(t.Context(), lease, session(now.Add(2*time.Second)), user("Ann"), 1))
	f.wait(2 * time.Second)
	if got := f.lookup().Session; got != nil {
		t.Errorf("after its expiry: got %+v, want no session", got)
	}
	must(t, f.Fill(t.Context(), f.lookup().Lease, session(now.Add(2*time.Second)), user("Ann"), 1))
	if got := f.lookup().Session; got != nil {
		t.Errorf("filled at its expiry: got %+v, want no session", got)
	}
}

// In each case the change takes place between the lease and the fill, so the filled
// values are older than the change.
func TestLateFillIsDiscarded(t *testing.T) {
	for _, tt := range []struct {
		name        string
		change      func(f fixture) error
		wantSession bool // a change of the user does not affect the session
		wantEnded   bool
	}{
		{name: "session ended", change: func(f fixture) error { return f.End(f.t.Context(), "s1") }, wantEnded: true},
		{name: "user changed", change: func(f fixture) error { return f.DropUser(f.t.Context(), "u1") }, wantSession: true},
		{name: "Redis flushed", change: func(f fixture) error { f.redis.FlushAll(); return nil }},
		{name: "lease expired", change: func(f fixture) error { f.wait(5 * time.Second); return nil }},
		{name: "another lease", change: func(f fixture) error { f.redis.FlushAll(); f.lookup(); return nil }},
		{name: "tombstone expired", change: func(f fixture) error {
			err := f.End(f.t.Context(), "s1")
			f.wait(time.Hour)
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t)
			lease := f.lookup().Lease
			must(t, tt.change(f))
			f.fill(lease, "Ann", 1)
			got := f.lookup()
			if (got.Session != nil) != tt.wantSession {
				t.Errorf("got session %+v, want a session: %t", got.Session, tt.wantSession)
			}
			if got.User != nil {
				t.Errorf("got user %+v, want none", got.User)
			}
			if got.Ended != tt.wantEnded {
				t.Errorf("got ended %t, want %t", got.Ended, tt.wantEnded)
			}
		})
	}
}

func TestEndReplacesCachedSession(t *testing.T) {
	f := open(t)
	f.fill(f.lookup().Lease, "Ann", 1)
	must(t, f.End(t.Context(), "s0", "s1"))
	if got := f.lookup(); !got.Ended || got.Session != nil || got.User != nil || got.Lease != "" {
		t.Errorf("got %+v, want only ended", got)
	}
	must(t, f.End(t.Context())) // no sessions
}

func TestFillWithoutLeaseIsDiscarded(t *testing.T) {
	f := open(t)
	f.fill("", "Ann", 1)
	if got := f.lookup(); got.Session != nil || got.User != nil {
		t.Errorf("got %+v, want neither session nor user", got)
	}
}

// If DropUser never reaches Redis, the version stored with the session's next value
// shows that the cached user is stale.
func TestUserOfOlderVersionIsIgnored(t *testing.T) {
	f := open(t)
	f.fill(f.lookup().Lease, "Ann", 1)
	first, err := f.redis.Get("user:u1")
	must(t, err)
	f.wait(time.Minute)
	miss := f.lookup()
	if miss.User == nil {
		t.Fatal("got no user after a minute, want the cached one")
	}
	f.fill(miss.Lease, "Ann Changed", 2)
	if got := f.lookup(); got.User == nil || got.User.Name != "Ann Changed" {
		t.Errorf("after a fill with version 2: got %+v, want the newer user", got.User)
	}

	// The session's value now contains a newer version than the cached user.
	must(t, f.redis.Set("user:u1", first))
	older := f.lookup()
	if older.User != nil || older.Session == nil {
		t.Fatalf("session of version 2, user of version 1: got %+v, want only the session", older)
	}
	f.fill(older.Lease, "Ann Changed", 2)
	if got := f.lookup(); got.User == nil || got.User.Name != "Ann Changed" {
		t.Errorf("after another fill: got %+v, want the newer user", got.User)
	}
}

func TestFillUserCachesUserWithoutSession(t *testing.T) {
	f, ctx := open(t), t.Context()
	lease, err := f.LeaseUser(ctx, "u1")
	must(t, err)
	if second, err := f.LeaseUser(ctx, "u1"); err != nil || second != "" {
		t.Errorf("second lease: got %q, %v, want none", second, err)
	}
	must(t, f.FillUser(ctx, lease, user("Ann"), 1))
	if got := f.lookup(); got.User == nil || got.User.Name != "Ann" {
		t.Errorf("got %+v, want Ann", got.User)
	}
	must(t, f.FillUser(ctx, "", user("Newer"), 2))
	must(t, f.FillUser(ctx, "", user("Older"), 1))
	if got := f.lookup(); got.User == nil || got.User.Name != "Newer" {
		t.Errorf("after fills with versions 2 and 1: got %+v, want that of version 2", got.User)
	}
	must(t, f.DropUser(ctx, "u1"))
	if f.redis.Exists("user:u1") {
		t.Error("user:u1 exists after DropUser")
	}
}

func TestMalformedValuesCountAsNotCached(t *testing.T) {
	for _, value := range []string{"x", "v:", "v:1:", "v:x:{}", "v:1:{", "l:"} {
		f := open(t)
		must(t, f.redis.Set("session:s1", value))
		must(t, f.redis.Set("user:u1", value))
		if got := f.lookup(); got.Session != nil || got.User != nil || got.Ended {
			t.Errorf("%q: got %+v, want nothing cached", value, got)
		}
	}
}

func TestLookupCountsRequestAgainstItsLimits(t *testing.T) {
	f := open(t)
	limits := []ratelimit.Limit{
		{Bucket: "browse", Subject: "a", Requests: 3, Period: time.Minute},
		{Bucket: "browse", Subject: "b", Requests: 2, Period: time.Minute},
	}
	got, _, err := f.Lookup(t.Context(), sessioncache.Request{Limits: limits, SessionID: "s1", UserID: "u1"})
	must(t, err)
	if want := (ratelimit.Decision{Index: 1, Remaining: 1, ResetIn: 30 * time.Second}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got, _, err = f.Lookup(t.Context(), sessioncache.Request{SessionID: "s1", UserID: "u1"})
	must(t, err)
	if want := (ratelimit.Decision{}); got != want {
		t.Errorf("without limits: got %+v, want %+v", got, want)
	}
	_, _, err = f.Lookup(t.Context(), sessioncache.Request{Limits: []ratelimit.Limit{{Requests: 0, Period: time.Second}}})
	if err == nil {
		t.Error("limit of 0 requests: got no error, want one")
	}
}

func TestRefusedRequestGetsNoEntry(t *testing.T) {
	f := open(t)
	req := sessioncache.Request{
		Limits:    []ratelimit.Limit{{Bucket: "browse", Subject: "a", Requests: 1, Period: time.Minute}},
		SessionID: "s1", UserID: "u1",
	}
	_, entry, err := f.Lookup(t.Context(), req)
	must(t, err)
	f.fill(entry.Lease, "Ann", 1)
	decision, entry, err := f.Lookup(t.Context(), req)
	must(t, err)
	if !decision.Refused || entry.Session != nil || entry.User != nil {
		t.Errorf("got %+v, %+v, want a refusal without session and user", decision, entry)
	}
}

func TestCacheOnEachRedis(t *testing.T) {
	servers.EachRedis(t, func(t *testing.T, addr string) {
		client := redis.NewClient(&redis.Options{Addr: addr})
		t.Cleanup(func() { client.Close() })
		f := fixture{t: t, clock: &clock{}, rejected: &atomic.Int64{}}
		f.Cache = f.with(client, secret)
		f.fill(f.lookup().Lease, "Ann", 2)
		if got := f.lookup(); got.Session == nil || got.User == nil || got.User.Name != "Ann" {
			t.Errorf("after the fill: got %+v, want session and user", got)
		}
		must(t, f.DropUser(t.Context(), "u1"))
		lease, err := f.LeaseUser(t.Context(), "u1")
		must(t, err)
		must(t, f.FillUser(t.Context(), lease, user("Older"), 1))
		if got := f.lookup(); got.Session == nil || got.User != nil {
			t.Errorf("user older than the session: got %+v, want only the session", got)
		}
		must(t, f.End(t.Context(), "s1"))
		if got := f.lookup(); !got.Ended {
			t.Errorf("after End: got %+v, want ended", got)
		}
		limits := []ratelimit.Limit{{Bucket: "write", Subject: "u", Requests: 1, Period: time.Hour}}
		for i := range 2 {
			decision, _, err := f.Lookup(t.Context(), sessioncache.Request{Limits: limits})
			must(t, err)
			if wantRefused := i == 1; decision.Refused != wantRefused {
				t.Errorf("request %d against a limit of 1: got %+v, want refused %t", i+1, decision, wantRefused)
			}
		}
	})
}

func TestMethodsReturnErrorsWhileRedisIsUnreachable(t *testing.T) {
	ctx := t.Context()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { client.Close() })
	f := fixture{t: t, clock: &clock{}, rejected: &atomic.Int64{}}.with(client, secret)
	if _, _, err := f.Lookup(ctx, sessioncache.Request{SessionID: "s1"}); err == nil {
		t.Error("Lookup: got no error, want one")
	}
	if err := f.End(ctx, "s1"); err == nil {
		t.Error("End: got no error, want one")
	}
	if err := f.DropUser(ctx, "u1"); err == nil {
		t.Error("DropUser: got no error, want one")
	}
	if _, err := f.LeaseUser(ctx, "u1"); err == nil {
		t.Error("LeaseUser: got no error, want one")
	}
}

func BenchmarkLookup(b *testing.B) {
	m := miniredis.RunT(b)
	client := redis.NewClient(&redis.Options{Addr: m.Addr()})
	defer client.Close()
	cache, err := sessioncache.New(sessioncache.Config{
		Redis: client, Nonce: func() string { return "lease" }, Key: []byte(secret), Now: func() time.Time { return now },
	})
	if err != nil {
		b.Fatal(err)
	}
	req := sessioncache.Request{
		Limits:    []ratelimit.Limit{{Bucket: "browse", Subject: "u", Requests: 1 << 30, Period: time.Minute}},
		SessionID: "s1", UserID: "u1",
	}
	look := func() sessioncache.Entry {
		_, entry, err := cache.Lookup(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		return entry
	}
	if err := cache.Fill(b.Context(), look().Lease, session(now.Add(time.Hour)), user("Ann"), 1); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if e := look(); e.Session == nil || e.User == nil {
			b.Fatalf("got %+v, want session and user", e)
		}
	}
}
