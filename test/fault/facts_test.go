package fault_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/invariant"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// subscriptions returns, for each topic, the app that subscribes to it.
func subscriptions() map[string]string {
	return map[string]string{bookingapi.Topic: "event", eventapi.Topic: "booking"}
}

// mongoOutage is longer than the health probes take to detect that an app has no
// database, and shorter than the sidecar's attempts at one delivery take together.
const mongoOutage = 18 * time.Second

// mongoFrozen delivers facts while the database is frozen. They must take effect
// afterwards. That may take half a minute, until the broker redelivers them. The caller
// can therefore test other things first, before awaitDelivered waits for the effect.
func mongoFrozen(t *testing.T, o *outageStack) (awaitDelivered func(t *testing.T)) {
	t.Helper()
	eventID, other, ledger := o.CreateEvent(t, 100), o.CreateEvent(t, 100), &invariant.Ledger{}
	deadBefore := o.deadLetters(t)
	var bookings []bookingapi.Booking
	for _, m := range o.members {
		b, _ := o.book(t, ledger, m, eventID)
		bookings = append(bookings, b)
	}
	awaitAcknowledged(t, o)
	o.Freeze(t, "event-daprd")
	for i, m := range o.members {
		o.change(t, ledger, m, bookings[i].ID, "confirm")
	}
	awaitFacts(t, o, eventID, bookingapi.FactConfirmed, len(bookings))
	o.Freeze(t, "mongo")
	o.Thaw(t, "event-daprd")
	time.Sleep(mongoOutage)
	o.Thaw(t, "mongo")
	kit.Eventually(t, stack.WaitTimeout, "the journey passes after MongoDB has thawed", func() error { return journey(t, o.Stack, other) })
	return func(t *testing.T) {
		t.Helper()
		o.awaitSold(t, eventID, int64(len(bookings)))
		awaitInvariants(t, o.Stack, []string{eventID}, ledger)
		if n := o.deadLetters(t); n != deadBefore {
			t.Errorf("got %d dead letters, want none", n-deadBefore)
		}
	}
}

// awaitFacts waits until the stream has n facts of a type about an event.
func awaitFacts(t *testing.T, o *outageStack, eventID, kind string, n int) {
	t.Helper()
	kit.Eventually(t, stack.WaitTimeout, fmt.Sprintf("the stream has %d facts of type %s", n, kind), func() error {
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
			return fmt.Errorf("got %d, want %d", got, n)
		}
		return nil
	})
}

// malformedFacts checks that malformed facts become dead letters, and that they do not
// block the facts behind them.
func malformedFacts(t *testing.T, o *outageStack) {
	eventID, ledger := o.CreateEvent(t, 100), &invariant.Ledger{}
	deadBefore, broker := o.deadLetters(t), o.broker(t)
	malformed := []string{`{`}
	for id, data := range map[string]string{"m1": `{"resource":{}}`, "m2": "7"} {
		malformed = append(malformed, fmt.Sprintf(
			`{"specversion":"1.0","id":%q,"source":"test","type":"booking.confirmed","datacontenttype":"application/json","data":%s}`, id, data))
	}
	stream, err := broker.Stream(t.Context(), bookingapi.Topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range malformed {
		// As a sidecar does, with the event's id as the message's, if there is one.
		var event struct{ ID string }
		_ = json.Unmarshal([]byte(text), &event)
		ack, err := broker.Publish(t.Context(), bookingapi.Topic, []byte(text), jetstream.WithMsgID(event.ID))
		if err != nil {
			t.Fatal(err)
		}
		// Later subtests read the stream, and cannot decode this message.
		t.Cleanup(func() { _ = stream.DeleteMsg(context.WithoutCancel(t.Context()), ack.Sequence) })
	}
	m := o.members[0]
	b, _ := o.book(t, ledger, m, eventID)
	o.change(t, ledger, m, b.ID, "confirm")
	o.awaitSold(t, eventID, 1)
	awaitAcknowledged(t, o)
	if n := o.deadLetters(t) - deadBefore; n != uint64(len(malformed)) {
		t.Errorf("got %d dead letters, want %d", n, len(malformed))
	}
}
