package bookingtest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/kit"
)

// Ports is the interface of a complete store.
type Ports interface {
	booking.Store
	booking.Finder
	booking.Cancellations
}

// Subject is an empty store under test.
type Subject struct {
	Ports
	// Facts returns all facts in the outboxes, ordered by booking and then by the time
	// of writing.
	Facts func(t *testing.T) []booking.Fact
}

// Conform checks that a store fulfils the contracts of booking.Store, booking.Finder and
// booking.Cancellations. It calls open once for each subtest; open returns an empty store.
func Conform(t *testing.T, open func(t *testing.T) Subject) {
	for _, part := range []struct {
		name string
		test func(t *testing.T, s Subject)
	}{
		{"a record is read as it was stored", testRoundTrip},
		{"a replace compares state and hold number", testReplace},
		{"exactly one concurrent insert succeeds", testInsertRace},
		{"exactly one concurrent replace succeeds", testReplaceRace},
		{"lists are filtered, sorted and limited", testList},
		{"due bookings are found", testDue},
		{"live bookings are found", testLive},
		{"each of several replaces has its own result", testReplaceSeveral},
		{"owing bookings are found", testOwing},
		{"obligations are claimed and discharged by revision", testObligations},
		{"exactly one concurrent claim of a booking succeeds", testClaimRace},
		{"pending tickets of a user are counted", testPendingTickets},
		{"a cancellation is read as it was stored", testCancellationRoundTrip},
		{"exactly one concurrent write of a cancellation succeeds", testCancellationRace},
		{"due cancellations are found", testDueCancellations},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, open(t)) })
	}
}

// day0 is the time at which the bookings of the suite are created.
var day0 = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// FullBooking returns a booking in which every field is set.
func FullBooking(id string) booking.Booking {
	return booking.Booking{
		ID: id, HoldNumber: 3, State: booking.Cancelled, HoldID: id + "_3_f", Fingerprint: "f", EventID: "e", UserID: "u",
		Quantity: 2, UnitPrice: contract.Money{Amount: 2500, Currency: "EUR"},
		ExpiresAt: day0.Add(15 * time.Minute), CreatedAt: day0, UpdatedAt: day0.Add(3 * time.Millisecond), Revision: 4,
		ConfirmedAt: day0.Add(time.Second), PaymentReference: "päid", CancelledAt: day0.Add(time.Minute),
		CancelReason: booking.ByAdmin,
		Owes: booking.ObligationsOf([]booking.Obligation{
			{HoldID: id + "_2_f", Cause: eventapi.CauseExpired}, {HoldID: id + "_3_f", Cause: eventapi.CauseCancelled},
		}),
		DischargeAt: day0.Add(2 * time.Minute),
	}
}

// PendingBooking returns a newly created booking.
func PendingBooking(id string) booking.Booking {
	b := FullBooking(id)
	b.HoldNumber, b.State, b.HoldID, b.Revision = 1, booking.Pending, id+"_1_f", 1
	b.ConfirmedAt, b.PaymentReference, b.CancelledAt, b.CancelReason = time.Time{}, "", time.Time{}, ""
	b.Owes, b.DischargeAt = booking.Obligations{}, time.Time{}
	return b
}

// RefusedRecord returns a refused record, which is not a booking.
func RefusedRecord(id string) booking.Booking {
	return booking.Booking{ID: id, HoldNumber: 2, State: booking.Refused, PurgeAt: day0.Add(time.Minute), UpdatedAt: day0, Revision: 1}
}

func fact(id, bookingID string) booking.Fact {
	return booking.Fact{ID: id, Type: "booking.created", Subject: bookingID, At: day0, Data: []byte(`{"messageId":"` + id + `"}`)}
}

