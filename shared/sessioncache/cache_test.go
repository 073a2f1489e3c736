package sessioncache_test

import (
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/sessioncache"
	"boxoffice/test/servers"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type fixture struct {
	*sessioncache.Cache
	redis *miniredis.Miniredis
	t     *testing.T
}

func open(t *testing.T) fixture {
	t.Helper()
	m := miniredis.RunT(t)
	m.SetTime(now)
	client := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { client.Close() })
	var n atomic.Int64
	return fixture{sessioncache.New(client, func() string { return fmt.Sprint("lease", n.Add(1)) }), m, t}
}

// to moves Redis's clock to that long after now. The ends of keys do not depend
// on it, so that FastForward alone moves those.
func (f fixture) to(d time.Duration) { f.redis.SetTime(now.Add(d)) }

func (f fixture) look() sessioncache.Known {
	f.t.Helper()
	_, known, err := f.Look(f.t.Context(), sessioncache.Question{SessionID: "s1", UserID: "u1"})
	if err != nil {
		f.t.Fatal(err)
	}
	return known
}

func session(end time.Time) authapi.Session {
	return authapi.Session{ID: "s1", FamilyID: "f1", UserID: "u1", ExpiresAt: contract.At(end)}
}

func user(name string) authapi.User {
	return authapi.User{ID: "u1", Email: "ann@example.com", Name: name, Role: "user", IsActive: true, CreatedAt: contract.At(now)}
}

