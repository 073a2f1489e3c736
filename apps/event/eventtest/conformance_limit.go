package eventtest

import (
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/kit"
)

func testLimits(t *testing.T, s Subject) {
	ctx := t.Context()
	key := event.LimitKey{EventID: "e", UserID: "u"}
	expect := func(name string, used, version int64, stamp time.Time, by map[string]int64) {
		t.Helper()
		got, err := s.GetLimit(ctx, key)
		if len(got.By) == 0 {
			got.By = nil
		}
		want := event.Limit{LimitKey: key, Used: used, By: by, Version: version, ClaimedAt: stamp}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
	claim := func(name, hold string, quantity, most int64, at time.Duration, want event.ClaimResult) {
		t.Helper()
		got, err := s.Claim(ctx, event.Claim{LimitKey: key, HoldID: hold, Quantity: quantity, Max: most, At: day0.Add(at)})
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
	expect("no limit yet", 0, 0, time.Time{}, nil)
	claim("more than the limit", "big_1_x", 5, 4, 0, event.ClaimRefused)
	expect("after the refusal", 0, 0, time.Time{}, nil)
	claim("first hold", "a_1_x", 3, 4, 0, event.ClaimGranted)
	expect("one entry", 3, 1, day0, map[string]int64{"a_1_x": 3})
	claim("second hold, too many", "b_1_x", 2, 4, time.Second, event.ClaimRefused)
	claim("second hold", "b_1_x", 1, 4, time.Second, event.ClaimGranted)
	expect("the older stamp is kept", 4, 2, day0, map[string]int64{"a_1_x": 3, "b_1_x": 1})
	claim("first hold again", "a_1_x", 3, 4, time.Second, event.ClaimPresent)
	claim("first hold after the limit was lowered", "a_1_x", 3, 3, time.Second, event.ClaimOverLimit)
	claim("third hold after the limit was lowered", "c_1_x", 1, 3, time.Second, event.ClaimRefused)
	expect("no change", 4, 2, day0, map[string]int64{"a_1_x": 3, "b_1_x": 1})

	found, err := s.StampedLimits(ctx, day0, 10)
	if err != nil || len(found) != 0 {
		t.Errorf("limits stamped before the claim: got %v, %v, want none", found, err)
	}
	found, err = s.StampedLimits(ctx, day0.Add(time.Second), 10)
	if err != nil || len(found) != 1 {
		t.Fatalf("stamped limits: got %v, %v, want one", found, err)
	}
	wantErr(t, "give back", s.GiveBack(ctx, key, "b_1_x", 1, day0), nil)
	expect("after giving back", 3, 3, day0, map[string]int64{"a_1_x": 3})
	wantErr(t, "give back again", s.GiveBack(ctx, key, "b_1_x", 1, day0), nil)
	wantErr(t, "give back without an entry", s.GiveBack(ctx, key, "z_1_x", 1, day0), nil)
	wantErr(t, "give back another quantity", s.GiveBack(ctx, key, "a_1_x", 1, day0), nil)
	wantErr(t, "give back without a limit", s.GiveBack(ctx, event.LimitKey{EventID: "e", UserID: "x"}, "a_1_x", 3, day0), nil)
	expect("after giving back once", 3, 3, day0, map[string]int64{"a_1_x": 3})

	wantErr(t, "clear the stamp of a changed limit", s.ClearStamp(ctx, found[0]), event.ErrStale)
	l, err := s.GetLimit(ctx, key)
	wantErr(t, "read", err, nil)
	wantErr(t, "clear the stamp", s.ClearStamp(ctx, l), nil)
	expect("no stamp", 3, 3, time.Time{}, map[string]int64{"a_1_x": 3})
	claim("after the stamp was cleared", "d_1_x", 1, 4, time.Minute, event.ClaimGranted)
	expect("a new stamp", 4, 4, day0.Add(time.Minute), map[string]int64{"a_1_x": 3, "d_1_x": 1})
}

// testLimitPurge checks when a limit may be dropped, and that a limit that was dropped
// cannot be mistaken for the former one.
func testLimitPurge(t *testing.T, s Subject) {
	ctx := t.Context()
	key := event.LimitKey{EventID: "e", UserID: "u"}
	claim := func(hold string, at time.Duration) {
		t.Helper()
		got, err := s.Claim(ctx, event.Claim{LimitKey: key, HoldID: hold, Quantity: 2, Max: 4, At: day0.Add(at)})
		if err != nil || got != event.ClaimGranted {
			t.Fatalf("claim %s: got %v, %v, want it granted", hold, got, err)
		}
	}
	expect := func(name string, want time.Time) event.Limit {
		t.Helper()
		l, err := s.GetLimit(ctx, key)
		if err != nil || !l.PurgeAt.Equal(want) {
			t.Errorf("%s: got PurgeAt %v, %v, want %v", name, l.PurgeAt, err, want)
		}
		return l
	}
	giveBack := func(hold string, purgeAt time.Time) {
		t.Helper()
		wantErr(t, "give back "+hold, s.GiveBack(ctx, key, hold, 2, purgeAt), nil)
	}
	purgeAt := day0.Add(24 * time.Hour)
	giveBack("a_1_x", purgeAt)
	if l := expect("give back without a limit", time.Time{}); l.Version != 0 {
		t.Errorf("give back without a limit: got %+v, want no limit", l)
	}
	claim("a_1_x", 0)
	claim("b_1_x", 0)
	giveBack("a_1_x", purgeAt)
	expect("one entry is left", time.Time{})
	giveBack("b_1_x", purgeAt)
	expect("no entry is left", purgeAt)
	giveBack("b_1_x", purgeAt.Add(time.Hour))
	stamped := expect("given back again", purgeAt)
	claim("c_1_x", time.Minute)
	expect("a new entry", time.Time{})
	giveBack("c_1_x", purgeAt.Add(time.Hour))
	expect("no entry is left again", purgeAt.Add(time.Hour))

	// The version of a limit that was dropped starts again, so the stamp tells it apart.
	l := expect("before a stale write", purgeAt.Add(time.Hour))
	l.ClaimedAt = stamped.ClaimedAt.Add(-24 * time.Hour)
	wantErr(t, "clear another stamp at the same version", s.ClearStamp(ctx, l), event.ErrStale)
}

func testClaimRace(t *testing.T, s Subject) {
	key := event.LimitKey{EventID: "e", UserID: "u"}
	const workers, limit = 16, 5
	var granted atomic.Int64
	kit.Concurrently(workers, func(i int) {
		got, err := s.Claim(t.Context(), event.Claim{LimitKey: key, HoldID: fmt.Sprintf("h%d_1_x", i), Quantity: 1, Max: limit, At: day0})
		if err != nil {
			t.Errorf("claim: %v", err)
		}
		if got == event.ClaimGranted {
			granted.Add(1)
		}
	})
	l, err := s.GetLimit(t.Context(), key)
	if err != nil || granted.Load() != limit || l.Used != limit || len(l.By) != limit {
		t.Errorf("got %d granted, used %d, %d entries, %v, want %d of each", granted.Load(), l.Used, len(l.By), err, limit)
	}
}

// fixedClock always returns the same time.
type fixedClock struct{}

func (fixedClock) Now() time.Time { return day0.Add(2 * time.Hour) }

// testLastSeats reserves the last seats for many clients concurrently through the use
// cases. Half of the clients send a concurrent duplicate.
func testLastSeats(t *testing.T, s Subject) {
	e := NewEvent("e")
	e.MaxPerUser = nil
	e.Seats = event.Seats{Capacity: 10, Available: 10, Version: 1}
	insert(t, s, e)
	svc := event.New(event.Config{
		Events: s, Catalogue: s, Holds: s, Limits: s, Log: s, Cache: NoCache{}, Locks: Unlocked{},
		Batches: NewBatches(), Clock: fixedClock{}, HoldSettleAfter: time.Minute,
	})
	const clients = 40
	var reserved, refused atomic.Int64
	kit.Concurrently(clients, func(i int) {
		req := eventapi.ReserveRequest{
			HoldID: fmt.Sprintf("b%d_1_x", i), EventID: "e", UserID: fmt.Sprintf("u%d", i), Quantity: 1,
			ExpiresAt: contract.At(day0.Add(3 * time.Hour)),
		}
		kit.Concurrently(1+i%2, func(n int) {
			_, err := Reserve(t.Context(), svc, req)
			switch {
			case n > 0 && (err == nil || errors.Is(err, event.ErrSoldOut)):
			case err == nil:
				reserved.Add(1)
			case errors.Is(err, event.ErrSoldOut):
				refused.Add(1)
			default:
				t.Errorf("reserve: %v", apperr.From(err))
			}
		})
	})
	if reserved.Load() != 10 || refused.Load() != clients-10 {
		t.Errorf("got %d reserved and %d refused, want 10 and %d", reserved.Load(), refused.Load(), clients-10)
	}
	got := read(t, s, "e").Seats
	if got.Held != 10 || got.Available != 0 {
		t.Errorf("got %+v, want 10 held", got)
	}
}
