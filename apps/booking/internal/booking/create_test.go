package booking_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
)

func TestCreateReservesSeatsAndInsertsTheBooking(t *testing.T) {
	f := newFixture(t)
	got := f.book(request("", 2))
	f.wantCalls("create", "reserve", "bookings.insert")
	want := bookingapi.Booking{
		ID: "own-id", Code: got.Booking.Code, EventID: "gala", UserID: "u1", Quantity: 2,
		TotalPrice: contract.Money{Amount: 5000, Currency: "EUR"}, Status: "pending",
		ExpiresAt: contract.At(f.now.Add(ttl)), CreatedAt: contract.At(f.now), UpdatedAt: contract.At(f.now),
	}
	if got.Booking != want || got.Replayed {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$`).MatchString(got.Booking.Code) {
		t.Errorf("got code %q, want eight characters without I, L, O and U", got.Booking.Code)
	}
	f.wantFacts("create", "created")
}

func TestCreateWithAKeyIsReplayed(t *testing.T) {
	f := newFixture(t)
	first := f.book(request("key", 2))
	f.wantCalls("create", "bookings.read", "reserve", "bookings.insert")
	if first.Booking.ID == "own-id" || first.Booking.ID != bookingtest.KeyedID("u1", "key") {
		t.Errorf("got id %s, want the one derived from the key", first.Booking.ID)
	}
	_, err := f.ConfirmBooking(t.Context(), bookingapi.ConfirmRequest{BookingID: first.Booking.ID, UserID: "u1"})
	f.wantErr("confirm", err, nil)
	f.now, f.calls = f.now.Add(time.Hour), nil

	repeated := f.book(request("key", 2))
	f.wantCalls("retry", "bookings.read")
	if repeated.Booking != first.Booking || !repeated.Replayed {
		t.Errorf("retry: got %+v, want the first answer %+v", repeated, first)
	}
	_, err = f.CreateBooking(t.Context(), request("key", 3))
	f.wantErr("key reused with another body", err, booking.ErrIdempotencyMismatch)
	other := request("key", 2)
	other.UserID = "u2"
	if f.book(other).Booking.ID == first.Booking.ID {
		t.Error("two users with the same key got the same booking id")
	}
}

// Without a key the client cannot have sent the request twice. A duplicate comes from
// a retrying sidecar, so the answer is not marked as replayed.
func TestDuplicateWithoutAKeyIsNotMarkedAsReplayed(t *testing.T) {
	f := newFixture(t)
	first := f.book(request("", 2))
	repeated := f.book(request("", 2))
	if repeated.Booking != first.Booking || repeated.Replayed {
		t.Errorf("got %+v, want %+v, not replayed", repeated, first)
	}
}

func TestRefusedCreateLeavesAHiddenRecord(t *testing.T) {
	for _, key := range []string{"", "key"} {
		f := newFixture(t)
		f.onReserve = func(string) error { return errLimit }
		_, err := f.CreateBooking(t.Context(), request(key, 2))
		f.wantErr("create", err, errLimit)
		id := "own-id"
		if key != "" {
			id = bookingtest.KeyedID("u1", key)
		}
		if b := f.record(id); b.State != booking.Refused || b.HoldNumber != 2 {
			t.Errorf("got %+v, want a refused record with hold number 2", b)
		}
		_, err = f.GetBooking(t.Context(), getAsOwner(id))
		f.wantErr("get a refused record", err, booking.ErrNotFound)
		f.wantFacts("refused create")
	}
}

func TestRefusedKeyCanBeUsedAgain(t *testing.T) {
	f := newFixture(t)
	f.onReserve = func(string) error { return errSoldOut }
	for n := range int64(3) {
		_, err := f.CreateBooking(t.Context(), request("key", 2))
		f.wantErr("create", err, errSoldOut)
		if b := f.record(bookingtest.KeyedID("u1", "key")); b.HoldNumber != n+2 {
			t.Errorf("refusal %d: got hold number %d, want %d", n, b.HoldNumber, n+2)
		}
	}
	var hold string
	f.onReserve = func(id string) error { hold = id; return nil }
	f.calls = nil
	got := f.book(request("key", 3)) // a refused key is not bound to a body
	f.wantCalls("create", "bookings.read", "reserve", "bookings.replace")
	if got.Replayed || !strings.Contains(hold, "_4_") || f.record(got.Booking.ID).HoldID != hold {
		t.Errorf("got %+v with hold %s, want a new booking with hold number 4", got, hold)
	}
	f.wantFacts("create", "created")
}

func TestUnknownReserveOutcomeLeavesNoRecord(t *testing.T) {
	f := newFixture(t)
	f.onReserve = func(string) error { return errUnknown }
	_, err := f.CreateBooking(t.Context(), request("key", 2))
	f.wantErr("create", err, errUnknown)
	if n := len(f.store.Contents()); n != 0 {
		t.Errorf("got %d records, want 0", n)
	}
	f.onReserve = nil
	if got := f.book(request("key", 2)); got.Replayed {
		t.Error("got a replayed booking for the retry, want a new one")
	}
}

// A create must not insert a booking if its hold number was invalidated while it
// reserved its seats.
func TestSupersededCreateInsertsNoBooking(t *testing.T) {
	for _, tt := range []struct {
		name string
		// meanwhile runs while the create reserves its seats. It returns the result of
		// the reserve.
		meanwhile func(f *fixture, holdID string) error
		want      error
		released  int // number of holds that the create releases
		replayed  bool
	}{
		{"concurrent duplicate was refused", func(f *fixture, _ string) error {
			f.onReserve = func(string) error { return errSoldOut }
			_, err := f.CreateBooking(f.t.Context(), request("key", 2))
			f.wantErr("concurrent create", err, errSoldOut)
			return nil
		}, errSuperseded, 1, false},
		{"hold was settled", func(f *fixture, id string) error {
			got, err := f.SettleHold(f.t.Context(), bookingapi.SettleRequest{HoldID: id})
			if err != nil || got.Live {
				f.t.Errorf("settle: got %v, %v, want not live", got, err)
			}
			return nil
		}, errSuperseded, 1, false},
		{"concurrent duplicate succeeded", func(f *fixture, _ string) error {
			f.onReserve = nil
			f.book(request("key", 2))
			return nil
		}, nil, 0, true},
		{"concurrent duplicate succeeded, this one was refused as sold out", func(f *fixture, _ string) error {
			f.onReserve = nil
			f.book(request("key", 2))
			return errSoldOut
		}, nil, 0, true},
		{"key was used with another body", func(f *fixture, _ string) error {
			f.onReserve = nil
			f.book(request("key", 3))
			return nil
		}, booking.ErrIdempotencyMismatch, 1, false},
		{"hold was released", func(*fixture, string) error { return errHoldReleased }, errSuperseded, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			var hold string
			f.onReserve = func(id string) error {
				hold = id
				return tt.meanwhile(f, id)
			}
			got, err := f.CreateBooking(t.Context(), request("key", 2))
			f.wantErr("create", err, tt.want)
			if got.Replayed != tt.replayed {
				t.Errorf("got replayed %v, want %v", got.Replayed, tt.replayed)
			}
			if len(f.released) != tt.released || tt.released > 0 && !slices.Contains(f.released, hold) {
				t.Errorf("got released holds %v, want %d including %s", f.released, tt.released, hold)
			}
			// A retry succeeds, unless the key belongs to another request.
			f.onReserve = nil
			if tt.want != booking.ErrIdempotencyMismatch {
				f.book(request("key", 2))
			}
		})
	}
}

func TestSoldOutCreateExpiresDueBookingsAndRetries(t *testing.T) {
	f := newFixture(t)
	f.book(request("old", 2))
	f.now = f.now.Add(ttl)
	reserves := 0
	f.onReserve = func(string) error {
		if reserves++; len(f.released) == 0 {
			return errSoldOut
		}
		return nil
	}
	f.book(request("new", 2))
	if reserves != 2 || len(f.released) != 1 {
		t.Errorf("got %d reserves and released holds %v, want two reserves and one released hold", reserves, f.released)
	}
	if b := f.record(bookingtest.KeyedID("u1", "old")); b.State != booking.Expired {
		t.Errorf("due booking: got state %s, want expired", b.State)
	}
	// The scan for due bookings runs at most once a second.
	f.onReserve = func(string) error { return errSoldOut }
	f.calls = nil
	_, err := f.CreateBooking(t.Context(), request("third", 2))
	f.wantErr("create", err, errSoldOut)
	f.wantCalls("create", "bookings.read", "reserve", "bookings.insert")
	f.now = f.now.Add(time.Second)
	_, err = f.CreateBooking(t.Context(), request("fourth", 2))
	f.wantErr("create", err, errSoldOut)
	f.wantCalls("create", "bookings.read", "reserve", "bookings.due", "bookings.insert")
}

func TestCreateListsAllInvalidFields(t *testing.T) {
	for _, tt := range []struct {
		name string
		req  bookingapi.CreateRequest
		want []string
	}{
		{"empty request", bookingapi.CreateRequest{}, []string{"bookingId:required", "userId:required", "eventId:required", "quantity:too_small"}},
		{"malformed ids", bookingapi.CreateRequest{BookingID: "a.b", UserID: "ü", EventID: strings.Repeat("e", 65), Quantity: 11},
			[]string{"bookingId:invalid", "userId:invalid", "eventId:invalid", "quantity:too_large"}},
		{"negative quantity", bookingapi.CreateRequest{BookingID: "b", UserID: "u", EventID: "e", Quantity: -1}, []string{"quantity:too_small"}},
		{"quantity of 2^31", bookingapi.CreateRequest{BookingID: "b", UserID: "u", EventID: "e", Quantity: 1 << 31}, []string{"quantity:too_large"}},
		{"key with a space", bookingapi.CreateRequest{IdempotencyKey: "a b", UserID: "u", EventID: "e", Quantity: 1}, []string{"Idempotency-Key:invalid"}},
		{"key of 129 bytes", bookingapi.CreateRequest{IdempotencyKey: strings.Repeat("k", 129), UserID: "u", EventID: "e", Quantity: 1}, []string{"Idempotency-Key:invalid"}},
		{"key of 128 bytes", bookingapi.CreateRequest{IdempotencyKey: strings.Repeat("k", 128), UserID: "u", EventID: "e", Quantity: 10}, nil},
	} {
		f := newFixture(t)
		_, err := f.CreateBooking(t.Context(), tt.req)
		if got := invalidFields(err); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if tt.want != nil && len(f.calls) > 0 {
			t.Errorf("%s: got calls %v, want none", tt.name, f.calls)
		}
	}
}