func (f fixture) fill(lease, name string, version int64) {
	f.t.Helper()
	if err := f.Fill(f.t.Context(), lease, session(now.Add(time.Hour)), user(name), version, now); err != nil {
		f.t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAMissIsFilledUnderItsLease(t *testing.T) {
	f := open(t)
	miss := f.look()
	if miss.Session != nil || miss.User != nil || miss.Ended || miss.Lease == "" {
		t.Fatalf("nothing is there: %+v", miss)
	}
	f.fill(miss.Lease, "Ann", 1)
	hit := f.look()
	if hit.Session == nil || *hit.Session != session(now.Add(time.Hour)) || hit.User == nil || *hit.User != user("Ann") {
		t.Fatalf("got %+v", hit)
	}
	f.redis.FastForward(time.Minute)
	if late := f.look(); late.Session != nil || late.User == nil {
		t.Errorf("after a minute the session is asked about and the user not: %+v", late)
	}
	f.redis.FastForward(time.Hour)
	if late := f.look(); late.User != nil {
		t.Error("after an hour the user is still known")
	}
}

func TestASessionIsKnownNoLongerThanItLives(t *testing.T) {
	f := open(t)
	lease := f.look().Lease
	must(t, f.Fill(t.Context(), lease, session(now.Add(2*time.Second)), user("Ann"), 1, now))
	f.redis.FastForward(2 * time.Second)
	if f.look().Session != nil {
		t.Error("known past its end")
	}
	must(t, f.Fill(t.Context(), f.look().Lease, session(now), user("Ann"), 1, now))
	if f.look().Session != nil {
		t.Error("filled at its end")
	}
}

// Each change comes between the lease and the fill that read before it.
func TestASlowFillRevivesNothing(t *testing.T) {
	for name, change := range map[string]func(f fixture) error{
		"ended":            func(f fixture) error { return f.End(f.t.Context(), "s1") },
		"user changed":     func(f fixture) error { return f.DropUser(f.t.Context(), "u1") },
		"flushed":          func(f fixture) error { f.redis.FlushAll(); return nil },
		"lease ran out":    func(f fixture) error { f.redis.FastForward(5 * time.Second); return nil },
		"another's lease":  func(f fixture) error { f.redis.FlushAll(); f.look(); return nil },
		"ended, forgotten": func(f fixture) error { err := f.End(f.t.Context(), "s1"); f.redis.FastForward(time.Hour); return err },
	} {
		f := open(t)
		lease := f.look().Lease
		must(t, change(f))
		f.fill(lease, "Ann", 1)
		got := f.look()
		if name != "user changed" && got.Session != nil {
			t.Errorf("%s: the session is back", name)
		}
		if name != "ended" && got.User != nil {
			t.Errorf("%s: the user is back", name)
		}
		if got.Ended != (name == "ended") {
			t.Errorf("%s: ended is %v", name, got.Ended)
		}
	}
}

func TestEndedCoversAValue(t *testing.T) {
	f := open(t)
	f.fill(f.look().Lease, "Ann", 1)
	must(t, f.End(t.Context(), "s0", "s1"))
	if got := f.look(); !got.Ended || got.Session != nil || got.User != nil || got.Lease != "" {
		t.Errorf("got %+v", got)
	}
	must(t, f.End(t.Context()))
}

func TestNoLeaseFillsNothing(t *testing.T) {
	f := open(t)
	f.fill("", "Ann", 1)
	if got := f.look(); got.Session != nil || got.User != nil {
		t.Errorf("got %+v", got)
	}
}

// A change that nobody told Redis of is seen with the session's next fill.
func TestAnOlderUserDoesNotCount(t *testing.T) {
	f := open(t)
	f.fill(f.look().Lease, "Ann", 1)
	f.redis.FastForward(time.Minute)
	miss := f.look()
	if miss.User == nil {
		t.Fatal("the user should still be there")
	}
	f.fill(miss.Lease, "Ann Changed", 2)
	if got := f.look(); got.User == nil || got.User.Name != "Ann Changed" {
		t.Errorf("got %+v, want the newer user", got.User)
	}

	// The other order: the session knows of a newer user than the cache holds.
	must(t, f.redis.Set("user:u1", `v:1:{"id":"u1"}`))
	older := f.look()
	if older.User != nil || older.Session == nil {
		t.Fatalf("got %+v, want no user", older)
	}
	f.fill(older.Lease, "Ann Changed", 2)
	if got := f.look(); got.User == nil || got.User.Name != "Ann Changed" {
		t.Errorf("got %+v", got.User)
	}
}

func TestLogInFillsTheUser(t *testing.T) {
	f, ctx := open(t), t.Context()
	lease, err := f.LeaseUser(ctx, "u1")
	must(t, err)
	if second, err := f.LeaseUser(ctx, "u1"); err != nil || second != "" {
		t.Errorf("a second lease: %q, %v", second, err)
	}
	must(t, f.FillUser(ctx, lease, user("Ann"), 1))
	if got := f.look(); got.User == nil || got.User.Name != "Ann" {
		t.Errorf("got %+v", got.User)
	}
	must(t, f.FillUser(ctx, "", user("Newer"), 2))
	must(t, f.FillUser(ctx, "", user("Older"), 1))
	if got := f.look(); got.User == nil || got.User.Name != "Newer" {
		t.Errorf("got %+v", got.User)
	}
	must(t, f.DropUser(ctx, "u1"))
	if f.redis.Exists("user:u1") {
		t.Error("the user is still there")
	}
}

func TestNonsenseIsNotKnown(t *testing.T) {
	for _, text := range []string{"x", "v:", "v:1:", "v:x:{}", "v:1:{", "l:"} {
		f := open(t)
		must(t, f.redis.Set("session:s1", text))
		must(t, f.redis.Set("user:u1", text))
		if got := f.look(); got.Session != nil || got.User != nil || got.Ended {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

func TestLimits(t *testing.T) {
	f, ctx := open(t), t.Context()
	ask := func(limits ...sessioncache.Limit) sessioncache.Counted {
		t.Helper()
		counted, _, err := f.Look(ctx, sessioncache.Question{Limits: limits})
		must(t, err)
		return counted
	}
	three := sessioncache.Limit{Bucket: "write", Subject: "u1", Requests: 3, Period: time.Minute}
	for left := 2; left >= 0; left-- {
		got := ask(three)
		want := sessioncache.Counted{Remaining: left, Full: time.Duration(3-left) * 20 * time.Second}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	refused := sessioncache.Counted{Refused: true, Full: time.Minute, Retry: 20 * time.Second}
	for range 3 { // a refusal costs nothing
		if got := ask(three); got != refused {
			t.Errorf("got %+v, want %+v", got, refused)
		}
	}
	other := three
	other.Subject = "u2"
	if got := ask(other); got.Refused || got.Remaining != 2 {
		t.Errorf("another's bucket: %+v", got)
	}
	// Refused by the second, the first keeps what it has.
	if got := ask(other, three); !got.Refused || got.Index != 1 {
		t.Errorf("both: %+v", got)
	}
	if got := ask(other); got.Remaining != 1 {
		t.Errorf("the refused request was counted: %+v", got)
	}
	f.to(20 * time.Second)
	if got := ask(three); got.Refused || got.Remaining != 0 {
		t.Errorf("after a third of the period: %+v", got)
	}
	f.to(time.Hour)
	if got := ask(three); got.Remaining != 2 {
		t.Errorf("after an hour: %+v", got)
	}
	lowered := three
	lowered.Period = time.Second
	ask(three)
	ask(three)
	if got := ask(lowered); got.Retry > time.Second {
		t.Errorf("a lowered limit keeps out for %s", got.Retry)
	}
	if got := ask(); got != (sessioncache.Counted{}) {
		t.Errorf("without limits: %+v", got)
	}
	for _, bad := range []sessioncache.Limit{{Requests: 0, Period: time.Second}, {Requests: 1}} {
		if _, _, err := f.Look(ctx, sessioncache.Question{Limits: []sessioncache.Limit{bad}}); err == nil {
			t.Errorf("%+v passed", bad)
		}
	}
}

func TestARefusedRequestLearnsNothing(t *testing.T) {
	f := open(t)
	q := sessioncache.Question{
		Limits:    []sessioncache.Limit{{Bucket: "browse", Subject: "a", Requests: 1, Period: time.Minute}},
		SessionID: "s1", UserID: "u1",
	}
	_, known, err := f.Look(t.Context(), q)
	must(t, err)
	f.fill(known.Lease, "Ann", 1)
	counted, known, err := f.Look(t.Context(), q)
	must(t, err)
	if !counted.Refused || known.Session != nil || known.User != nil {
		t.Errorf("got %+v, %+v", counted, known)
	}
}

func TestOnEachServer(t *testing.T) {
	servers.EachRedis(t, func(t *testing.T, addr string) {
		client := redis.NewClient(&redis.Options{Addr: addr})
		t.Cleanup(func() { client.Close() })
		f := fixture{sessioncache.New(client, rand.Text), nil, t}
		f.fill(f.look().Lease, "Ann", 2)
		if got := f.look(); got.Session == nil || got.User == nil || got.User.Name != "Ann" {
			t.Errorf("got %+v", got)
		}
		must(t, f.DropUser(t.Context(), "u1"))
		lease, err := f.LeaseUser(t.Context(), "u1")
		must(t, err)
		must(t, f.FillUser(t.Context(), lease, user("Older"), 1))
		if got := f.look(); got.Session == nil || got.User != nil {
			t.Errorf("got %+v, want no user", got)
		}
		must(t, f.End(t.Context(), "s1"))
		if got := f.look(); !got.Ended {
			t.Errorf("got %+v", got)
		}
		parallelRequestsAreAllCounted(t, f)
	})
}

func parallelRequestsAreAllCounted(t *testing.T, f fixture) {
	q := sessioncache.Question{Limits: []sessioncache.Limit{{Bucket: "write", Subject: "u", Requests: 30, Period: time.Hour}}}
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			counted, _, err := f.Look(t.Context(), q)
			if err != nil {
				t.Error(err)
			}
			if !counted.Refused {
				passed.Add(1)
			}
		})
	}
	wg.Wait()
	if got := passed.Load(); got != 30 {
		t.Errorf("%d of 100 passed, want 30", got)
	}
}

func TestRedisGone(t *testing.T) {
	ctx := t.Context()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { client.Close() })
	f := sessioncache.New(client, func() string { return "lease" })
	if _, _, err := f.Look(ctx, sessioncache.Question{SessionID: "s1"}); err == nil {
		t.Error("look")
	}
	if err := f.End(ctx, "s1"); err == nil {
		t.Error("end")
	}
	if err := f.DropUser(ctx, "u1"); err == nil {
		t.Error("drop")
	}
	if _, err := f.LeaseUser(ctx, "u1"); err == nil {
		t.Error("lease")
	}
}

func BenchmarkLook(b *testing.B) {
	m := miniredis.RunT(b)
	client := redis.NewClient(&redis.Options{Addr: m.Addr()})
	defer client.Close()
	cache := sessioncache.New(client, func() string { return "lease" })
	q := sessioncache.Question{
		Limits:    []sessioncache.Limit{{Bucket: "browse", Subject: "u", Requests: 1 << 30, Period: time.Minute}},
		SessionID: "s1", UserID: "u1",
	}
	for b.Loop() {
		if _, _, err := cache.Look(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
}
