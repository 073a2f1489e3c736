package readcache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/gateway/internal/readcache"
	"boxoffice/shared/apperr"
)

// harness is a cache inside a synctest bubble, whose clock the test controls.
type harness struct {
	t       *testing.T
	cache   *readcache.Cache
	follows atomic.Int32 // reads that waited for the load of another one
}

// run calls test inside a synctest bubble with an empty cache of maxBytes.
func run(t *testing.T, maxBytes int64, test func(t *testing.T, h *harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &harness{t: t}
		h.cache = readcache.New(readcache.Config{MaxBytes: maxBytes, Now: time.Now, Follow: func(_, _ context.Context, _ string) func() {
			return func() { h.follows.Add(1) }
		}})
		test(t, h)
	})
}

const mebibyte = 1 << 20

var (
	gala     = readcache.Key{Subject: "gala", Read: "event"}
	list     = readcache.Key{Read: "list"}
	policy   = readcache.Policy{MaxAge: time.Second, StaleFor: time.Minute}
	strict   = readcache.Policy{MaxAge: time.Second, JoinWithin: time.Second}
	errBusy  = apperr.Overloaded(time.Second)
	errDown  = apperr.Unreachable(errors.New("connection refused"))
	errNone  = apperr.New(apperr.NotFound, "event.not_found", "There is no such event.")
	errFalse = apperr.New(apperr.Invalid, "", "The cursor is forged.")
)

// value returns a value with a body and a version.
func value(version int64) readcache.Value {
	return readcache.Value{Body: fmt.Appendf(nil, "v%d", version), Version: version}
}

// fixed returns a fetch function that returns v and err.
func fixed(v readcache.Value, err error) func(context.Context) (readcache.Value, error) {
	return func(context.Context) (readcache.Value, error) { return v, err }
}

// want reads key and compares the body and the source of the result. It returns the result.
func (h *harness) want(key readcache.Key, p readcache.Policy, fetch func(context.Context) (readcache.Value, error), body string, source readcache.Source) readcache.Result {
	h.t.Helper()
	got, err := h.cache.Get(h.t.Context(), key, p, fetch)
	if err != nil || string(got.Body) != body || got.Source != source {
		h.t.Errorf("got %q, %s, %v, want %q, %s", got.Body, got.Source, err, body, source)
	}
	return got
}

// slow is a load that ends when the test lets it.
type slow struct {
	result chan readcache.Value
	got    chan readcache.Result
	err    chan error
}

// start begins a read in the background whose load waits for the test.
func (h *harness) start(ctx context.Context, key readcache.Key, p readcache.Policy) slow {
	s := slow{make(chan readcache.Value, 1), make(chan readcache.Result, 1), make(chan error, 1)}
	go func() {
		got, err := h.cache.Get(ctx, key, p, func(ctx context.Context) (readcache.Value, error) {
			select {
			case v := <-s.result:
				return v, nil
			case <-ctx.Done():
				return readcache.Value{}, ctx.Err()
			}
		})
		s.got <- got
		s.err <- err
	}()
	synctest.Wait()
	return s
}

func TestEntryIsFreshUntilItsMaxAgeSinceBeforeTheLoad(t *testing.T) {
	run(t, mebibyte, func(t *testing.T, h *harness) {
		first := h.start(t.Context(), gala, policy)
		time.Sleep(400 * time.Millisecond)
		first.result <- value(1)
		if got := <-first.got; got.Age != 400*time.Millisecond || got.Source != readcache.Miss {
			t.Errorf("got age %s, %s, want the duration of the load, 400ms, and a miss", got.Age, got.Source)
		}
		time.Sleep(600*time.Millisecond - 1)
		if got := h.want(gala, policy, fixed(value(2), nil), "v1", readcache.Hit); got.Age != time.Second-1 {
			t.Errorf("got age %s, want %s", got.Age, time.Second-1)
		}
		time.Sleep(time.Nanosecond)
		h.want(gala, policy, fixed(value(2), nil), "v2", readcache.Miss)
	})
}

func TestConcurrentReadsShareOneLoad(t *testing.T) {
	run(t, mebibyte, func(t *testing.T, h *harness) {
		const readers = 1000
		var loads atomic.Int32
		var wg sync.WaitGroup
		proceed := make(chan struct{})
		for range readers {
			wg.Go(func() {
				h.want(gala, policy, func(context.Context) (readcache.Value, error) {
					loads.Add(1)
					<-proceed
					return value(1), nil
				}, "v1", readcache.Miss)
			})
		}
		synctest.Wait()
		close(proceed)
		wg.Wait()
		if loads.Load() != 1 || h.follows.Load() != readers-1 {
			t.Errorf("got %d loads and %d followers, want 1 and %d", loads.Load(), h.follows.Load(), readers-1)
		}
	})
}

