package main

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"boxoffice/shared/sessioncache"
)

// The buckets in the process must say what those in Redis say, so they are held
// against one another. They are not for anyone outside, hence this test is in.
func TestLocalLimitsAreThoseOfRedis(t *testing.T) {
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	cache := sessioncache.New(client, newID)
	now := time.Unix(1_800_000_000, 0)
	local := newLocalLimits(func() time.Time { return now }, 1000)

	random := rand.New(rand.NewPCG(1, 2)) // the same cases each time
	limits := []sessioncache.Limit{
		{Bucket: "browse", Subject: "a", Requests: 5, Period: time.Second},
		{Bucket: "browse", Subject: "b", Requests: 5, Period: time.Second},
		{Bucket: "write", Subject: "a", Requests: 1, Period: 100 * time.Millisecond},
		{Bucket: "login", Subject: "a", Requests: 600, Period: time.Minute},
	}
	refused := 0
	for i := range 3000 {
		step := time.Duration(random.IntN(120)) * time.Millisecond
		now = now.Add(step)
		server.FastForward(step)
		server.SetTime(now)
		limit := limits[random.IntN(len(limits))]
		want, _, err := cache.Look(t.Context(), sessioncache.Question{Limits: []sessioncache.Limit{limit}})
		if err != nil {
			t.Fatal(err)
		}
		got := local.count(limit)
		if got != want {
			t.Fatalf("request %d, %+v: got %+v, want %+v", i, limit, got, want)
		}
		if got.Refused {
			refused++
		}
	}
	if refused == 0 || refused == 3000 {
		t.Errorf("%d refused: the cases say nothing", refused)
	}
}

func TestLocalLimitsStayBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	local := newLocalLimits(func() time.Time { return now }, 100)
	mine := sessioncache.Limit{Bucket: "browse", Subject: "mine", Requests: 1, Period: time.Hour}
	local.count(mine)
	for i := range 1000 {
		local.count(sessioncache.Limit{Bucket: "browse", Subject: strconv.Itoa(i), Requests: 1, Period: time.Hour})
		if i < 50 && !local.count(mine).Refused {
			t.Fatal("forgotten while there was room")
		}
		if got := len(local.newer) + len(local.older); got > 200 {
			t.Fatalf("%d entries", got)
		}
	}
}
