package fault_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/invariant"
	"boxoffice/test/stack"
)

// outages is a stack whose NATS and Redis come and go as a test wants.
type outages struct {
	*stack.Stack
	nats, redis *stack.Server
	members     []member // who have accounts, made while all was up
}

// member is a client with an account.
type member struct {
	stack.Client
	authapi.Login
}

// TestOutages takes away one part after the other for a while.
func TestOutages(t *testing.T) {
	o := &outages{nats: stack.StartNATS(t), redis: stack.StartRedis(t)}
	options := stack.Options{Data: t.TempDir(), Env: append(patient(),
		"NATS_URL=nats://"+o.nats.Addr, "REDIS_ADDR="+o.redis.Addr,
		"JAEGER=", "OTEL_BSP_SCHEDULE_DELAY=200", // spans of sidecars are sent soon
	)}
	o.Stack = start(t, options)
	t.Cleanup(func() { stop(t, o.Stack) })
	for range 10 {
		client, account := o.Register(t)
		o.members = append(o.members, member{client, account})
	}
	taken := func(*testing.T) {}
	for _, part := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"MongoDB frozen", func(t *testing.T) { taken = mongoFrozen(t, o) }},
		{"sidecar frozen", func(t *testing.T) { sidecarFrozen(t, o) }},
		{"log-in locked", func(t *testing.T) { logInLocked(t, o) }},
		{"Redis stopped", func(t *testing.T) { redisStopped(t, o) }},
		{"MongoDB back", func(t *testing.T) { taken(t) }},
		{"NATS stopped", func(t *testing.T) { natsStopped(t, o) }},
		{"NATS frozen", func(t *testing.T) { natsFrozen(t, o) }},
		{"malformed facts", func(t *testing.T) { malformedFacts(t, o) }},
	} {
		t.Run(part.name, func(t *testing.T) {
			o.nats.Start(t) // one that failed may have left them away
			o.redis.Start(t)
			part.test(t)
		})
	}
	failed := t // its log is that of all tests on one stack
	t.Run("Redis flushed", func(t *testing.T) {
		o.redis.Start(t)
		redisFlushed(t, o, func() {
			stop(failed, o.Stack)
			o.redis.Stop(t)
			o.redis.Start(t)
			o.Stack = start(t, options)
		})
	})
}

// book makes a booking of one seat and notes it.
func (o *outages) book(t *testing.T, ledger *invariant.Ledger, who member, eventID string) (bookingapi.Booking, stack.Response) {
	t.Helper()
	var b bookingapi.Booking
	res := who.Book(t, eventID, 1, "")
	res.Want(t, 201, &b)
	ledger.RecordAttempt(invariant.Attempt{UserID: who.User.ID, EventID: eventID, Quantity: 1, Status: 201, BookingID: b.ID})
	return b, res
}

// change confirms or cancels a booking and notes it.
func (o *outages) change(t *testing.T, ledger *invariant.Ledger, who member, bookingID, step string) stack.Response {
	t.Helper()
	res := who.Do(t, "POST", "/api/bookings/"+bookingID+"/"+step, nil)
	res.Want(t, 200, nil)
	ledger.RecordChange(invariant.Change{BookingID: bookingID, Cancel: step == "cancel", Status: 200})
	return res
}

// state is what the stores have of an event.
func (o *outages) state(t *testing.T, eventID string) invariant.State {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(o.Env["MONGO_URI"]))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) }()
	dbs := invariant.Databases{Event: client.Database("event"), Booking: client.Database("booking")}
	s, err := invariant.Read(t.Context(), dbs, []string{eventID})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// awaitSold waits until so many seats of an event are sold.
func (o *outages) awaitSold(t *testing.T, eventID string, n int64) {
	t.Helper()
	stack.Await(t, "sold seats", func() error {
		if seats := o.Seats(t, eventID); seats.Sold != n {
			return fmt.Errorf("got %+v, want %d sold", seats, n)
		}
		return nil
	})
}

// broker is JetStream, for as long as the test runs.
func (o *outages) broker(t *testing.T) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect("nats://" + o.nats.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// deadLetters is how many facts were given up.
func (o *outages) deadLetters(t *testing.T) uint64 {
	t.Helper()
	broker, sum := o.broker(t), uint64(0)
	for _, topic := range []string{bookingapi.Topic, eventapi.Topic} {
		stream, err := broker.Stream(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(topic+"-dead"))
		if err != nil {
			t.Fatal(err)
		}
		sum += info.State.Subjects[topic+"-dead"]
	}
	return sum
}
