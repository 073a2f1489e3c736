package fault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/test/invariant"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// natsStopped checks that users can book, confirm and cancel without NATS, and that the
// seats of confirmed bookings count as held or sold. It then checks that redelivered facts
// change nothing.
func natsStopped(t *testing.T, o *outageStack) {
	eventID, ledger := o.CreateEvent(t, 100), &invariant.Ledger{}
	awaitAcknowledged(t, o) // the broker redelivers an unacknowledged fact only after half a minute
	o.nats.Stop(t)
	for i, m := range o.members {
		b, _ := o.book(t, ledger, m, eventID)
		if i < 7 {
			o.change(t, ledger, m, b.ID, "confirm")
		}
		if i > 4 && i < 9 {
			o.change(t, ledger, m, b.ID, "cancel")
		}
	}
	// A cancel releases the seats directly, without a fact. A confirm does not sell them: the
	// fact does, or a sweep some seconds later.
	if seats := o.Seats(t, eventID); seats.Held+seats.Sold != 6 || seats.Sold > 5 {
		t.Errorf("without NATS: got seats %+v, want 6 held or sold", seats)
	}
	sidecar, err := o.PID("gateway-daprd")
	if err != nil {
		t.Fatal(err)
	}
	o.nats.Start(t)
	o.awaitSold(t, eventID, 5)
	awaitInvariants(t, o.Stack, []string{eventID}, ledger)
	redeliver(t, o, eventID)
	awaitBroadcast(t, o)
	if pid, err := o.PID("gateway-daprd"); err != nil || pid != sidecar {
		t.Errorf("the sidecar of the gateway: got process %d, %v, want no restart of %d", pid, err, sidecar)
	}
}

// awaitBroadcast waits until the gateway's sidecar has subscribed again, and checks that the
// fact of a change then reaches the gateway.
func awaitBroadcast(t *testing.T, o *outageStack) {
	t.Helper()
	kit.Eventually(t, stack.WaitTimeout, "the gateway's sidecar has subscribed again", func() bool {
		return strings.Contains(o.Log(), "The component was replaced")
	})
	admin, _ := o.Admin(t)
	res := admin.Do(t, "POST", "/api/events", stack.EventBody(stack.Unique("Norma"), "opera"))
	res.Want(t, 201, nil)
	if _, err := o.Trace(t.Context(), res.TraceID(t), func(root *stack.Span) error {
		if !contains(root, "gateway facts /facts/events") {
			return errors.New("the fact has not reached the gateway")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// contains reports whether a trace contains a span with the given label.
func contains(s *stack.Span, label string) bool {
	return s.Label() == label || slices.ContainsFunc(s.Children, func(c *stack.Span) bool { return contains(c, label) })
}

// redeliver publishes every fact about an event five more times in random order, and
// checks that nothing changes.
func redeliver(t *testing.T, o *outageStack, eventID string) {
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
		t.Fatalf("got facts by type %v, want 10 created, 7 confirmed and 4 cancelled", types)
	}
	awaitAcknowledged(t, o)
	awaitLinked(t, o, eventID)
	before, deadBefore := readState(t, o.Stack, eventID), o.deadLetters(t)
	broker := o.broker(t)
	for range 5 {
		rand.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
		for _, f := range facts {
			// The message has no id, so the broker does not drop the duplicate.
			if _, err := broker.Publish(t.Context(), f.Topic, []byte(f.Data)); err != nil {
				t.Fatal(err)
			}
		}
	}
	awaitAcknowledged(t, o)
	after := readState(t, o.Stack, eventID)
	after.At = before.At
	if !reflect.DeepEqual(before, after) {
		t.Errorf("redelivered facts changed the state: got\n%+v\nbefore and\n%+v\nafterwards", before, after)
	}
	if n := o.deadLetters(t); n != deadBefore {
		t.Errorf("got %d dead letters, want none", n-deadBefore)
	}
}

// awaitAcknowledged waits until every fact in the streams is acknowledged.
func awaitAcknowledged(t *testing.T, o *outageStack) {
	t.Helper()
	broker := o.broker(t)
	for topic, app := range subscriptions() {
		kit.Eventually(t, stack.WaitTimeout, "the facts of "+topic+" are acknowledged", func() error {
			consumer, err := broker.PushConsumer(t.Context(), topic, app)
			if err != nil {
				return err
			}
			info, err := consumer.Info(t.Context())
			if err == nil && (info.NumPending > 0 || info.NumAckPending > 0) {
				err = fmt.Errorf("%d are not delivered, %d are not acknowledged", info.NumPending, info.NumAckPending)
			}
			return err
		})
	}
}

// natsFrozen freezes NATS while users book, and kills the booking app before it has
// published any fact. The clients do not retry. All facts must still be published, and the
// traces must contain them.
func natsFrozen(t *testing.T, o *outageStack) {
	eventID, ledger := o.CreateEvent(t, 100), &invariant.Ledger{}
	o.nats.Freeze(t)
	const perMember = 5
	var clients []stack.Client
	for _, m := range o.members {
		for range perMember {
			clients = append(clients, m.Client)
		}
	}
	responses := sendConcurrently(t, clients, func(c stack.Client) (stack.Response, error) { return c.TryBook(t.Context(), eventID, 1, "") })
	var traceIDs []string
	for i, res := range responses {
		var b bookingapi.Booking
		res.Want(t, 201, nil)
		if err := json.Unmarshal([]byte(res.Text), &b); err != nil {
			t.Fatal(err)
		}
		traceIDs = append(traceIDs, res.TraceID(t))
		m := o.members[i/perMember]
		ledger.RecordAttempt(invariant.Attempt{UserID: m.User.ID, EventID: eventID, Quantity: 1, Status: 201, BookingID: b.ID})
		if i%2 == 0 {
			o.change(t, ledger, m, b.ID, "confirm")
		}
	}
	awaitRecorded(t, o, traceIDs)
	for id, b := range readState(t, o.Stack, eventID).Bookings {
		for _, rec := range b.Outbox {
			if rec.SentAt != nil {
				t.Errorf("%s of booking %s was published although NATS is frozen", rec.Type, id)
			}
		}
	}
	awaitRestart := kill(t, o.Stack, "booking")
	o.nats.Thaw(t)
	awaitRestart()
	o.awaitSold(t, eventID, int64(len(traceIDs)/2))
	awaitInvariants(t, o.Stack, []string{eventID}, ledger)
	awaitLinked(t, o, eventID)
	awaitDeliveries(t, o, traceIDs)
}

// awaitLinked waits until all holds of an event are linked to their bookings. A sweep of
// the event app stores a link by postponing the time at which the app asks about the hold.
func awaitLinked(t *testing.T, o *outageStack, eventID string) {
	t.Helper()
	kit.Eventually(t, stack.WaitTimeout, "the holds are linked", func() error {
		for id, h := range readState(t, o.Stack, eventID).Holds {
			if h.State == "held" && h.SettleAt.Before(h.ExpiresAt.Add(settleAfter)) {
				return fmt.Errorf("hold %s is not linked to its booking", id)
			}
		}
		return nil
	})
}
