package booking_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

func (f *fixture) confirm(id string) (bookingapi.Booking, error) {
	return f.Confirm(f.t.Context(), bookingapi.ConfirmRequest{BookingID: id, UserID: "u1"})
}

func TestConfirm(t *testing.T) {
	f := newFixture(t)
	f.book(request("", 2))
	f.calls = nil
	f.now = f.now.Add(time.Minute)
	reference := "PAY-1"
	got, err := f.Confirm(t.Context(), bookingapi.ConfirmRequest{BookingID: "own-id", UserID: "u1", PaymentReference: &reference})
	f.is("confirm", err, nil)
	f.cost("confirm", "bookings.read", "bookings.replace")
	if got.Status != "confirmed" || *got.ConfirmedAt != contract.At(f.now) || f.record("own-id").PaymentReference != reference {
		t.Errorf("got %+v", got)
	}
	again, err := f.confirm("own-id")
	f.is("confirm again", err, nil)
	f.cost("confirm again", "bookings.read")
	if again.Status != "confirmed" || *again.ConfirmedAt != *got.ConfirmedAt {
		t.Errorf("again: got %+v", again)
	}
	f.facts("once", "created", "confirmed")

	long := strings.Repeat("ü", 129)
	_, err = f.Confirm(t.Context(), bookingapi.ConfirmRequest{BookingID: "own-id", UserID: "u1", PaymentReference: &long})
	if got, want := wrongFields(err), []string{"paymentReference:too_long"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestConfirmLate(t *testing.T) {
	for _, tt := range []struct {
		name string
		// reserve answers the reserve of the second hold.
		reserve func(f *fixture, hold string) error
		want    error
		state   booking.State
		n       int64
	}{
		{"there are seats", nil, nil, booking.Confirmed, 2},
		{"sold out", func(*fixture, string) error { return errSoldOut }, booking.ErrExpired, booking.Expired, 2},
		{"the event is over", func(*fixture, string) error {
			return apperr.New(apperr.Conflict, eventapi.ReasonStarted, "")
		}, booking.ErrExpired, booking.Expired, 2},
		{"no answer", func(*fixture, string) error { return errUnknown }, errUnknown, booking.Expired, 1},
		{"a tombstone", func(*fixture, string) error { return errDead }, errAgain, booking.Expired, 2},
		{"settled meanwhile", func(f *fixture, hold string) error {
			got, err := f.Settle(f.t.Context(), bookingapi.SettleRequest{HoldID: hold})
			if err != nil || got.Live {
				f.t.Errorf("settle: got %v, %v, want dead", got, err)
			}
			return nil
		}, errAgain, booking.Expired, 2},
		{"confirmed by a twin meanwhile", func(f *fixture, _ string) error {
			f.onReserve = nil
			_, err := f.confirm("own-id")
			f.is("twin", err, nil)
			return nil
		}, nil, booking.Confirmed, 2},
		{"confirmed by a twin, and sold out", func(f *fixture, _ string) error {
			f.onReserve = nil
			_, err := f.confirm("own-id")
			f.is("twin", err, nil)
			return errSoldOut
		}, nil, booking.Confirmed, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.book(request("", 2))
			first := f.record("own-id").HoldID
			f.now = f.now.Add(ttl)
			if tt.reserve != nil {
				f.onReserve = func(hold string) error { return tt.reserve(f, hold) }
			}
			_, err := f.confirm("own-id")
			f.is("confirm", err, tt.want)
			b := f.record("own-id")
			if b.State != tt.state || b.N != tt.n {
				t.Errorf("got %s %d, want %s %d", b.State, b.N, tt.state, tt.n)
			}
			if (b.HoldID == first) != (tt.state == booking.Expired) {
				t.Errorf("its hold is %s", b.HoldID)
			}
			if !slices.Contains(f.released, first) || slices.Contains(f.released, b.HoldID) != (tt.state == booking.Expired) {
				t.Errorf("released %v", f.released)
			}
			// Later there are seats.
			f.onReserve = nil
			if got, err := f.confirm("own-id"); err != nil || got.Status != "confirmed" {
				t.Errorf("later: got %v, %v", got.Status, err)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	for _, tt := range []struct {
		name    string
		confirm bool
		cutoff  int64
		after   time.Duration // with the start after 48 hours
		status  string
		want    error
	}{
		{"pending", false, 0, 0, "", nil},
		{"pending past the cutoff", false, 24, 30 * time.Hour, "", nil},
		{"confirmed", true, 0, 0, "", nil},
		{"confirmed just before the cutoff", true, 24, 24*time.Hour - time.Millisecond, "", nil},
		{"confirmed at the cutoff", true, 24, 24 * time.Hour, "", booking.ErrCutoffPassed},
		{"confirmed at the start", true, 0, 48 * time.Hour, "", booking.ErrCutoffPassed},
		{"confirmed, of a cancelled event", true, 0, 48 * time.Hour, eventapi.StatusCancelled, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.event.CancellationCutoffHours = tt.cutoff
			if tt.status != "" {
				f.event.Status = tt.status
			}
			f.book(request("", 2))
			if tt.confirm {
				_, err := f.confirm("own-id")
				f.is("confirm", err, nil)
			}
			f.now = f.now.Add(tt.after)
			got, err := f.Cancel(t.Context(), asker("own-id"))
			f.is("cancel", err, tt.want)
			if tt.want != nil {
				if len(f.released) > 0 || f.record("own-id").State != booking.Confirmed {
					t.Error("something changed")
				}
				return
			}
			if got.Status != "cancelled" || got.CancelReason != "user" || *got.CancelledAt != contract.At(f.now) {
				t.Errorf("got %+v", got)
			}
			again, err := f.Cancel(t.Context(), asker("own-id"))
			if err != nil || *again.CancelledAt != *got.CancelledAt || len(f.released) != 1 {
				t.Errorf("again: got %+v, %v, released %v", again, err, f.released)
			}
			_, err = f.confirm("own-id")
			f.is("confirm", err, booking.ErrNotPending)
		})
	}
}

func TestCancelByAdmin(t *testing.T) {
	f := newFixture(t)
	f.book(request("", 2))
	got, err := f.Cancel(t.Context(), bookingapi.CancelRequest{BookingID: "own-id", UserID: "boss", ByAdmin: true})
	if err != nil || got.CancelReason != "admin" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestOthersBookingsDoNotExist(t *testing.T) {
	f := newFixture(t)
	f.book(request("", 2))
	other := bookingapi.GetRequest{BookingID: "own-id", UserID: "u2"}
	_, err := f.Fetch(t.Context(), other)
	f.is("fetch", err, booking.ErrNotFound)
	_, err = f.Cancel(t.Context(), other)
	f.is("cancel", err, booking.ErrNotFound)
	_, err = f.Confirm(t.Context(), bookingapi.ConfirmRequest{BookingID: "own-id", UserID: "u2"})
	f.is("confirm", err, booking.ErrNotFound)
	other.ByAdmin = true
	_, err = f.Fetch(t.Context(), other)
	f.is("fetch as an admin", err, nil)
	_, err = f.Fetch(t.Context(), asker("unknown"))
	f.is("unknown", err, booking.ErrNotFound)
}

func TestExpire(t *testing.T) {
	f := newFixture(t)
	f.book(request("a", 1))
	f.now = f.now.Add(time.Second)
	f.book(request("b", 1))
	f.now = f.now.Add(ttl - time.Second)
	for i, want := range []int{1, 0} {
		if n, err := f.Expire(t.Context()); err != nil || n != want {
			t.Errorf("sweep %d: got %d, %v, want %d", i, n, err, want)
		}
	}
	if len(f.released) != 1 {
		t.Errorf("released %v, want one", f.released)
	}
	f.facts("one expired", "created", "expired", "created")
}

func TestManyExpireInOneSweep(t *testing.T) {
	f := newFixture(t)
	const many = 450
	for range many {
		f.book(request(f.NewID(), 1))
	}
	f.now = f.now.Add(ttl)
	if n, err := f.Expire(t.Context()); err != nil || n != many {
		t.Errorf("got %d, %v, want %d", n, err, many)
	}
}

// While the event app hangs each release would wait for its deadline: the facts
// give the seats back, and all bookings end in time.
func TestOneReleaseIsTriedWhileTheEventAppHangs(t *testing.T) {
	f := newFixture(t)
	f.onRelease = errUnknown
	const many = 450
	for range many {
		f.book(request(f.NewID(), 1))
	}
	f.now = f.now.Add(ttl)
	if n, err := f.Expire(t.Context()); err != nil || n != many || len(f.released) != 1 {
		t.Errorf("expired %d, %v, after %d releases, want %d after 1", n, err, len(f.released), many)
	}
	for range many {
		f.book(request(f.NewID(), 1))
	}
	f.released = nil
	f.is("cancelled", f.OnEventCancelled(t.Context(), eventapi.Fact{Resource: eventapi.Event{ID: "gala"}}), nil)
	if len(f.released) != 1 {
		t.Errorf("cancelled after %d releases, want 1", len(f.released))
	}
	// The next round tries again, and goes on after a refusal.
	f.onRelease, f.released = errSoldOut, nil
	for range 3 {
		f.book(request(f.NewID(), 1))
	}
	f.now = f.now.Add(ttl)
	if n, err := f.Expire(t.Context()); err != nil || n != 3 || len(f.released) != 3 {
		t.Errorf("expired %d, %v, after %d releases, want 3 after 3", n, err, len(f.released))
	}
}

func TestOnEventCancelled(t *testing.T) {
	f := newFixture(t)
	const many = 450
	for range many {
		f.book(request(f.NewID(), 1))
	}
	id := f.book(request("", 1)).Booking.ID
	_, err := f.confirm(id)
	f.is("confirm", err, nil)
	other := request("other", 1)
	other.EventID = "other"
	untouched := f.book(other).Booking.ID
	f.now = f.now.Add(72 * time.Hour) // past the start: it is never refused
	for range 2 {
		f.is("cancelled", f.OnEventCancelled(t.Context(), eventapi.Fact{Resource: eventapi.Event{ID: "gala"}}), nil)
	}
	cancelled := 0
	for _, b := range f.store.Contents() {
		if b.State == booking.Cancelled && b.CancelReason == booking.ByEventCancelled {
			cancelled++
		}
	}
	if cancelled != many+1 || len(f.released) != many+1 {
		t.Errorf("cancelled %d, released %d, want %d", cancelled, len(f.released), many+1)
	}
	if b := f.record(untouched); b.State != booking.Pending {
		t.Errorf("the other event's booking is %s", b.State)
	}
}

func TestSettle(t *testing.T) {
	base := bookingapi.Settlement{}
	for _, tt := range []struct {
		name   string
		before func(f *fixture) // makes the booking own-id
		hold   func(f *fixture) string
		want   bookingapi.Settlement
		state  booking.State
		n      int64
	}{
		{"unknown", nil, nil, base, booking.Refused, 2},
		{"refused before", func(f *fixture) {
			f.onReserve = func(string) error { return errSoldOut }
			_, _ = f.Create(f.t.Context(), request("", 2))
		}, nil, base, booking.Refused, 2},
		{"refused, the next number", func(f *fixture) {
			f.onReserve = func(string) error { return errSoldOut }
			_, _ = f.Create(f.t.Context(), request("", 2))
		}, func(*fixture) string { return "own-id_2_f" }, base, booking.Refused, 3},
		{"pending", func(f *fixture) { f.book(request("", 2)) }, nil, bookingapi.Settlement{Live: true}, booking.Pending, 1},
		{"pending, another body's hold", func(f *fixture) { f.book(request("", 2)) },
			func(*fixture) string { return "own-id_1_f" }, base, booking.Pending, 1},
		{"confirmed", func(f *fixture) {
			f.book(request("", 2))
			_, _ = f.confirm("own-id")
		}, nil, bookingapi.Settlement{Live: true, Confirmed: true}, booking.Confirmed, 1},
		{"cancelled", func(f *fixture) {
			f.book(request("", 2))
			_, _ = f.Cancel(f.t.Context(), asker("own-id"))
		}, nil, base, booking.Cancelled, 1},
		{"expired", func(f *fixture) {
			f.book(request("", 2))
			f.now = f.now.Add(ttl)
			_, _ = f.Expire(f.t.Context())
		}, nil, base, booking.Expired, 1},
		{"expired, the hold of a late confirm", func(f *fixture) {
			f.book(request("", 2))
			f.now = f.now.Add(ttl)
			_, _ = f.Expire(f.t.Context())
		}, func(*fixture) string { return "own-id_2_f" }, base, booking.Expired, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			if tt.before != nil {
				tt.before(f)
			}
			hold := f.record("own-id").HoldID
			if hold == "" {
				hold = "own-id_1_f"
			}
			if tt.hold != nil {
				hold = tt.hold(f)
			}
			for range 2 {
				got, err := f.Settle(t.Context(), bookingapi.SettleRequest{HoldID: hold})
				b := f.record("own-id")
				if err != nil || got != tt.want || b.State != tt.state || b.N != tt.n {
					t.Errorf("got %+v, %v, then %s %d, want %+v, %s %d", got, err, b.State, b.N, tt.want, tt.state, tt.n)
				}
			}
		})
	}
	f := newFixture(t)
	for _, bad := range []string{"", "x", "a_b", "a_0_f", "a_x_f", "_1_f"} {
		_, err := f.Settle(t.Context(), bookingapi.SettleRequest{HoldID: bad})
		if got := wrongFields(err); !slices.Equal(got, []string{"holdId:invalid"}) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestList(t *testing.T) {
	f := newFixture(t)
	var want []string
	for range 5 {
		f.now = f.now.Add(time.Second)
		want = append([]string{f.book(request(f.NewID(), 1)).Booking.ID}, want...)
	}
	req := bookingapi.ListRequest{UserID: "u1", Count: true}
	req.Limit = 2
	var got []string
	cursor := ""
	for range 3 {
		page, err := f.List(t.Context(), req)
		if err != nil || *page.Total != 5 || page.Limit != 2 {
			t.Fatalf("got %+v, %v", page, err)
		}
		for _, b := range page.Items {
			got = append(got, b.ID)
		}
		if req.Cursor = page.NextCursor; req.Cursor != "" {
			cursor = req.Cursor
		}
	}
	if !slices.Equal(got, want) || req.Cursor != "" {
		t.Errorf("got %v, %q, want %v", got, req.Cursor, want)
	}
	for _, tt := range []struct {
		name string
		req  bookingapi.ListRequest
		want []string
	}{
		{"another user's cursor", bookingapi.ListRequest{UserID: "u2", PageRequest: contract.PageRequest{Cursor: cursor}}, []string{"cursor:invalid"}},
		{"a forged one", bookingapi.ListRequest{UserID: "u1", PageRequest: contract.PageRequest{Cursor: "x" + cursor[1:]}}, []string{"cursor:invalid"}},
		{"all at once", bookingapi.ListRequest{UserID: "ü", EventID: "?", Status: "refused", PageRequest: contract.PageRequest{Limit: 101}},
			[]string{"limit:too_large", "userId:invalid", "eventId:invalid", "status:invalid"}},
		{"unknown ids", bookingapi.ListRequest{UserID: "nobody", EventID: "nothing"}, nil},
	} {
		page, err := f.List(t.Context(), tt.req)
		if got := wrongFields(err); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if page.Items == nil || len(page.Items) > 0 {
			t.Errorf("%s: got %v, want an empty list", tt.name, page.Items)
		}
	}
}