// wantErr checks an error with errors.Is.
func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// wantRecord checks that the stored record is want.
func wantRecord(t *testing.T, s Subject, want booking.Booking) {
	t.Helper()
	if got, err := s.GetBooking(t.Context(), want.ID); err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func factIDs(t *testing.T, s Subject) []string {
	t.Helper()
	var ids []string
	for _, f := range s.Facts(t) {
		ids = append(ids, f.ID)
	}
	return ids
}

func testRoundTrip(t *testing.T, s Subject) {
	ctx := t.Context()
	for _, b := range []booking.Booking{FullBooking("full"), PendingBooking("fresh"), RefusedRecord("refused")} {
		wantErr(t, "insert", s.InsertBooking(ctx, b, fact("fact-of-"+b.ID, b.ID)), nil)
		wantRecord(t, s, b)
	}
	wantErr(t, "insert again", s.InsertBooking(ctx, FullBooking("fresh"), fact("no", "fresh")), booking.ErrExists)
	wantErr(t, "insert with the id of a refused record", s.InsertBooking(ctx, PendingBooking("refused"), fact("no", "refused")), booking.ErrExists)
	wantRecord(t, s, PendingBooking("fresh"))
	_, err := s.GetBooking(ctx, "unknown")
	wantErr(t, "get an unknown booking", err, booking.ErrNoBooking)
	want := []booking.Fact{fact("fact-of-fresh", "fresh"), fact("fact-of-full", "full"), fact("fact-of-refused", "refused")}
	if got := s.Facts(t); !reflect.DeepEqual(got, want) {
		t.Errorf("outbox: got %v, want %v", got, want)
	}
}

func testReplace(t *testing.T, s Subject) {
	ctx := t.Context()
	b := PendingBooking("b")
	wantErr(t, "insert", s.InsertBooking(ctx, b, fact("1", "b")), nil)
	next := b
	next.State, next.Revision = booking.Expired, 2
	wantErr(t, "replace with another state", s.ReplaceBooking(ctx, next, booking.Confirmed, 1, fact("no", "b")), booking.ErrStale)
	wantErr(t, "replace with another hold number", s.ReplaceBooking(ctx, next, booking.Pending, 2, fact("no", "b")), booking.ErrStale)
	wantErr(t, "replace an unknown booking", s.ReplaceBooking(ctx, PendingBooking("x"), booking.Pending, 1, fact("no", "x")), booking.ErrStale)
	wantRecord(t, s, b)
	wantErr(t, "replace with the stored state and hold number", s.ReplaceBooking(ctx, next, booking.Pending, 1, fact("2", "b"), fact("3", "b")), nil)
	wantErr(t, "replace a second time", s.ReplaceBooking(ctx, next, booking.Pending, 1, fact("no", "b")), booking.ErrStale)
	wantRecord(t, s, next)
	raised := next
	raised.HoldNumber, raised.Revision = 2, 3
	wantErr(t, "replace without a fact", s.ReplaceBooking(ctx, raised, booking.Expired, 1), nil)
	wantRecord(t, s, raised)
	if got, want := factIDs(t, s), []string{"1", "2", "3"}; !slices.Equal(got, want) {
		t.Errorf("outbox: got %v, want %v", got, want)
	}

	// A refused record becomes a booking.
	wantErr(t, "insert", s.InsertBooking(ctx, RefusedRecord("r")), nil)
	b = PendingBooking("r")
	b.HoldNumber = 2
	wantErr(t, "replace a refused record with a booking", s.ReplaceBooking(ctx, b, booking.Refused, 2, fact("4", "r")), nil)
	wantRecord(t, s, b)
}

func testInsertRace(t *testing.T, s Subject) {
	var won atomic.Int64
	kit.Concurrently(16, func(i int) {
		b := PendingBooking("b")
		b.Quantity = int64(i + 1)
		switch err := s.InsertBooking(t.Context(), b, fact(fmt.Sprint(i), "b")); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, booking.ErrExists):
			t.Errorf("insert: %v", err)
		}
	})
	if won.Load() != 1 || len(factIDs(t, s)) != 1 {
		t.Errorf("got %d successful inserts and facts %v, want one of each", won.Load(), factIDs(t, s))
	}
}

func testReplaceRace(t *testing.T, s Subject) {
	b := PendingBooking("b")
	wantErr(t, "insert", s.InsertBooking(t.Context(), b), nil)
	var won atomic.Int64
	kit.Concurrently(16, func(i int) {
		next := b
		next.State = []booking.State{booking.Confirmed, booking.Cancelled, booking.Expired}[i%3]
		switch err := s.ReplaceBooking(t.Context(), next, booking.Pending, 1, fact(fmt.Sprint(i), "b")); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, booking.ErrStale):
			t.Errorf("replace: %v", err)
		}
	})
	if won.Load() != 1 || len(factIDs(t, s)) != 1 {
		t.Errorf("got %d successful replaces and facts %v, want one of each", won.Load(), factIDs(t, s))
	}
}

