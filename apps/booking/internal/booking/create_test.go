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

func TestCreate(t *testing.T) {
	f := newFixture(t)
	got := f.book(request("", 2))
	f.cost("create", "reserve", "bookings.insert")
	want := bookingapi.Booking{
		ID: "own-id", Code: got.Booking.Code, EventID: "gala", UserID: "u1", Quantity: 2,
		TotalPrice: contract.Money{Amount: 5000, Currency: "EUR"}, Status: "pending",
		ExpiresAt: contract.At(f.now.Add(ttl)), CreatedAt: contract.At(f.now), UpdatedAt: contract.At(f.now),
	}
	if got.Booking != want || got.Replayed {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$`).MatchString(got.Booking.Code) {
		t.Errorf("code %q cannot be read out", got.Booking.Code)
	}
	f.facts("create", "created")
}

func TestCreateWithAKey(t *testing.T) {
	f := newFixture(t)
	first := f.book(request("key", 2))
	f.cost("create", "bookings.read", "reserve", "bookings.insert")
	if first.Booking.ID == "own-id" || first.Booking.ID != bookingtest.KeyedID("u1", "key") {
		t.Errorf("the id %s does not come from the key", first.Booking.ID)
	}
	_, err := f.ConfirmBooking(t.Context(), bookingapi.ConfirmRequest{BookingID: first.Booking.ID, UserID: "u1"})
	f.is("confirm", err, nil)
	f.now, f.calls = f.now.Add(time.Hour), nil

	again := f.book(request("key", 2))
	f.cost("again", "bookings.read")
	if again.Booking != first.Booking || !again.Replayed {
		t.Errorf("again: got %+v, want the first answer %+v", again, first)
	}
	_, err = f.CreateBooking(t.Context(), request("key", 3))
	f.is("another body", err, booking.ErrIdempotencyMismatch)
	other := request("key", 2)
	other.UserID = "u2"
	if f.book(other).Booking.ID == first.Booking.ID {
		t.Error("two users share a key")
	}
}

// Without a key a try that comes twice is not one that the client repeated.
func TestCreateTwiceWithoutAKey(t *testing.T) {
	f := newFixture(t)
	first := f.book(request("", 2))
	again := f.book(request("", 2))
	if again.Booking != first.Booking || again.Replayed {
		t.Errorf("got %+v, want %+v, not replayed", again, first)
	}
}

func TestCreateRefuses(t *testing.T) {
	for _, key := range []string{"", "key"} {
		f := newFixture(t)
		f.onReserve = func(string) error { return errLimit }
		_, err := f.CreateBooking(t.Context(), request(key, 2))
		f.is("create", err, errLimit)
		id := "own-id"
		if key != "" {
			id = bookingtest.KeyedID("u1", key)
		}
		if b := f.record(id); b.State != booking.Refused || b.HoldNumber != 2 {
			t.Errorf("got %+v, want a refused record with 2", b)
		}
		_, err = f.GetBooking(t.Context(), asker(id))
		f.is("it is shown to nobody", err, booking.ErrNotFound)
		f.facts("and told to nobody")
	}
}

func TestRefusedKeyMayBeTriedAgain(t *testing.T) {
	f := newFixture(t)
	f.onReserve = func(string) error { return errSoldOut }
	for n := range int64(3) {
		_, err := f.CreateBooking(t.Context(), request("key", 2))
		f.is("create", err, errSoldOut)
		if b := f.record(bookingtest.KeyedID("u1", "key")); b.HoldNumber != n+2 {
			t.Errorf("refusal %d left n %d, want %d", n, b.HoldNumber, n+2)
		}
	}
	var hold string
	f.onReserve = func(id string) error { hold = id; return nil }
	f.calls = nil
	got := f.book(request("key", 3)) // another body is no matter: only a 201 is kept
	f.cost("create", "bookings.read", "reserve", "bookings.replace")
	if got.Replayed || !strings.Contains(hold, "_4_") || f.record(got.Booking.ID).HoldID != hold {
		t.Errorf("got %+v with hold %s, want a new booking with the fourth", got, hold)
	}
	f.facts("create", "created")
}

func TestUnknownOutcomeIsLeftOpen(t *testing.T) {
	f := newFixture(t)
	f.onReserve = func(string) error { return errUnknown }
	_, err := f.CreateBooking(t.Context(), request("key", 2))
	f.is("create", err, errUnknown)
	if n := len(f.store.Contents()); n != 0 {
		t.Errorf("%d records were written", n)
	}
	f.onReserve = nil
	if got := f.book(request("key", 2)); got.Replayed {
		t.Error("the second try says that it was there")
	}
}

// A create that another refused meanwhile must not become a booking.
func TestCreateIsOvertaken(t *testing.T) {
	for _, tt := range []struct {
		name      string
		meanwhile func(f *fixture, holdID string) error
		want      error
		released  int
		replayed  bool
	}{
		{"by a refusal", func(f *fixture, _ string) error {
			f.onReserve = func(string) error { return errSoldOut }
			_, err := f.CreateBooking(f.t.Context(), request("key", 2))
			f.is("refused", err, errSoldOut)
			return nil
		}, errAgain, 1, false},
		{"by the settling of its hold", func(f *fixture, id string) error {
			got, err := f.SettleHold(f.t.Context(), bookingapi.SettleRequest{HoldID: id})
			if err != nil || got.Live {
				f.t.Errorf("settle: got %v, %v, want dead", got, err)
			}
			return nil
		}, errAgain, 1, false},
		{"by its twin", func(f *fixture, _ string) error {
			f.onReserve = nil
			f.book(request("key", 2))
			return nil
		}, nil, 0, true},
		{"by its twin, and is refused", func(f *fixture, _ string) error {
			f.onReserve = nil
			f.book(request("key", 2))
			return errSoldOut
		}, nil, 0, true},
		{"by another body", func(f *fixture, _ string) error {
			f.onReserve = nil
			f.book(request("key", 3))
			return nil
		}, booking.ErrIdempotencyMismatch, 1, false},
		{"by a tombstone", func(*fixture, string) error { return errDead }, errAgain, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			var hold string
			f.onReserve = func(id string) error {
				hold = id
				return tt.meanwhile(f, id)
			}
			got, err := f.CreateBooking(t.Context(), request("key", 2))
			f.is("create", err, tt.want)
			if got.Replayed != tt.replayed {
				t.Errorf("replayed is %v", got.Replayed)
			}
			if len(f.released) != tt.released || tt.released > 0 && !slices.Contains(f.released, hold) {
				t.Errorf("released %v, want %d with %s", f.released, tt.released, hold)
			}
			// Asked again, it succeeds, unless the key is another's.
			f.onReserve = nil
			if tt.want != booking.ErrIdempotencyMismatch {
				f.book(request("key", 2))
			}
		})
	}
}

func TestShortOfSeatsExpiresWhatIsDue(t *testing.T) {
	f := newFixture(t)
	f.book(request("old", 2))
	f.now = f.now.Add(ttl)
	tries := 0
	f.onReserve = func(string) error {
		if tries++; len(f.released) == 0 {
			return errSoldOut
		}
		return nil
	}
	f.book(request("new", 2))
	if tries != 2 || len(f.released) != 1 {
		t.Errorf("%d tries, released %v, want 2 and one", tries, f.released)
	}
	if b := f.record(bookingtest.KeyedID("u1", "old")); b.State != booking.Expired {
		t.Errorf("the old booking is %s", b.State)
	}
	// Once a second at most.
	f.onReserve = func(string) error { return errSoldOut }
	f.calls = nil
	_, err := f.CreateBooking(t.Context(), request("third", 2))
	f.is("create", err, errSoldOut)
	f.cost("create", "bookings.read", "reserve", "bookings.insert")
	f.now = f.now.Add(time.Second)
	_, err = f.CreateBooking(t.Context(), request("fourth", 2))
	f.is("create", err, errSoldOut)
	f.cost("create", "bookings.read", "reserve", "bookings.due", "bookings.insert")
}

func TestCreateValidates(t *testing.T) {
	for _, tt := range []struct {
		name string
		req  bookingapi.CreateRequest
		want []string
	}{
		{"nothing", bookingapi.CreateRequest{}, []string{"bookingId:required", "userId:required", "eventId:required", "quantity:too_small"}},
		{"no id", bookingapi.CreateRequest{BookingID: "a.b", UserID: "ü", EventID: strings.Repeat("e", 65), Quantity: 11},
			[]string{"bookingId:invalid", "userId:invalid", "eventId:invalid", "quantity:too_large"}},
		{"negative", bookingapi.CreateRequest{BookingID: "b", UserID: "u", EventID: "e", Quantity: -1}, []string{"quantity:too_small"}},
		{"2^31", bookingapi.CreateRequest{BookingID: "b", UserID: "u", EventID: "e", Quantity: 1 << 31}, []string{"quantity:too_large"}},
		{"a key with a space", bookingapi.CreateRequest{IdempotencyKey: "a b", UserID: "u", EventID: "e", Quantity: 1}, []string{"Idempotency-Key:invalid"}},
		{"a long key", bookingapi.CreateRequest{IdempotencyKey: strings.Repeat("k", 129), UserID: "u", EventID: "e", Quantity: 1}, []string{"Idempotency-Key:invalid"}},
		{"the longest key", bookingapi.CreateRequest{IdempotencyKey: strings.Repeat("k", 128), UserID: "u", EventID: "e", Quantity: 10}, nil},
	} {
		f := newFixture(t)
		_, err := f.CreateBooking(t.Context(), tt.req)
		if got := wrongFields(err); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if tt.want != nil && len(f.calls) > 0 {
			t.Errorf("%s: did %v", tt.name, f.calls)
		}
	}
}
