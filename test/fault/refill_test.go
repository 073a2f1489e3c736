package fault_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/test/invariant"
	"boxoffice/test/stack"
)

// patient is the environment in which nothing but facts counts seats as sold:
// holds are not asked about, and nothing lapses.
func patient() []string {
	return append(hasty(), "BOOKING_TTL=15m", "HOLD_SETTLE_AFTER="+settleAfter.String())
}

const settleAfter = 15 * time.Minute

// TestRefill loses all streams when facts were sent and nobody had taken them.
// They are sent again, each once.
func TestRefill(t *testing.T) {
	data := t.TempDir()
	s := start(t, stack.Options{Data: data, Env: patient()})
	t.Cleanup(func() { stop(t, s) })
	var events []string
	ledger := &invariant.Ledger{}
	for _, part := range []struct {
		name string
		lose func(t *testing.T)
	}{
		{"NATS comes back empty", func(t *testing.T) {
			if err := os.Rename(filepath.Join(data, "nats"), filepath.Join(data, "lost")); err != nil {
				t.Fatal(err)
			}
			s.Kill(t, "nats")
			s.Kill(t, "event-daprd") // which has some that it could not deliver
			s.Thaw(t, "event")
		}},
		{"all comes back without the streams", func(t *testing.T) {
			s.KillAll(t)
			if err := os.RemoveAll(filepath.Join(data, "nats")); err != nil {
				t.Fatal(err)
			}
			s = start(t, stack.Options{Data: data, Env: patient()})
		}},
	} {
		t.Run(part.name, func(t *testing.T) {
			eventID := s.OnSale(t, 100)
			events = append(events, eventID)
			const booked, confirmed = 8, 5
			untaken(t, s, ledger, eventID, booked, confirmed)
			part.lose(t)
			settled(t, s, events, ledger)
			if seats := s.Seats(t, eventID); seats.Sold != confirmed || seats.Held != booked-confirmed {
				t.Errorf("got %+v", seats)
			}
		})
	}
}

// untaken makes bookings of one seat and confirms some while the event app stands
// still, so that the facts which say so are sent and not taken.
func untaken(t *testing.T, s *stack.Stack, ledger *invariant.Ledger, eventID string, booked, confirmed int) {
	t.Helper()
	var confirm []func()
	for i := range booked {
		who, account := s.Register(t)
		var b bookingapi.Booking
		who.Book(t, eventID, 1, "").Want(t, 201, &b)
		ledger.RecordAttempt(invariant.Attempt{UserID: account.User.ID, EventID: eventID, Quantity: 1, Status: 201, BookingID: b.ID})
		if i < confirmed {
			confirm = append(confirm, func() {
				who.Do(t, "POST", "/api/bookings/"+b.ID+"/confirm", nil).Want(t, 200, nil)
				ledger.RecordChange(invariant.Change{BookingID: b.ID, Status: 200})
			})
		}
	}
	s.Freeze(t, "event")
	for _, do := range confirm {
		do()
	}
	if seats := awaitSent(t, s, eventID).Events[eventID].Seats; seats.Sold != 0 {
		t.Fatalf("got %+v, want none sold", seats)
	}
}

// awaitSent waits until all facts of an event were sent, and returns what is
// stored then.
func awaitSent(t *testing.T, s *stack.Stack, eventID string) (state invariant.State) {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(s.Env["MONGO_URI"]))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) }()
	dbs := invariant.Databases{Event: client.Database("event"), Booking: client.Database("booking")}
	stack.Await(t, "the facts", func() error {
		if state, err = invariant.Read(t.Context(), dbs, []string{eventID}); err != nil {
			return err
		}
		for id, b := range state.Bookings {
			for _, rec := range b.Outbox {
				if rec.SentAt == nil {
					return fmt.Errorf("%s of booking %s was not sent", rec.Type, id)
				}
			}
		}
		return nil
	})
	return state
}
