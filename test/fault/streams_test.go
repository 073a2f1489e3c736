package fault_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/test/invariant"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// slowExpiryEnv returns an environment in which bookings do not expire during a test and
// the event app does not ask about holds. Only facts can therefore mark seats as sold, or
// sweeps that discharge what the bookings owe.
func slowExpiryEnv() []string {
	return append(fastExpiryEnv(), "BOOKING_TTL=15m", "HOLD_SETTLE_AFTER="+settleAfter.String())
}

const settleAfter = 15 * time.Minute

// TestLostStreamsAreRepublished deletes all streams after facts were published and before
// they were delivered. Each fact must be published again exactly once.
func TestLostStreamsAreRepublished(t *testing.T) {
	data := t.TempDir()
	s := start(t, stack.Options{Data: data, Env: slowExpiryEnv()})
	t.Cleanup(func() { stop(t, s) })
	var events []string
	ledger := &invariant.Ledger{}
	for _, part := range []struct {
		name string
		lose func(t *testing.T)
	}{
		{"NATS restarts without its streams", func(t *testing.T) {
			if err := os.Rename(filepath.Join(data, "nats"), filepath.Join(data, "lost")); err != nil {
				t.Fatal(err)
			}
			s.Kill(t, "nats")
			s.Kill(t, "event-daprd") // it still has facts that it could not deliver
			s.Thaw(t, "event")
		}},
		{"the whole stack restarts without its streams", func(t *testing.T) {
			s.KillAll(t)
			if err := os.RemoveAll(filepath.Join(data, "nats")); err != nil {
				t.Fatal(err)
			}
			s = start(t, stack.Options{Data: data, Env: slowExpiryEnv()})
		}},
	} {
		t.Run(part.name, func(t *testing.T) {
			eventID := s.CreateEvent(t, 100)
			events = append(events, eventID)
			const booked, confirmed = 8, 5
			publishWithoutDelivery(t, s, ledger, eventID, booked, confirmed)
			part.lose(t)
			awaitInvariants(t, s, events, ledger)
			if seats := s.Seats(t, eventID); seats.Sold != confirmed || seats.Held != booked-confirmed {
				t.Errorf("got seats %+v, want %d sold and %d held", seats, confirmed, booked-confirmed)
			}
		})
	}
}

// publishWithoutDelivery makes bookings of one seat each, and confirms some of them while
// the event app is frozen. It returns when the facts about the confirms are published.
// They are not delivered, because the event app stays frozen.
func publishWithoutDelivery(t *testing.T, s *stack.Stack, ledger *invariant.Ledger, eventID string, booked, confirmed int) {
	t.Helper()
	var confirms []func()
	for i := range booked {
		client, account := s.Register(t)
		var b bookingapi.Booking
		client.Book(t, eventID, 1, "").Want(t, 201, &b)
		ledger.RecordAttempt(invariant.Attempt{UserID: account.User.ID, EventID: eventID, Quantity: 1, Status: 201, BookingID: b.ID})
		if i < confirmed {
			confirms = append(confirms, func() {
				client.Do(t, "POST", "/api/bookings/"+b.ID+"/confirm", nil).Want(t, 200, nil)
				ledger.RecordChange(invariant.Change{BookingID: b.ID, Status: 200})
			})
		}
	}
	s.Freeze(t, "event")
	for _, confirm := range confirms {
		confirm()
	}
	if seats := awaitPublished(t, s, eventID).Events[eventID].Seats; seats.Sold != 0 {
		t.Fatalf("got seats %+v, want none sold", seats)
	}
}

// awaitPublished waits until all facts about the bookings of an event are published, and
// returns the state of the stores.
func awaitPublished(t *testing.T, s *stack.Stack, eventID string) (state invariant.State) {
	t.Helper()
	dbs, disconnect := openDatabases(t, s)
	defer disconnect()
	kit.Eventually(t, stack.WaitTimeout, "the facts are published", func() (err error) {
		if state, err = invariant.Read(t.Context(), dbs, []string{eventID}); err != nil {
			return err
		}
		for id, b := range state.Bookings {
			for _, rec := range b.Outbox {
				if rec.SentAt == nil {
					return fmt.Errorf("%s of booking %s is not published", rec.Type, id)
				}
			}
		}
		return nil
	})
	return state
}