func TestReadThatLeavesFailsNoOther(t *testing.T) {
	run(t, mebibyte, func(t *testing.T, h *harness) {
		ctx, leave := context.WithCancel(t.Context())
		leader := h.start(ctx, gala, policy)
		follower := h.start(t.Context(), gala, policy)
		leave()
		if err := <-leader.err; !errors.Is(err, context.Canceled) {
			t.Errorf("read that left: got %v, want %v", err, context.Canceled)
		}
		synctest.Wait()
		leader.result <- value(1)
		if got, err := <-follower.got, <-follower.err; err != nil || string(got.Body) != "v1" {
			t.Errorf("other read: got %q, %v, want v1", got.Body, err)
		}
	})
}

func TestFailuresAreReplacedByStaleEntriesForALimitedTime(t *testing.T) {
	run(t, mebibyte, func(t *testing.T, h *harness) {
		h.want(gala, policy, fixed(value(1), nil), "v1", readcache.Miss)
		time.Sleep(61*time.Second - 1)
		if got := h.want(gala, policy, fixed(value(0), errDown), "v1", readcache.Stale); got.Age != 61*time.Second-1 {
			t.Errorf("got age %s, want %s", got.Age, 61*time.Second-1)
		}
		if got := h.want(gala, policy, fixed(value(0), errBusy), "v1", readcache.Stale); got.Age != 61*time.Second-1 {
			t.Errorf("overloaded: got age %s, want %s", got.Age, 61*time.Second-1)
		}
		// A refusal is the app's answer, and strict reads accept no stale entry.
		for name, tt := range map[string]struct {
			policy readcache.Policy
			err    error
		}{"refusal": {policy, errFalse}, "not stale for": {strict, errDown}} {
			if _, err := h.cache.Get(t.Context(), gala, tt.policy, fixed(readcache.Value{}, tt.err)); !errors.Is(err, tt.err) {
				t.Errorf("%s: got %v, want %v", name, err, tt.err)
			}
		}
		time.Sleep(time.Nanosecond)
		if _, err := h.cache.Get(t.Context(), gala, policy, fixed(readcache.Value{}, errDown)); !errors.Is(err, errDown) {
			t.Errorf("after 61s: got %v, want %v", err, errDown)
		}
		h.want(gala, policy, fixed(value(2), nil), "v2", readcache.Miss) // the failure was not stored
	})
}

// A copy replaces an answer, for example while a database fails. It is stale, and an entry
// that is newer replaces it.
func TestCopyIsStaleAndYieldsToANewerEntry(t *testing.T) {
	run(t, mebibyte, func(t *testing.T, h *harness) {
		copied := value(1)
		copied.AsOf = time.Now()
		time.Sleep(5 * time.Second)
		for range 2 { // a load, and then an entry
			if got := h.want(gala, policy, fixed(copied, nil), "v1", readcache.Stale); got.Age != 5*time.Second {
				t.Errorf("got age %s, want that of the copy, 5s", got.Age)
			}
		}
		time.Sleep(time.Second)
		h.want(gala, policy, fixed(value(2), nil), "v2", readcache.Miss)
		time.Sleep(3 * time.Second)
		if got := h.want(gala, policy, fixed(copied, nil), "v2", readcache.Stale); got.Age != 3*time.Second {
			t.Errorf("got age %s, want that of the entry, 3s", got.Age)
		}
		h.want(gala, policy, fixed(value(3), nil), "v3", readcache.Miss)
	})
}

func TestRefusalsAreStoredButNeverServedStale(t *testing.T) {
	run(t, mebibyte, func(t *testing.T, h *harness) {
		refuse := fixed(readcache.Value{Refusal: errNone}, nil)
		for _, source := range []readcache.Source{readcache.Miss, readcache.Hit} {
			if got := h.want(gala, policy, refuse, "", source); !errors.Is(got.Refusal, errNone) {
				t.Errorf("%s: got refusal %v, want %v", source, got.Refusal, errNone)
			}
		}
		time.Sleep(time.Second)
		if got, err := h.cache.Get(t.Context(), gala, policy, fixed(value(0), errDown)); !errors.Is(err, errDown) {
			t.Errorf("got %+v, %v, want %v", got, err, errDown)
		}
	})
}