func testList(t *testing.T, s Subject) {
	add := func(id, event, user string, state booking.State, created time.Duration) {
		b := FullBooking(id)
		b.EventID, b.UserID, b.State, b.CreatedAt = event, user, state, day0.Add(created)
		wantErr(t, "insert", s.InsertBooking(t.Context(), b), nil)
	}
	add("a", "e1", "u1", booking.Pending, 1*time.Minute)
	add("b", "e1", "u2", booking.Confirmed, 2*time.Minute)
	add("c", "e2", "u1", booking.Cancelled, 2*time.Minute)
	add("d", "e2", "u1", booking.Expired, 3*time.Minute)
	wantErr(t, "insert", s.InsertBooking(t.Context(), RefusedRecord("r")), nil)
	for _, tt := range []struct {
		name string
		q    booking.Query
		want []string
	}{
		{"all", booking.Query{}, []string{"d", "c", "b", "a"}},
		{"of an event", booking.Query{EventID: "e1"}, []string{"b", "a"}},
		{"of a user", booking.Query{UserID: "u1"}, []string{"d", "c", "a"}},
		{"of a state", booking.Query{State: booking.Confirmed}, []string{"b"}},
		{"of a user, an event and a state", booking.Query{UserID: "u1", EventID: "e2", State: booking.Expired}, []string{"d"}},
		{"from", booking.Query{From: new(day0.Add(2 * time.Minute))}, []string{"d", "c", "b"}},
		{"to", booking.Query{To: new(day0.Add(2 * time.Minute))}, []string{"a"}},
		{"from the zero time", booking.Query{From: new(time.Time{})}, []string{"d", "c", "b", "a"}},
		{"to the zero time", booking.Query{To: new(time.Time{})}, nil},
		{"no match", booking.Query{UserID: "unknown"}, nil},
	} {
		for _, limit := range []int{100, 2, 1} {
			q := tt.q
			q.Limit = limit
			var got []string
			for range 10 {
				found, err := s.ListBookings(t.Context(), q)
				if err != nil || len(found) > limit {
					t.Fatalf("%s: got %d bookings, %v, want at most %d", tt.name, len(found), err, limit)
				}
				for _, b := range found {
					got = append(got, b.ID)
				}
				if len(found) < limit {
					break
				}
				last := found[len(found)-1]
				q.After = &booking.Position{CreatedAt: last.CreatedAt, ID: last.ID}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s, limit %d: got %v, want %v", tt.name, limit, got, tt.want)
			}
			if n, err := s.CountBookings(t.Context(), q); err != nil || n != int64(min(len(tt.want), limit)) {
				t.Errorf("%s, limit %d: got count %d, %v, want at most the limit of %d", tt.name, limit, n, err, len(tt.want))
			}
		}
	}
}

func ids(bs []booking.Booking) []string {
	var ids []string
	for _, b := range bs {
		ids = append(ids, b.ID)
	}
	return ids
}

func testDue(t *testing.T, s Subject) {
	add := func(id, event string, state booking.State, expires time.Duration) {
		b := PendingBooking(id)
		b.EventID, b.State, b.ExpiresAt = event, state, day0.Add(expires)
		wantErr(t, "insert", s.InsertBooking(t.Context(), b), nil)
	}
	add("third", "e1", booking.Pending, 3*time.Minute)
	add("second", "e2", booking.Pending, 2*time.Minute)
	add("first", "e1", booking.Pending, 1*time.Minute)
	add("confirmed", "e1", booking.Confirmed, 0)
	add("expired", "e1", booking.Expired, 0)
	for _, tt := range []struct {
		event string
		at    time.Duration
		limit int
		want  []string
	}{
		{"", time.Minute - time.Millisecond, 10, nil},
		{"", time.Minute, 10, []string{"first"}},
		{"", time.Hour, 10, []string{"first", "second", "third"}},
		{"", time.Hour, 2, []string{"first", "second"}},
		{"e1", time.Hour, 10, []string{"first", "third"}},
		{"e3", time.Hour, 10, nil},
	} {
		got, err := s.DueBookings(t.Context(), tt.event, day0.Add(tt.at), tt.limit)
		if err != nil || !slices.Equal(ids(got), tt.want) {
			t.Errorf("event %q after %s: got %v, %v, want %v", tt.event, tt.at, ids(got), err, tt.want)
		}
	}
}

func testLive(t *testing.T, s Subject) {
	for id, state := range map[string]booking.State{
		"a": booking.Pending, "b": booking.Confirmed, "c": booking.Cancelled, "d": booking.Expired, "e": booking.Pending,
	} {
		b := FullBooking(id)
		b.State = state
		wantErr(t, "insert", s.InsertBooking(t.Context(), b), nil)
	}
	other := PendingBooking("f")
	other.EventID = "other"
	wantErr(t, "insert", s.InsertBooking(t.Context(), other), nil)
	for _, tt := range []struct {
		after string
		limit int
		want  []string
	}{
		{"", 10, []string{"a", "b", "e"}},
		{"", 2, []string{"a", "b"}},
		{"b", 2, []string{"e"}},
		{"e", 2, nil},
	} {
		got, err := s.LiveBookings(t.Context(), "e", tt.after, tt.limit)
		if err != nil || !slices.Equal(ids(got), tt.want) {
			t.Errorf("after %q: got %v, %v, want %v", tt.after, ids(got), err, tt.want)
		}
	}
}
