package bookingtest

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/test/kit"
)

// insertAll inserts bookings.
func insertAll(t *testing.T, s Subject, all ...booking.Booking) {
	t.Helper()
	for _, b := range all {
		wantErr(t, "insert "+b.ID, s.InsertBooking(t.Context(), b), nil)
	}
}

// expiredOf returns a pending booking as it is after its expiry.
func expiredOf(b booking.Booking) booking.Booking {
	b.State, b.Revision = booking.Expired, b.Revision+1
	b.Owes = booking.ObligationsOf([]booking.Obligation{{HoldID: b.HoldID, Cause: "expired"}})
	b.DischargeAt = day0.Add(time.Hour)
	return b
}

func testReplaceSeveral(t *testing.T, s Subject) {
	pending := []booking.Booking{PendingBooking("a"), PendingBooking("b"), PendingBooking("c")}
	insertAll(t, s, pending...)
	confirmed := pending[1]
	confirmed.State, confirmed.Revision = booking.Confirmed, 2
	wantErr(t, "confirm one of them", s.ReplaceBooking(t.Context(), confirmed, booking.Pending, 1), nil)
	unknown := PendingBooking("x")
	var changes []booking.Change
	for _, b := range append(pending, unknown) {
		changes = append(changes, booking.Change{
			Booking: expiredOf(b), State: booking.Pending, HoldNumber: 1, Facts: []booking.Fact{fact("of-"+b.ID, b.ID)},
		})
	}
	errs := s.ReplaceBookings(t.Context(), changes)
	for i, want := range []error{nil, booking.ErrStale, nil, booking.ErrStale} {
		wantErr(t, "replace "+changes[i].Booking.ID, errs[i], want)
	}
	for _, want := range []booking.Booking{changes[0].Booking, confirmed, changes[2].Booking} {
		wantRecord(t, s, want)
	}
	if got, want := factIDs(t, s), []string{"of-a", "of-c"}; !slices.Equal(got, want) {
		t.Errorf("outbox: got %v, want %v", got, want)
	}
	// All of them match.
	next := changes[0].Booking
	next.Owes, next.DischargeAt, next.Revision, next.State = booking.Obligations{}, time.Time{}, 3, booking.Cancelled
	for i, err := range s.ReplaceBookings(t.Context(), []booking.Change{{Booking: next, State: booking.Expired, HoldNumber: 1}}) {
		wantErr(t, "replace "+changes[i].Booking.ID, err, nil)
	}
	wantRecord(t, s, next)
}

func testOwing(t *testing.T, s Subject) {
	add := func(id string, at time.Duration) {
		b := expiredOf(PendingBooking(id))
		b.DischargeAt = day0.Add(at)
		insertAll(t, s, b)
	}
	add("second", 2*time.Minute)
	add("first", time.Minute)
	add("third", 3*time.Minute)
	insertAll(t, s, PendingBooking("pending"), RefusedRecord("refused"))
	for _, tt := range []struct {
		at    time.Duration
		limit int
		want  []string
	}{
		{time.Minute - time.Millisecond, 10, nil},
		{time.Minute, 10, []string{"first"}},
		{time.Hour, 10, []string{"first", "second", "third"}},
		{time.Hour, 2, []string{"first", "second"}},
	} {
		got, err := s.OwingBookings(t.Context(), day0.Add(tt.at), tt.limit)
		if err != nil || !slices.Equal(ids(got), tt.want) {
			t.Errorf("after %s: got %v, %v, want %v", tt.at, ids(got), err, tt.want)
		}
	}
}

func testObligations(t *testing.T, s Subject) {
	ctx := t.Context()
	full, changed, claimed := FullBooking("full"), FullBooking("changed"), FullBooking("claimed")
	insertAll(t, s, full, changed, claimed)
	changed.Revision++
	wantErr(t, "change", s.ReplaceBooking(ctx, changed, changed.State, changed.HoldNumber), nil)
	claimed.DischargeAt = day0.Add(time.Hour)
	wantErr(t, "claim", s.ReplaceBooking(ctx, claimed, claimed.State, claimed.HoldNumber), nil)

	until := day0.Add(2 * time.Hour)
	got, err := s.ClaimObligations(ctx, []booking.Booking{full, FullBooking("changed"), FullBooking("claimed"), FullBooking("unknown")}, until)
	full.DischargeAt = until
	if err != nil || !slices.Equal(got, []booking.Booking{full}) {
		t.Errorf("claim: got %+v, %v, want only %+v", got, err, full)
	}
	for _, want := range []booking.Booking{full, changed, claimed} {
		wantRecord(t, s, want)
	}
	later := until.Add(time.Hour)
	got, err = s.ClaimObligations(ctx, []booking.Booking{full, changed}, later)
	full.DischargeAt, changed.DischargeAt = later, later
	if err != nil || !slices.Equal(got, []booking.Booking{full, changed}) {
		t.Errorf("claim all: got %+v, %v, want %+v and %+v", got, err, full, changed)
	}

	partly, stale := full, FullBooking("changed")
	partly.Owes = booking.ObligationsOf(full.Owes.List()[1:])
	stale.Owes, stale.DischargeAt = booking.Obligations{}, time.Time{}
	wantErr(t, "store", s.StoreObligations(ctx, []booking.Booking{partly, stale}), nil)
	wantRecord(t, s, partly)
	wantRecord(t, s, changed)
	partly.Owes, partly.DischargeAt = booking.Obligations{}, time.Time{}
	wantErr(t, "store none", s.StoreObligations(ctx, []booking.Booking{partly}), nil)
	wantRecord(t, s, partly)
	if owing, err := s.OwingBookings(ctx, later, 10); err != nil || !slices.Equal(ids(owing), []string{"claimed", "changed"}) {
		t.Errorf("owing bookings: got %v, %v, want claimed and changed", ids(owing), err)
	}
}

func testClaimRace(t *testing.T, s Subject) {
	const processes, bookings = 8, 10
	var all []booking.Booking
	for i := range bookings {
		all = append(all, FullBooking(string(rune('a'+i))))
	}
	insertAll(t, s, all...)
	var claims [bookings]atomic.Int64
	kit.Concurrently(processes, func(i int) {
		claimed, err := s.ClaimObligations(t.Context(), all, day0.Add(time.Duration(i+1)*time.Hour))
		wantErr(t, "claim", err, nil)
		for _, b := range claimed {
			claims[b.ID[0]-'a'].Add(1)
		}
	})
	for i := range claims {
		if n := claims[i].Load(); n != 1 {
			t.Errorf("booking %s: got %d claims, want one", all[i].ID, n)
		}
	}
}