func TestDropRemovesOnlyTheEntriesOfItsSubjects(t *testing.T) {
	run(t, mebibyte, func(t *testing.T, h *harness) {
		seats, other := readcache.Key{Subject: "gala", Read: "seats"}, readcache.Key{Subject: "jazz", Read: "event"}
		keys := []readcache.Key{gala, seats, other, list}
		for _, key := range keys {
			h.want(key, policy, fixed(value(1), nil), "v1", readcache.Miss)
		}
		h.cache.Drop("gala", "")
		for i, source := range []readcache.Source{readcache.Miss, readcache.Miss, readcache.Hit, readcache.Miss} {
			body := map[readcache.Source]string{readcache.Miss: "v2", readcache.Hit: "v1"}[source]
			h.want(keys[i], policy, fixed(value(2), nil), body, source)
		}
		// A dropped entry does not replace a failure either.
		time.Sleep(time.Second)
		h.cache.Drop("gala")
		if _, err := h.cache.Get(t.Context(), gala, policy, fixed(readcache.Value{}, errDown)); !errors.Is(err, errDown) {
			t.Errorf("got %v, want %v", err, errDown)
		}
	})
}

// The result of a load that began before a drop may be old. Only the reads that waited
// for it before the drop may get it.
func TestLoadThatBeganBeforeADropIsNotStored(t *testing.T) {
	run(t, mebibyte, func(t *testing.T, h *harness) {
		old := h.start(t.Context(), gala, policy)
		h.cache.Drop("gala")
		later := h.start(t.Context(), gala, policy)
		old.result <- value(1)
		if got := <-old.got; string(got.Body) != "v1" {
			t.Errorf("read before the drop: got %q, want v1", got.Body)
		}
		if n, _ := h.cache.Size(); n != 0 {
			t.Errorf("got %d entries after the old load, want none", n)
		}
		later.result <- value(2)
		if got := <-later.got; string(got.Body) != "v2" {
			t.Errorf("read after the drop: got %q, want v2", got.Body)
		}
		h.want(gala, policy, fixed(value(3), nil), "v2", readcache.Hit)
	})
}

func TestFailureAfterADropIsNotReplacedByTheDroppedEntry(t *testing.T) {
	run(t, mebibyte, func(t *testing.T, h *harness) {
		h.want(gala, policy, fixed(value(1), nil), "v1", readcache.Miss)
		time.Sleep(time.Second)
		fail := make(chan struct{})
		result := make(chan error, 1)
		go func() {
			_, err := h.cache.Get(t.Context(), gala, policy, func(context.Context) (readcache.Value, error) {
				<-fail
				return readcache.Value{}, errDown
			})
			result <- err
		}()
		synctest.Wait()
		h.cache.Drop("gala")
		close(fail)
		if err := <-result; !errors.Is(err, errDown) {
			t.Errorf("got %v, want %v", err, errDown)
		}
	})
}

func TestSlowLoadIsNotJoinedForLongerThanThePolicyAllows(t *testing.T) {
	run(t, mebibyte, func(t *testing.T, h *harness) {
		first := h.start(t.Context(), gala, strict)
		time.Sleep(time.Second - 1)
		joined := h.start(t.Context(), gala, strict)
		time.Sleep(time.Nanosecond)
		second := h.start(t.Context(), gala, strict)
		second.result <- value(2)
		if got := <-second.got; string(got.Body) != "v2" {
			t.Errorf("second load: got %q, want v2", got.Body)
		}
		// The first load is overtaken. Its reads must not see an older version than
		// others have seen before, and its value must not replace the newer entry.
		first.result <- value(1)
		for _, s := range []slow{first, joined} {
			if got := <-s.got; string(got.Body) != "v2" {
				t.Errorf("overtaken load: got %q, want v2", got.Body)
			}
		}
		h.want(gala, strict, fixed(value(3), nil), "v2", readcache.Hit)
	})
}

func TestVersionNeverGoesBackUntilTheLowerOneLasts(t *testing.T) {
	run(t, mebibyte, func(t *testing.T, h *harness) {
		h.want(gala, strict, fixed(value(7), nil), "v7", readcache.Miss)
		for range 59 {
			time.Sleep(time.Second)
			h.want(gala, strict, fixed(value(5), nil), "v7", readcache.Miss)
		}
		time.Sleep(time.Second)
		h.want(gala, strict, fixed(value(5), nil), "v5", readcache.Miss)
		// A deleted resource has no version, and is gone at once.
		time.Sleep(time.Second)
		if got := h.want(gala, strict, fixed(readcache.Value{Refusal: errNone}, nil), "", readcache.Miss); got.Refusal == nil {
			t.Error("got no refusal, want one")
		}
	})
}

