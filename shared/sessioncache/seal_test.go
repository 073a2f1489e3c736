package sessioncache_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"boxoffice/shared/sessioncache"
)

// stored returns the value of a Redis key.
func (f fixture) stored(key string) string {
	f.t.Helper()
	v, err := f.redis.Get(key)
	must(f.t, err)
	return v
}

// In each case somebody with write access to Redis changes it.
func TestForgedValuesAreNotUsed(t *testing.T) {
	for _, tt := range []struct {
		name  string
		forge func(f fixture)
		user  bool // the user is forged; otherwise it is the session
	}{
		{"another role", func(f fixture) {
			must(f.t, f.redis.Set("user:u1", strings.Replace(f.stored("user:u1"), `"role":"user"`, `"role":"admin"`, 1)))
		}, true},
		{"without a seal", func(f fixture) { must(f.t, f.redis.Set("user:u1", `v:1:{"id":"u1","role":"admin","isActive":true}`)) }, true},
		{"an empty seal", func(f fixture) { must(f.t, f.redis.Set("user:u1", `v:1:9999999999999::{"id":"u1","role":"admin"}`)) }, true},
		{"an invented seal", func(f fixture) {
			must(f.t, f.redis.Set("user:u1", `v:1:9999999999999:`+strings.Repeat("A", 43)+`:{"id":"u1","role":"admin"}`))
		}, true},
		{"a newer version", func(f fixture) { must(f.t, f.redis.Set("user:u1", "v:9"+f.stored("user:u1")[3:])) }, true},
		{"a huge version", func(f fixture) { must(f.t, f.redis.Set("user:u1", "v:99999999999999999999"+f.stored("user:u1")[3:])) }, true},
		{"the value of another user", func(f fixture) {
			boss := user("Boss")
			boss.ID, boss.Role = "u2", "admin"
			lease, err := f.LeaseUser(f.t.Context(), "u2")
			must(f.t, err)
			must(f.t, f.FillUser(f.t.Context(), lease, boss, 1))
			must(f.t, f.redis.Set("user:u1", f.stored("user:u2")))
		}, true},
		{"the session's value", func(f fixture) { must(f.t, f.redis.Set("user:u1", f.stored("session:s1"))) }, true},
		{"sealed with another secret", func(f fixture) {
			client := redis.NewClient(&redis.Options{Addr: f.redis.Addr()})
			f.t.Cleanup(func() { _ = client.Close() })
			boss := user("Ann")
			boss.Role = "admin"
			must(f.t, f.with(client, secret+"!").FillUser(f.t.Context(), "", boss, 2))
		}, true},
		{"a longer life", func(f fixture) {
			until := strings.Split(f.stored("user:u1"), ":")[2]
			must(f.t, f.redis.Set("user:u1", strings.Replace(f.stored("user:u1"), until, "9"+until[1:], 1)))
		}, true},
		{"cut", func(f fixture) { must(f.t, f.redis.Set("user:u1", strings.TrimSuffix(f.stored("user:u1"), "}"))) }, true},
		{"a session of another user", func(f fixture) {
			must(f.t, f.redis.Set("session:s1", strings.Replace(f.stored("session:s1"), `"userId":"u1"`, `"userId":"u2"`, 1)))
		}, false},
		{"the value of another session", func(f fixture) {
			_, entry, err := f.Lookup(f.t.Context(), sessioncache.Request{SessionID: "s2", UserID: "u1"})
			must(f.t, err)
			other := session(now.Add(time.Hour))
			other.ID = "s2"
			must(f.t, f.Fill(f.t.Context(), entry.Lease, other, user("Ann"), 1))
			must(f.t, f.redis.Set("session:s1", f.stored("session:s2")))
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t)
			f.fill(f.lookup().Lease, "Ann", 1)
			tt.forge(f)
			got := f.lookup()
			if (got.User == nil) != tt.user || (got.Session == nil) == tt.user || got.Ended {
				t.Fatalf("got session %+v and user %+v, want only the other one", got.Session, got.User)
			}
			if n := f.rejected.Load(); n != 1 {
				t.Errorf("got %d calls of Rejected, want 1", n)
			}
			// The lease has replaced the forged value, so auth can fill the cache again.
			f.fill(got.Lease, "Ann", 1)
			if got := f.lookup(); got.User == nil || got.User.Role != "user" || got.Session == nil || f.rejected.Load() != 1 {
				t.Errorf("after a fill: got session %+v and user %+v, want both", got.Session, got.User)
			}
		})
	}
}

// A value that was copied from Redis and is written again later counts only until its time.
func TestOldValueCannotBeKeptAlive(t *testing.T) {
	f := open(t)
	f.fill(f.lookup().Lease, "Ann", 1)
	oldSession, oldUser := f.stored("session:s1"), f.stored("user:u1")
	must(t, f.End(t.Context(), "s1"))
	f.wait(90 * time.Second) // the value's time, and what clocks may differ
	must(t, f.redis.Set("session:s1", oldSession))
	if got := f.lookup(); got.Session != nil {
		t.Errorf("got session %+v after its time, want none", got.Session)
	}
	must(t, f.redis.Set("user:u1", oldUser))
	if got := f.lookup(); got.User == nil {
		t.Error("got no user within its time, want one")
	}
	f.wait(time.Hour)
	must(t, f.redis.Set("user:u1", oldUser))
	if got := f.lookup(); got.User != nil {
		t.Errorf("got user %+v after its time, want none", got.User)
	}
}

// Another secret makes every value a miss once.
func TestAnotherSecretMakesEveryValueAMissOnce(t *testing.T) {
	f := open(t)
	f.fill(f.lookup().Lease, "Ann", 1)
	client := redis.NewClient(&redis.Options{Addr: f.redis.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	f.Cache = f.with(client, strings.Repeat("another secret ", 3))
	miss := f.lookup()
	if miss.Session != nil || miss.User != nil || miss.Lease == "" {
		t.Fatalf("got %+v, want only a lease", miss)
	}
	f.fill(miss.Lease, "Ann", 1)
	if got := f.lookup(); got.Session == nil || got.User == nil || f.rejected.Load() != 1 {
		t.Errorf("after a fill: got %+v, want session and user", got)
	}
}

func TestNewRefusesAShortKey(t *testing.T) {
	for _, key := range []string{"", "short", strings.Repeat("k", sessioncache.MinKey-1)} {
		if _, err := sessioncache.New(sessioncache.Config{Key: []byte(key)}); err == nil || strings.Contains(err.Error(), key) && key != "" {
			t.Errorf("key of %d bytes: got %v, want an error that does not contain it", len(key), err)
		}
	}
	if _, err := sessioncache.New(sessioncache.Config{Key: make([]byte, sessioncache.MinKey)}); err != nil {
		t.Error(err)
	}
}

// A session or user longer than a seal may cover is not cached.
func TestLongValuesAreNotCached(t *testing.T) {
	f := open(t)
	lease := f.lookup().Lease
	if err := f.Fill(t.Context(), lease, session(now.Add(time.Hour)), user(strings.Repeat("x", 17<<10)), 1); err == nil {
		t.Error("got no error, want one")
	}
	must(t, f.redis.Set("user:u1", "v:1:9999999999999:"+strings.Repeat("A", 43)+":"+strings.Repeat("x", 17<<10)))
	if got := f.lookup(); got.User != nil || f.rejected.Load() != 1 {
		t.Errorf("got user %+v, want none", got.User)
	}
}
