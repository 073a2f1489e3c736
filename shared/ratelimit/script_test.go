package ratelimit_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"boxoffice/shared/ratelimit"
	"boxoffice/test/kit"
	"boxoffice/test/servers"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var script = redis.NewScript(ratelimit.Script + `return ratelimit_take(1, 1)`)

// take counts a request against limits with a script that does nothing else.
func take(ctx context.Context, client redis.Scripter, limits ...ratelimit.Limit) (ratelimit.Decision, error) {
	keys, args, err := ratelimit.Append(nil, nil, limits)
	if err != nil {
		return ratelimit.Decision{}, err
	}
	reply, err := script.Run(ctx, client, keys, args...).Slice()
	if err != nil {
		return ratelimit.Decision{}, err
	}
	return ratelimit.Parse(reply)
}

func connect(t *testing.T, addr string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { client.Close() })
	return client
}

// fixture is an in-memory Redis whose clock the test sets.
type fixture struct {
	*miniredis.Miniredis
	client *redis.Client
	t      *testing.T
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	m := miniredis.RunT(t)
	m.SetTime(start)
	return fixture{m, connect(t, m.Addr()), t}
}

func (f fixture) take(limits ...ratelimit.Limit) ratelimit.Decision {
	f.t.Helper()
	decision, err := take(f.t.Context(), f.client, limits...)
	if err != nil {
		f.t.Fatal(err)
	}
	return decision
}

var (
	writesOfU1 = ratelimit.Limit{Bucket: "write", Subject: "u1", Requests: 3, Period: time.Minute}
	writesOfU2 = ratelimit.Limit{Bucket: "write", Subject: "u2", Requests: 3, Period: time.Minute}
)

func TestLimitRefillsEvenly(t *testing.T) {
	f := newFixture(t)
	for remaining := 2; remaining >= 0; remaining-- {
		want := ratelimit.Decision{Remaining: remaining, ResetIn: time.Duration(3-remaining) * 20 * time.Second}
		if got := f.take(writesOfU1); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	refused := ratelimit.Decision{Refused: true, ResetIn: time.Minute, RetryIn: 20 * time.Second}
	for range 3 { // a refused request is not counted
		if got := f.take(writesOfU1); got != refused {
			t.Errorf("got %+v, want %+v", got, refused)
		}
	}
	f.SetTime(start.Add(20 * time.Second))
	if got := f.take(writesOfU1); got.Refused || got.Remaining != 0 {
		t.Errorf("after a third of the period: got %+v, want allowed with 0 remaining", got)
	}
	f.SetTime(start.Add(time.Hour))
	if got := f.take(writesOfU1); got.Refused || got.Remaining != 2 {
		t.Errorf("after an hour: got %+v, want allowed with 2 remaining", got)
	}
}

func TestRefusedRequestCountsAgainstNoLimit(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		f.take(writesOfU1)
	}
	if got := f.take(writesOfU2); got.Refused || got.Remaining != 2 {
		t.Errorf("another subject: got %+v, want allowed with 2 remaining", got)
	}
	if got := f.take(writesOfU2, writesOfU1); !got.Refused || got.Index != 1 {
		t.Errorf("two limits: got %+v, want a refusal by the second", got)
	}
	if got := f.take(writesOfU2); got.Remaining != 1 {
		t.Errorf("after the refusal: got %+v, want 1 remaining", got)
	}
}

func TestPeekedLimitRefusesAndCountsNothing(t *testing.T) {
	f := newFixture(t)
	peeked := writesOfU2
	peeked.Peek = true
	for remaining := range 3 {
		want := ratelimit.Decision{Index: 1, Remaining: 2 - remaining, ResetIn: time.Duration(1+remaining) * 20 * time.Second}
		if got := f.take(peeked, writesOfU1); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if got, want := f.take(peeked), (ratelimit.Decision{}); got != want {
		t.Errorf("only a peek: got %+v, want %+v", got, want)
	}
	f.SetTime(start.Add(time.Minute))
	for range 3 {
		f.take(writesOfU2)
	}
	want := ratelimit.Decision{Index: 1, Refused: true, ResetIn: time.Minute, RetryIn: 20 * time.Second}
	if got := f.take(writesOfU1, peeked); got != want {
		t.Errorf("exhausted: got %+v, want %+v", got, want)
	}
	if got := f.take(writesOfU1); got.Remaining != 2 {
		t.Errorf("after the refusal: got %+v, want 2 remaining", got)
	}
}

func TestLoweredLimitRefusesNoLongerThanItsPeriod(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		f.take(writesOfU1)
	}
	lowered := writesOfU1
	lowered.Period = time.Second
	if got := f.take(lowered); !got.Refused || got.RetryIn > time.Second {
		t.Errorf("got %+v, want a refusal for at most %s", got, lowered.Period)
	}
}

func TestRequestWithoutLimitsIsAllowed(t *testing.T) {
	if got, want := newFixture(t).take(), (ratelimit.Decision{}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAppendRefusesInvalidLimits(t *testing.T) {
	for _, limit := range []ratelimit.Limit{{Requests: 0, Period: time.Second}, {Requests: 1}, {Requests: 1, Period: time.Microsecond}} {
		if _, _, err := ratelimit.Append(nil, nil, []ratelimit.Limit{limit}); err == nil {
			t.Errorf("%+v: got no error, want one", limit)
		}
	}
}

func TestParseRefusesMalformedReplies(t *testing.T) {
	for _, reply := range [][]any{nil, {int64(0)}, {int64(0), int64(0), int64(0), int64(0), "0"}} {
		if got, err := ratelimit.Parse(reply); err == nil {
			t.Errorf("%v: got %+v, want an error", reply, got)
		}
	}
}

// Gateways of other versions read the same keys and values, so their format must not
// change.
func TestStoredKeyAndValueFormat(t *testing.T) {
	f := newFixture(t)
	f.take(writesOfU1)
	got, err := f.Get("limit:write:u1")
	if err != nil {
		t.Fatal(err)
	}
	if want := "1772366420000000.000"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := f.TTL("limit:write:u1"), 20*time.Second; got != want {
		t.Errorf("TTL: got %s, want %s", got, want)
	}
}

func TestConcurrentRequestsAreAllCounted(t *testing.T) {
	servers.EachRedis(t, func(t *testing.T, addr string) {
		client := connect(t, addr)
		limit := ratelimit.Limit{Bucket: "write", Subject: "u", Requests: 30, Period: time.Hour}
		var allowed atomic.Int64
		kit.Concurrently(100, func(int) {
			decision, err := take(t.Context(), client, limit)
			if err != nil {
				t.Error(err)
			}
			if !decision.Refused {
				allowed.Add(1)
			}
		})
		if got := allowed.Load(); got != 30 {
			t.Errorf("got %d of 100 requests allowed, want 30", got)
		}
	})
}
