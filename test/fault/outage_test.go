package fault_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/invariant"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// outageStack is a stack with a NATS and a Redis server that the test controls.
type outageStack struct {
	*stack.Stack
	nats, redis *stack.Server
	members     []member // registered before the first outage
}

// member is a client with an account.
type member struct {
	stack.Client
	authapi.Login
}

// TestOutageLosesNothing stops or freezes one part of the stack after another for a while.
// No booking, session or fact may be lost.
func TestOutageLosesNothing(t *testing.T) {
	o := &outageStack{nats: stack.StartNATS(t), redis: stack.StartRedis(t)}
	options := stack.Options{Data: t.TempDir(), Env: append(slowExpiryEnv(),
		"NATS_URL=nats://"+o.nats.Addr, "REDIS_ADDR="+o.redis.Addr,
		"JAEGER=", "OTEL_BSP_SCHEDULE_DELAY=200", // export spans soon
	)}
	o.Stack = start(t, options)
	t.Cleanup(func() { stop(t, o.Stack) })
	for range 10 {
		client, account := o.Register(t)
		o.members = append(o.members, member{client, account})
	}
	awaitDelivered := func(*testing.T) {}
	for _, part := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"facts wait for a frozen MongoDB", func(t *testing.T) { awaitDelivered = mongoFrozen(t, o) }},
		{"requests to a frozen sidecar fail in time", func(t *testing.T) { sidecarFrozen(t, o) }},
		{"log-ins wait for a held lock and then proceed", func(t *testing.T) { logInLocked(t, o) }},
		{"log-ins and sessions work without Redis", func(t *testing.T) { redisStopped(t, o) }},
		{"facts are delivered after MongoDB is back", func(t *testing.T) { awaitDelivered(t) }},
		{"a stopped NATS delays facts and loses none", func(t *testing.T) { natsStopped(t, o) }},
		{"a frozen NATS delays facts and loses none", func(t *testing.T) { natsFrozen(t, o) }},
		{"malformed facts become dead letters", func(t *testing.T) { malformedFacts(t, o) }},
	} {
		t.Run(part.name, func(t *testing.T) {
			o.nats.Start(t) // a failed subtest may have left them stopped
			o.redis.Start(t)
			part.test(t)
		})
	}
	outer := t // stop prints the log of the stack, which all subtests share, if outer has failed
	t.Run("sessions survive a flushed Redis", func(t *testing.T) {
		o.redis.Start(t)
		redisFlushed(t, o, func() {
			stop(outer, o.Stack)
			o.redis.Stop(t)
			o.redis.Start(t)
			o.Stack = start(t, options)
		})
	})
}

// book books one seat, and records it in the ledger.
func (o *outageStack) book(t *testing.T, ledger *invariant.Ledger, by member, eventID string) (bookingapi.Booking, stack.Response) {
	t.Helper()
	var b bookingapi.Booking
	res := by.Book(t, eventID, 1, "")
	res.Want(t, 201, &b)
	ledger.RecordAttempt(invariant.Attempt{UserID: by.User.ID, EventID: eventID, Quantity: 1, Status: 201, BookingID: b.ID})
	return b, res
}

// change confirms or cancels a booking, and records that in the ledger. step is "confirm"
// or "cancel".
func (o *outageStack) change(t *testing.T, ledger *invariant.Ledger, by member, bookingID, step string) stack.Response {
	t.Helper()
	res := by.Do(t, "POST", "/api/bookings/"+bookingID+"/"+step, nil)
	res.Want(t, 200, nil)
	ledger.RecordChange(invariant.Change{BookingID: bookingID, Cancel: step == "cancel", Status: 200})
	return res
}

// awaitSold waits until n seats of an event are sold.
func (o *outageStack) awaitSold(t *testing.T, eventID string, n int64) {
	t.Helper()
	kit.Eventually(t, stack.WaitTimeout, fmt.Sprintf("%d seats are sold", n), func() error {
		if seats := o.Seats(t, eventID); seats.Sold != n {
			return fmt.Errorf("got seats %+v", seats)
		}
		return nil
	})
}

// broker connects to JetStream. The connection closes when the test ends.
func (o *outageStack) broker(t *testing.T) jetstream.JetStream {
	t.Helper()
	return openBroker(t, "nats://"+o.nats.Addr)
}

// deadLetters returns the number of dead letters of all topics.
func (o *outageStack) deadLetters(t *testing.T) uint64 {
	t.Helper()
	broker, sum := o.broker(t), uint64(0)
	for _, topic := range []string{bookingapi.Topic, eventapi.Topic} {
		stream, err := broker.Stream(t.Context(), topic+"-dead")
		if err != nil {
			t.Fatal(err)
		}
		sum += stream.CachedInfo().State.Msgs
	}
	return sum
}
