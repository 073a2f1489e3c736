package fault_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/invariant"
	"boxoffice/test/stack"
)

// subscriptions are the topics with the apps that take their facts.
func subscriptions() map[string]string {
	return map[string]string{bookingapi.Topic: "event", eventapi.Topic: "booking"}
}

// mongoAway is longer than the probes that find the app without its database
// away, and shorter than one delivery is tried.
const mongoAway = 18 * time.Second

// mongoFrozen: facts that come while the database stands still wait for it. taken
// waits until all were taken, which the broker delivers again only after half a
// minute.
func mongoFrozen(t *testing.T, o *outages) (taken func(t *testing.T)) {
	t.Helper()
	eventID, other, ledger := o.OnSale(t, 100), o.OnSale(t, 100), &invariant.Ledger{}
	dead := o.deadLetters(t)
	var bookings []bookingapi.Booking
	for _, who := range o.members {
		b, _ := o.book(t, ledger, who, eventID)
		bookings = append(bookings, b)
	}
	awaitTaken(t, o)
	o.Freeze(t, "event-daprd")
	for i, who := range o.members {
		o.change(t, ledger, who, bookings[i].ID, "confirm")
	}
	awaitFacts(t, o, eventID, bookingapi.FactConfirmed, len(bookings))
	o.Freeze(t, "mongo")
	o.Thaw(t, "event-daprd")
	time.Sleep(mongoAway)
	o.Thaw(t, "mongo")
	stack.Await(t, "the journey after MongoDB is back", func() error { return journey(t, o.Stack, other) })
	return func(t *testing.T) {
		t.Helper()
		o.awaitSold(t, eventID, int64(len(bookings)))
		settled(t, o.Stack, []string{eventID}, ledger)
		if n := o.deadLetters(t); n != dead {
			t.Errorf("%d facts were given up", n-dead)
		}
	}
}

// awaitFacts waits until the stream has so many facts of a type.
func awaitFacts(t *testing.T, o *outages, eventID, kind string, n int) {
	t.Helper()
	stack.Await(t, kind, func() error {
		facts, err := invariant.ReadFacts(t.Context(), "nats://"+o.nats.Addr, []string{eventID})
		if err != nil {
			return err
		}
		got := 0
		for _, f := range facts {
			if f.Type == kind {
				got++
			}
		}
		if got != n {
			return fmt.Errorf("%d of %d", got, n)
		}
		return nil
	})
}

// malformedFacts go to the dead letters, and hold up nobody behind them.
func malformedFacts(t *testing.T, o *outages) {
	eventID, ledger := o.OnSale(t, 100), &invariant.Ledger{}
	dead, broker := o.deadLetters(t), o.broker(t)
	malformed := []string{
		`{`,
		`{"specversion":"1.0","id":"m1","source":"test","type":"booking.confirmed","datacontenttype":"application/json","data":{"resource":{}}}`,
		`{"specversion":"1.0","id":"m2","source":"test","type":"booking.confirmed","datacontenttype":"application/json","data":7}`,
	}
	stream, err := broker.Stream(t.Context(), bookingapi.Topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range malformed {
		ack, err := broker.Publish(t.Context(), bookingapi.Topic, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		// Later tests read the stream.
		t.Cleanup(func() { _ = stream.DeleteMsg(context.WithoutCancel(t.Context()), ack.Sequence) })
	}
	who := o.members[0]
	b, _ := o.book(t, ledger, who, eventID)
	o.change(t, ledger, who, b.ID, "confirm")
	o.awaitSold(t, eventID, 1)
	awaitTaken(t, o)
	if n := o.deadLetters(t) - dead; n != uint64(len(malformed)) {
		t.Errorf("%d dead letters, want %d", n, len(malformed))
	}
}
