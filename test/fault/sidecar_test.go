package fault_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/test/invariant"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// sidecarFrozen freezes the sidecar of the booking app. Requests for bookings must then
// get 503 or 504 before the client times out, and write nothing. After the sidecar has
// thawed, a retry with the same key must succeed.
func sidecarFrozen(t *testing.T, o *outageStack) {
	eventID, ledger := o.CreateEvent(t, 100), &invariant.Ledger{}
	o.Freeze(t, "booking-daprd")
	keys := make(map[string]string) // by token
	var clients []stack.Client
	for i, m := range o.members[:4] {
		if i%2 == 0 {
			keys[m.Token] = rand.Text()
		}
		clients = append(clients, m.Client)
	}
	began := time.Now()
	responses := sendConcurrently(t, clients, func(c stack.Client) (stack.Response, error) {
		return c.TryBook(t.Context(), eventID, 1, keys[c.Token])
	})
	for i, res := range responses {
		if res.StatusCode != 503 && res.StatusCode != 504 {
			t.Errorf("got %d %s, want 503 or 504", res.StatusCode, res.Text)
		}
		ledger.RecordAttempt(invariant.Attempt{
			UserID: o.members[i].User.ID, EventID: eventID, Key: keys[clients[i].Token], Quantity: 1, Status: res.StatusCode,
		})
	}
	t.Logf("got %d within %s", responses[0].StatusCode, time.Since(began).Round(10*time.Millisecond))
	state := readState(t, o.Stack, eventID)
	if seats := state.Events[eventID].Seats; len(state.Bookings) != 0 || len(state.Holds) != 0 || seats.Available != 100 || seats.Held != 0 {
		t.Errorf("got bookings %+v, holds %+v and seats %+v, want no bookings, no holds and all seats available", state.Bookings, state.Holds, seats)
	}

	o.Thaw(t, "booking-daprd")
	for i, c := range clients {
		key := keys[c.Token]
		if key == "" {
			continue // this client does not retry
		}
		var b bookingapi.Booking
		kit.Eventually(t, stack.WaitTimeout, "a retry with the same key succeeds", func() error {
			res, err := c.TryBook(t.Context(), eventID, 1, key)
			switch {
			case err != nil:
				return err
			case res.StatusCode != 201:
				return fmt.Errorf("got %d %s", res.StatusCode, res.Text)
			}
			return json.Unmarshal([]byte(res.Text), &b)
		})
		ledger.RecordAttempt(invariant.Attempt{UserID: o.members[i].User.ID, EventID: eventID, Key: key, Quantity: 1, Status: 201, BookingID: b.ID})
	}
	awaitInvariants(t, o.Stack, []string{eventID}, ledger)
}