func TestLeastRecentlyUsedEntriesAreEvicted(t *testing.T) {
	const entries = 4
	key := func(i int) readcache.Key {
		return readcache.Key{Subject: fmt.Sprintf("e%02d", i), Params: strings.Repeat("n", 77)}
	}
	body := strings.Repeat("b", 408)
	load := fixed(readcache.Value{Body: []byte(body)}, nil) // 1000 bytes with the key and the overhead
	run(t, entries*1000, func(t *testing.T, h *harness) {
		for i := range entries {
			h.want(key(i), policy, load, body, readcache.Miss)
		}
		h.want(key(0), policy, load, body, readcache.Hit)
		h.want(key(entries), policy, load, body, readcache.Miss)
		if n, bytes := h.cache.Size(); n != entries || bytes != entries*1000 {
			t.Errorf("got %d entries of %d bytes, want %d of %d", n, bytes, entries, entries*1000)
		}
		h.want(key(0), policy, load, body, readcache.Hit)
		h.want(key(1), policy, load, body, readcache.Miss)
		// Invented keys cannot fill the memory.
		for i := range 1000 {
			h.want(key(100+i), policy, fixed(readcache.Value{Refusal: errNone}, nil), "", readcache.Miss)
			if _, bytes := h.cache.Size(); bytes > entries*1000 {
				t.Fatalf("got %d bytes, want at most %d", bytes, entries*1000)
			}
			time.Sleep(time.Second)
		}
		// An entry that is larger than the cache is returned, but not stored.
		large := readcache.Value{Body: make([]byte, entries*1000)}
		h.want(gala, policy, fixed(large, nil), string(large.Body), readcache.Miss)
		h.want(gala, policy, fixed(large, nil), string(large.Body), readcache.Miss)
		for i := range 1100 {
			h.cache.Drop(key(i).Subject)
		}
		if n, bytes := h.cache.Size(); n != 0 || bytes != 0 {
			t.Errorf("after everything was dropped: got %d entries of %d bytes, want none", n, bytes)
		}
	})
}

func TestPanicOfALoadIsAnErrorForItsReads(t *testing.T) {
	run(t, mebibyte, func(t *testing.T, h *harness) {
		_, err := h.cache.Get(t.Context(), gala, policy, func(context.Context) (readcache.Value, error) { panic("a bug") })
		if apperr.From(err).Code != apperr.Internal || !strings.Contains(err.Error(), "a bug") {
			t.Errorf("got %v, want an internal error with the panic", err)
		}
		h.want(gala, policy, fixed(value(1), nil), "v1", readcache.Miss)
	})
}

// Reads, changes and drops happen at the same time. No read may return a version that is
// older than the last version that was announced before the read began.
func TestReadAfterADropNeverReturnsAnOlderVersion(t *testing.T) {
	cache := readcache.New(readcache.Config{MaxBytes: mebibyte, Now: time.Now, Follow: func(_, _ context.Context, _ string) func() { return func() {} }})
	var stored, announced atomic.Int64
	long := readcache.Policy{MaxAge: time.Hour}
	const changes = 2000
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				least := announced.Load()
				got, err := cache.Get(t.Context(), gala, long, func(context.Context) (readcache.Value, error) {
					v := readcache.Value{Version: stored.Load(), Body: []byte("x")}
					runtime.Gosched() // the data may change between its read and the end of the load
					return v, nil
				})
				if err != nil || got.Version < least {
					t.Errorf("got version %d, %v, want at least %d", got.Version, err, least)
					return
				}
			}
		})
	}
	for i := range int64(changes) {
		stored.Store(i)
		cache.Drop("gala")
		announced.Store(i)
	}
	close(done)
	wg.Wait()
}

func BenchmarkHit(b *testing.B) {
	cache := readcache.New(readcache.Config{MaxBytes: mebibyte, Now: time.Now, Follow: func(_, _ context.Context, _ string) func() { return func() {} }})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := cache.Get(b.Context(), gala, readcache.Policy{MaxAge: time.Hour}, fixed(value(1), nil)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
