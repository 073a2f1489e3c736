package ratelimit_test

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"boxoffice/shared/ratelimit"
)

func TestLocalMakesTheSameDecisionsAsScript(t *testing.T) {
	f := newFixture(t)
	now := start
	local := ratelimit.NewLocal(func() time.Time { return now }, 1000)

	random := rand.New(rand.NewPCG(1, 2)) // the fixed seed makes every run use the same cases
	limits := []ratelimit.Limit{
		{Bucket: "browse", Subject: "a", Requests: 5, Period: time.Second},
		{Bucket: "browse", Subject: "b", Requests: 5, Period: time.Second},
		{Bucket: "write", Subject: "a", Requests: 1, Period: 100 * time.Millisecond},
		{Bucket: "login", Subject: "a", Requests: 600, Period: time.Minute},
	}
	refused := 0
	for i := range 3000 {
		step := time.Duration(random.IntN(120)) * time.Millisecond
		now = now.Add(step)
		f.FastForward(step)
		f.SetTime(now)
		limit := limits[random.IntN(len(limits))]
		request := []ratelimit.Limit{limit}
		if random.IntN(2) == 0 {
			other := limits[random.IntN(len(limits))]
			other.Peek = random.IntN(2) == 0
			if other.Bucket != limit.Bucket || other.Subject != limit.Subject {
				request = append(request, other)
			}
		}
		want := f.take(request...)
		got := local.Take(request...)
		if got != want {
			t.Fatalf("request %d, %+v: got %+v, want %+v", i, request, got, want)
		}
		if got.Refused {
			refused++
		}
	}
	if refused == 0 || refused == 3000 {
		t.Errorf("got %d of 3000 requests refused, want some but not all", refused)
	}
}

func TestLocalMemoryIsBounded(t *testing.T) {
	local := ratelimit.NewLocal(func() time.Time { return start }, 100)
	observed := ratelimit.Limit{Bucket: "browse", Subject: "observed", Requests: 1, Period: time.Hour}
	local.Take(observed)
	for i := range 1000 {
		local.Take(ratelimit.Limit{Bucket: "browse", Subject: strconv.Itoa(i), Requests: 1, Period: time.Hour})
		if i < 50 && !local.Take(observed).Refused {
			t.Fatalf("got the counter dropped after %d other subjects, want it kept", i+1)
		}
		if got := local.Len(); got > 200 {
			t.Fatalf("got %d counters in memory, want at most 200", got)
		}
	}
}
