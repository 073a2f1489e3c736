package fault_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/test/invariant"
	"boxoffice/test/stack"
)

// sidecarFrozen: while booking's sidecar stands still, who books is told in time
// that it is not known, and nothing is written. Afterwards the same key tells.
func sidecarFrozen(t *testing.T, o *outages) {
	eventID, ledger := o.OnSale(t, 100), &invariant.Ledger{}
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
	answers := atOnce(t, clients, func(c stack.Client) (stack.Response, error) {
		return c.TryBook(t.Context(), eventID, 1, keys[c.Token])
	})
	for i, res := range answers {
		if res.StatusCode != 503 && res.StatusCode != 504 {
			t.Errorf("got %d %s, want 503 or 504", res.StatusCode, res.Text)
		}
		ledger.RecordAttempt(invariant.Attempt{
			UserID: o.members[i].User.ID, EventID: eventID, Key: keys[clients[i].Token], Quantity: 1, Status: res.StatusCode,
		})
	}
	t.Logf("answered %d within %s", answers[0].StatusCode, time.Since(began).Round(10*time.Millisecond))
	state := o.state(t, eventID)
	if seats := state.Events[eventID].Seats; len(state.Bookings) != 0 || len(state.Holds) != 0 || seats.Available != 100 || seats.Held != 0 {
		t.Errorf("got bookings %+v, holds %+v, seats %+v, want none", state.Bookings, state.Holds, seats)
	}

	o.Thaw(t, "booking-daprd")
	for i, c := range clients {
		key := keys[c.Token]
		if key == "" {
			continue // never asks again
		}
		var b bookingapi.Booking
		stack.Await(t, "a booking", func() error {
			res, err := c.TryBook(t.Context(), eventID, 1, key)
			switch {
			case err != nil:
				return err
			case res.StatusCode != 201:
				return fmt.Errorf("%d %s", res.StatusCode, res.Text)
			}
			return json.Unmarshal([]byte(res.Text), &b)
		})
		ledger.RecordAttempt(invariant.Attempt{UserID: o.members[i].User.ID, EventID: eventID, Key: key, Quantity: 1, Status: 201, BookingID: b.ID})
	}
	settled(t, o.Stack, []string{eventID}, ledger)
}
