package eventtest

import (
	"reflect"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/apps/event/internal/event"
	"boxoffice/test/kit"
)

func testClaimHolds(t *testing.T, s Subject) {
	ctx := t.Context()
	var all []event.Hold
	for i := range 10 {
		h := NewHold("h"+strconv.Itoa(i), "e", 1)
		h.SettleAt = day0.Add(time.Minute)
		all = append(all, h)
	}
	wantErr(t, "insert", s.InsertHolds(ctx, all), nil)
	sold := all[0]
	sold.State, sold.SettleAt = event.Sold, time.Time{}
	moveHolds(t, s, "sell", sold)
	wantErr(t, "postpone", s.PostponeSettle(ctx, map[string]time.Time{all[1].ID: day0.Add(2 * time.Minute)}), nil)

	until := day0.Add(time.Hour)
	got, err := s.ClaimHolds(ctx, append(slices.Clone(all[:3]), NewHold("unknown", "e", 1)), until)
	want := all[2]
	want.SettleAt = until
	if err != nil || !slices.Equal(got, []event.Hold{want}) {
		t.Errorf("claim: got %+v, %v, want %+v", got, err, want)
	}
	stored, err := s.GetHolds(ctx, []string{all[0].ID, all[2].ID})
	if err != nil || stored[all[0].ID] != sold || stored[all[2].ID] != want {
		t.Errorf("stored: got %+v, %v, want %+v and %+v", stored, err, sold, want)
	}

	var claims [10]atomic.Int64
	kit.Concurrently(8, func(i int) {
		claimed, err := s.ClaimHolds(ctx, all[3:], until.Add(time.Duration(i)*time.Second))
		wantErr(t, "claim concurrently", err, nil)
		for _, h := range claimed {
			claims[h.ID[1]-'0'].Add(1)
		}
	})
	for i := 3; i < len(claims); i++ {
		if n := claims[i].Load(); n != 1 {
			t.Errorf("hold %d: got %d claims, want one", i, n)
		}
	}
}

func testClaimLimits(t *testing.T, s Subject) {
	ctx := t.Context()
	claim := func(user, hold string) {
		t.Helper()
		got, err := s.Claim(ctx, event.Claim{LimitKey: event.LimitKey{EventID: "e", UserID: user}, HoldID: hold, Quantity: 1, Max: 4, At: day0})
		if err != nil || got != event.ClaimGranted {
			t.Fatalf("claim of %s: got %v, %v, want it granted", hold, got, err)
		}
	}
	for _, user := range []string{"a", "b", "c"} {
		claim(user, user+"_1_x")
	}
	all, err := s.StampedLimits(ctx, day0.Add(time.Second), 10)
	if err != nil || len(all) != 3 {
		t.Fatalf("got %v, %v, want three limits", all, err)
	}
	claim("b", "b_2_x") // raises the version

	at := day0.Add(time.Minute)
	got, err := s.ClaimLimits(ctx, all, at)
	var want []event.Limit
	for _, l := range all {
		if l.UserID != "b" {
			l.ClaimedAt = at
			want = append(want, l)
		}
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("claim: got %+v, %v, want %+v", got, err, want)
	}
	if again, err := s.ClaimLimits(ctx, all, at.Add(time.Second)); err != nil || len(again) != 0 {
		t.Errorf("claim again: got %+v, %v, want none", again, err)
	}
	for _, l := range got {
		stored, err := s.GetLimit(ctx, l.LimitKey)
		if err != nil || !stored.ClaimedAt.Equal(at) || stored.Version != l.Version {
			t.Errorf("stored: got %+v, %v, want %+v", stored, err, l)
		}
		wantErr(t, "clear the stamp of the claim", s.ClearStamp(ctx, l), nil)
	}
}
