package fault_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/test/invariant"
	"boxoffice/test/stack"
)

// natsStopped: without NATS people book, confirm and cancel; only sold seats are
// counted later. Each fact again and again and in any order then changes nothing.
func natsStopped(t *testing.T, o *outages) {
	eventID, ledger := o.OnSale(t, 100), &invariant.Ledger{}
	awaitTaken(t, o) // what is under way would be delivered again half a minute later
	o.nats.Stop(t)
	for i, who := range o.members {
		b, _ := o.book(t, ledger, who, eventID)
		if i < 7 {
			o.change(t, ledger, who, b.ID, "confirm")
		}
		if i > 4 && i < 9 {
			o.change(t, ledger, who, b.ID, "cancel")
		}
	}
	// Who cancels has the seats given back without a fact.
	if seats := o.Seats(t, eventID); seats.Held != 6 || seats.Sold != 0 {
		t.Errorf("without NATS: got %+v, want 6 held and none sold", seats)
	}
	o.nats.Start(t)
	o.awaitSold(t, eventID, 5)
	settled(t, o.Stack, []string{eventID}, ledger)
	again(t, o, eventID)
}

// again publishes every fact of an event five more times, in any order.
func again(t *testing.T, o *outages, eventID string) {
	t.Helper()
	facts, err := invariant.ReadFacts(t.Context(), "nats://"+o.nats.Addr, []string{eventID})
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]int{}
	for _, f := range facts {
		types[f.Type]++
	}
	if types[bookingapi.FactCreated] != 10 || types[bookingapi.FactConfirmed] != 7 || types[bookingapi.FactCancelled] != 4 {
		t.Fatalf("got %v", types)
	}
	awaitTaken(t, o)
	awaitLinked(t, o, eventID)
	before, dead := o.state(t, eventID), o.deadLetters(t)
	broker := o.broker(t)
	for range 5 {
		rand.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
		for _, f := range facts {
			// Without an id of the broker's, which would drop it.
			if _, err := broker.Publish(t.Context(), f.Topic, []byte(f.Data)); err != nil {
				t.Fatal(err)
			}
		}
	}
	awaitTaken(t, o)
	after := o.state(t, eventID)
	after.At = before.At
	if !reflect.DeepEqual(before, after) {
		t.Errorf("got\n%+v\nbefore and\n%+v\nafter each fact came five times more", before, after)
	}
	if n := o.deadLetters(t); n != dead {
		t.Errorf("%d facts were given up", n-dead)
	}
}

// awaitTaken waits until all that is in the streams was taken.
func awaitTaken(t *testing.T, o *outages) {
	t.Helper()
	broker := o.broker(t)
	for topic, app := range subscriptions() {
		stack.Await(t, "the facts of "+topic, func() error {
			consumer, err := broker.PushConsumer(t.Context(), topic, app)
			if err != nil {
				return err
			}
			info, err := consumer.Info(t.Context())
			if err == nil && (info.NumPending > 0 || info.NumAckPending > 0) {
				err = fmt.Errorf("%d wait, %d are under way", info.NumPending, info.NumAckPending)
			}
			return err
		})
	}
}

// natsFrozen: NATS stands still while people book, and the app is killed before
// anything was published. Nobody asks again.
func natsFrozen(t *testing.T, o *outages) {
	eventID, ledger := o.OnSale(t, 100), &invariant.Ledger{}
	o.nats.Freeze(t)
	const times = 5
	var clients []stack.Client
	for _, m := range o.members {
		for range times {
			clients = append(clients, m.Client)
		}
	}
	answers := atOnce(t, clients, func(c stack.Client) (stack.Response, error) { return c.TryBook(t.Context(), eventID, 1, "") })
	var ids []string
	for i, res := range answers {
		var b bookingapi.Booking
		res.Want(t, 201, nil)
		if err := json.Unmarshal([]byte(res.Text), &b); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, res.TraceID(t))
		who := o.members[i/times]
		ledger.RecordAttempt(invariant.Attempt{UserID: who.User.ID, EventID: eventID, Quantity: 1, Status: 201, BookingID: b.ID})
		if i%2 == 0 {
			o.change(t, ledger, who, b.ID, "confirm")
		}
	}
	awaitRecorded(t, o, ids)
	for id, b := range o.state(t, eventID).Bookings {
		for _, rec := range b.Outbox {
			if rec.SentAt != nil {
				t.Errorf("%s of booking %s was published", rec.Type, id)
			}
		}
	}
	back := killAndAwait(t, o.Stack, "booking")
	o.nats.Thaw(t)
	back()
	o.awaitSold(t, eventID, int64(len(ids)/2))
	settled(t, o.Stack, []string{eventID}, ledger)
	awaitLinked(t, o, eventID)
	awaitInTrace(t, o, ids)
}

// awaitLinked waits until all holds of an event have heard of their bookings: a
// sweep writes it down.
func awaitLinked(t *testing.T, o *outages, eventID string) {
	t.Helper()
	stack.Await(t, "the holds", func() error {
		for id, h := range o.state(t, eventID).Holds {
			if h.State == "held" && h.SettleAt.Before(h.ExpiresAt.Add(settleAfter)) {
				return fmt.Errorf("hold %s has not heard of its booking", id)
			}
		}
		return nil
	})
}

// killAndAwait kills a process; back returns when another one of its name runs.
func killAndAwait(t *testing.T, s *stack.Stack, name string) (back func()) {
	t.Helper()
	was, err := s.PID(name)
	if err != nil {
		t.Fatal(err)
	}
	s.Kill(t, name)
	return func() {
		t.Helper()
		stack.Await(t, name+" runs again", func() error {
			if pid, err := s.PID(name); err != nil || pid == was {
				return fmt.Errorf("process %d, %v", pid, err)
			}
			return nil
		})
	}
}
