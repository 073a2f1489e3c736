package fault_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"testing"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/test/invariant"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// noExpiryEnv returns an environment in which no booking expires during a test, and many
// accounts can register at once.
func noExpiryEnv() []string {
	return append(fastExpiryEnv(), "BOOKING_TTL=15m", "SWEEP_INTERVAL=30s", "HOLD_SETTLE_AFTER=1m", "HASH_QUEUE=256")
}

// TestConcurrentBookingsSellEachSeatOnce sends many requests for bookings at once, to one
// instance of the booking app and to two.
func TestConcurrentBookingsSellEachSeatOnce(t *testing.T) {
	for name, args := range map[string][]string{"one instance": nil, "two instances": {"--replicas", "booking=2"}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, stack.Options{Data: t.TempDir(), Env: noExpiryEnv(), Args: args})
			t.Cleanup(func() { stop(t, s) })
			t.Run("the last seats are sold once", func(t *testing.T) { lastSeats(t, s) })
			t.Run("one key makes one booking", func(t *testing.T) { oneKey(t, s) })
		})
	}
}

// lastSeats checks that 200 concurrent requests for one seat each make exactly ten
// bookings if the event has ten seats.
func lastSeats(t *testing.T, s *stack.Stack) {
	t.Helper()
	const seats, clients = 10, 200
	eventID := s.CreateEvent(t, seats)
	responses := sendConcurrently(t, accounts(t, s, clients), func(c stack.Client) (stack.Response, error) {
		return c.TryBook(t.Context(), eventID, 1, "")
	})
	bookings := map[string]bool{}
	for _, res := range responses {
		if res.StatusCode != 201 {
			res.Refused(t, 409, "booking.sold_out")
			continue
		}
		var b bookingapi.Booking
		res.Want(t, 201, &b)
		bookings[b.ID] = true
	}
	if len(bookings) != seats {
		t.Errorf("got %d bookings, want %d", len(bookings), seats)
	}
	if got := s.Seats(t, eventID); got.Available != 0 || got.Held != seats || got.Sold != 0 {
		t.Errorf("got seats %+v, want %d held and none available or sold", got, seats)
	}
}

// oneKey checks that 50 concurrent requests with one key make one booking with one
// hold, and that all of them return it.
func oneKey(t *testing.T, s *stack.Stack) {
	t.Helper()
	const duplicates = 50
	eventID, key := s.CreateEvent(t, 100), rand.Text()
	ada, account := s.Register(t)
	clients := make([]stack.Client, duplicates)
	for i := range clients {
		clients[i] = ada
	}
	responses := sendConcurrently(t, clients, func(c stack.Client) (stack.Response, error) { return c.TryBook(t.Context(), eventID, 2, key) })
	ledger, originals := &invariant.Ledger{}, 0
	var want bookingapi.Booking
	for i, res := range responses {
		var b bookingapi.Booking
		res.Want(t, 201, &b)
		if i == 0 {
			want = b
		}
		if b != want {
			t.Errorf("got booking %+v, want %+v", b, want)
		}
		switch replayed := res.Header.Get("Idempotency-Replayed"); replayed {
		case "":
			originals++
		case "true":
		default:
			t.Errorf("Idempotency-Replayed: got %q, want it absent or true", replayed)
		}
		ledger.RecordAttempt(invariant.Attempt{UserID: account.User.ID, EventID: eventID, Key: key, Quantity: 2, Status: 201, BookingID: b.ID})
	}
	if originals != 1 {
		t.Errorf("got %d responses that are not marked as replays, want 1", originals)
	}
	state := readState(t, s, eventID)
	if len(state.Bookings) != 1 || len(state.Holds) != 1 {
		t.Errorf("got bookings %+v and holds %+v, want one of each", state.Bookings, state.Holds)
	}
	awaitInvariants(t, s, []string{eventID}, ledger)
}

// accounts registers n accounts, a few at a time, and returns their clients.
func accounts(t *testing.T, s *stack.Stack, n int) []stack.Client {
	t.Helper()
	clients := make([]stack.Client, n)
	slots := make(chan struct{}, 8)
	kit.Concurrently(n, func(i int) {
		slots <- struct{}{}
		defer func() { <-slots }()
		res, err := s.Guest().Try(t.Context(), "POST", "/api/auth/register", map[string]string{
			"email": stack.Address(), "password": stack.Password, "name": "Ada",
		})
		var account struct{ Tokens struct{ AccessToken string } }
		if err == nil && res.StatusCode != 201 {
			err = fmt.Errorf("register: got %d %s", res.StatusCode, res.Text)
		}
		if err == nil {
			err = json.Unmarshal([]byte(res.Text), &account)
		}
		if err != nil {
			t.Error(err)
		}
		clients[i] = s.As(account.Tokens.AccessToken)
	})
	if t.Failed() {
		t.FailNow()
	}
	return clients
}
