package fault_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/test/invariant"
	"boxoffice/test/stack"
)

// calm is the environment in which nothing lapses while a test looks.
func calm() []string {
	return append(hasty(), "BOOKING_TTL=15m", "SWEEP_INTERVAL=30s", "HOLD_SETTLE_AFTER=1m", "HASH_QUEUE=256")
}

// TestRush has everybody come at once, to one instance of booking and to two.
func TestRush(t *testing.T) {
	for name, args := range map[string][]string{"one booking": nil, "two bookings": {"--replicas", "booking=2"}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, stack.Options{Data: t.TempDir(), Env: calm(), Args: args})
			t.Cleanup(func() { stop(t, s) })
			t.Run("last seats", func(t *testing.T) { lastSeats(t, s) })
			t.Run("one key", func(t *testing.T) { oneKey(t, s) })
		})
	}
}

// lastSeats: of 200 clients who want one of ten seats each, ten get one.
func lastSeats(t *testing.T, s *stack.Stack) {
	t.Helper()
	const seats, clients = 10, 200
	eventID := s.OnSale(t, seats)
	answers := atOnce(t, accounts(t, s, clients), func(c stack.Client) (stack.Response, error) {
		return c.TryBook(t.Context(), eventID, 1, "")
	})
	won := map[string]bool{}
	for _, res := range answers {
		if res.StatusCode != 201 {
			res.Refused(t, 409, "booking.sold_out")
			continue
		}
		var b bookingapi.Booking
		res.Want(t, 201, &b)
		won[b.ID] = true
	}
	if len(won) != seats {
		t.Errorf("%d bookings were made, want %d", len(won), seats)
	}
	if got := s.Seats(t, eventID); got.Available != 0 || got.Held != seats || got.Sold != 0 {
		t.Errorf("got %+v", got)
	}
}

// oneKey: a request that is sent 50 times at once with one key is one booking
// with one hold, and all get it.
func oneKey(t *testing.T, s *stack.Stack) {
	t.Helper()
	const times = 50
	eventID, key := s.OnSale(t, 100), rand.Text()
	ada, account := s.Register(t)
	same := make([]stack.Client, times)
	for i := range same {
		same[i] = ada
	}
	answers := atOnce(t, same, func(c stack.Client) (stack.Response, error) { return c.TryBook(t.Context(), eventID, 2, key) })
	ledger, first := &invariant.Ledger{}, 0
	var one bookingapi.Booking
	for i, res := range answers {
		var b bookingapi.Booking
		res.Want(t, 201, &b)
		if i == 0 {
			one = b
		}
		if b != one {
			t.Errorf("got %+v and %+v", one, b)
		}
		switch replayed := res.Header.Get("Idempotency-Replayed"); replayed {
		case "":
			first++
		case "true":
		default:
			t.Errorf("Idempotency-Replayed: %q", replayed)
		}
		ledger.RecordAttempt(invariant.Attempt{UserID: account.User.ID, EventID: eventID, Key: key, Quantity: 2, Status: 201, BookingID: b.ID})
	}
	if first != 1 {
		t.Errorf("%d answers are no replay, want 1", first)
	}
	client, err := mongo.Connect(options.Client().ApplyURI(s.Env["MONGO_URI"]))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(t.Context()) }()
	dbs := invariant.Databases{Event: client.Database("event"), Booking: client.Database("booking")}
	state, err := invariant.Read(t.Context(), dbs, []string{eventID})
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Bookings) != 1 || len(state.Holds) != 1 {
		t.Errorf("got bookings %+v, holds %+v, want one of each", state.Bookings, state.Holds)
	}
	settled(t, s, []string{eventID}, ledger)
}

// accounts makes so many, some at a time.
func accounts(t *testing.T, s *stack.Stack, n int) []stack.Client {
	t.Helper()
	clients := make([]stack.Client, n)
	some := make(chan struct{}, 8)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			some <- struct{}{}
			defer func() { <-some }()
			res, err := s.Guest().Try(t.Context(), "POST", "/api/auth/register", map[string]string{
				"email": stack.Address(), "password": stack.Password, "name": "Ada",
			})
			var account struct{ Tokens struct{ AccessToken string } }
			if err == nil && res.StatusCode != 201 {
				err = fmt.Errorf("register: %d %s", res.StatusCode, res.Text)
			}
			if err == nil {
				err = json.Unmarshal([]byte(res.Text), &account)
			}
			if err != nil {
				t.Error(err)
			}
			clients[i] = s.As(account.Tokens.AccessToken)
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return clients
}

// atOnce has every client ask at the same moment, and returns the answers.
func atOnce(t *testing.T, clients []stack.Client, ask func(stack.Client) (stack.Response, error)) []stack.Response {
	t.Helper()
	answers := make([]stack.Response, len(clients))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			<-start
			res, err := ask(c)
			if err != nil {
				t.Error(err)
			}
			answers[i] = res
		})
	}
	close(start)
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return answers
}
