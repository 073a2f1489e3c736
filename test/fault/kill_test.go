// Package fault_test kills, freezes and disconnects parts of a running Boxoffice,
// and checks that it recovers and keeps its invariants. Each test has a stack of its
// own.
package fault_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/invariant"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// fastExpiryEnv returns an environment in which bookings expire soon and sweeps run
// often. Rate limiting stays enabled, with limits that the tests do not reach.
func fastExpiryEnv() []string {
	return []string{
		"RATE_LIMIT_BROWSE=100000/1m", "RATE_LIMIT_WRITE=100000/1m", "RATE_LIMIT_LOGIN=100000/1m",
		"BOOKING_TTL=3s", "HOLD_SETTLE_AFTER=3s", "SWEEP_INTERVAL=1s", "JAEGER=off",
	}
}

// start starts a stack, which the caller must stop.
func start(t *testing.T, o stack.Options) *stack.Stack {
	t.Helper()
	s, err := stack.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stop stops a stack, and prints its log if the test has failed.
func stop(t *testing.T, s *stack.Stack) {
	t.Helper()
	if t.Failed() {
		t.Log(s.Log())
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// programs returns the names of all apps and their sidecars.
func programs() []string {
	return []string{"auth", "event", "booking", "gateway", "auth-daprd", "event-daprd", "booking-daprd", "gateway-daprd"}
}

// createEvents creates the events of a crowd, and returns their ids: a small one that
// sells out, a larger one, both with a limit for each user, and one that never sells
// out.
func createEvents(t *testing.T, s *stack.Stack) []string {
	t.Helper()
	admin, _ := s.Admin(t)
	var ids []string
	for _, e := range []struct{ capacity, limit int }{{40, 6}, {400, 8}, {100_000, 0}} {
		body := stack.EventBody(stack.Unique("Norma"), "opera")
		body["capacity"] = e.capacity
		if e.limit > 0 {
			body["maxPerUser"] = e.limit
		}
		var created eventapi.Event
		admin.Do(t, "POST", "/api/events", body).Want(t, 201, &created)
		ids = append(ids, created.ID)
	}
	return ids
}

// TestKilledPartComesBackAndInvariantsHold kills one part after the other while a
// crowd books. Half of the crowd never retries. Each time the stack must recover by
// itself, and every invariant must hold once the sweeps have run.
func TestKilledPartComesBackAndInvariantsHold(t *testing.T) {
	data := t.TempDir()
	s := start(t, stack.Options{Data: data, Env: fastExpiryEnv()})
	t.Cleanup(func() { stop(t, s) })
	events := createEvents(t, s)
	c := newCrowd(t, s, 12, events)
	for _, name := range append(programs(), "nats", "redis", "mongo") {
		t.Run(name, func(t *testing.T) {
			stopBooking := c.startBooking(t)
			c.awaitBookings(t, 20)
			t.Logf("recovered after %s", killAndRecover(t, s, name))
			c.awaitBookings(t, 1)
			stopBooking()
			awaitInvariants(t, s, events, c.ledger)
		})
	}
	t.Run("devstack", func(t *testing.T) {
		stopBooking := c.startBooking(t)
		c.awaitBookings(t, 20)
		s.KillAll(t)
		s = start(t, stack.Options{Data: data, Env: fastExpiryEnv()})
		c.gateway.Store(s.Gateway)
		c.awaitBookings(t, 20)
		stopBooking()
		awaitInvariants(t, s, events, c.ledger)
	})
	t.Logf("responses by status: %v", c.ledger.Counts())
}

// openDatabases connects to the databases of a stack. The caller must call
// disconnect.
func openDatabases(t *testing.T, s *stack.Stack) (dbs invariant.Databases, disconnect func()) {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(s.Env["MONGO_URI"]))
	if err != nil {
		t.Fatal(err)
	}
	dbs = invariant.Databases{Event: client.Database("event"), Booking: client.Database("booking")}
	return dbs, func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) }
}

// readState reads what the stores have about an event.
func readState(t *testing.T, s *stack.Stack, eventID string) invariant.State {
	t.Helper()
	dbs, disconnect := openDatabases(t, s)
	defer disconnect()
	state, err := invariant.Read(t.Context(), dbs, []string{eventID})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// awaitInvariants waits until every invariant holds. Bookings that are not confirmed
// must have expired by then, which takes the settling time and a sweep. A violation
// that does not go away fails the test.
func awaitInvariants(t *testing.T, s *stack.Stack, events []string, ledger *invariant.Ledger) {
	t.Helper()
	dbs, disconnect := openDatabases(t, s)
	defer disconnect()
	admin, _ := s.Admin(t)
	began := time.Now()
	kit.Eventually(t, stack.WaitTimeout, "the invariants hold", func() error {
		state, err := invariant.Read(t.Context(), dbs, events)
		if err != nil {
			return err
		}
		if err := state.ReadGateway(t.Context(), admin, events); err != nil {
			return err
		}
		if state.Facts, err = invariant.ReadFacts(t.Context(), s.Env["NATS_URL"], events); err != nil {
			return err
		}
		if n := state.Expiring(); n > 0 {
			return fmt.Errorf("%d bookings are about to expire", n)
		}
		broken := invariant.Check(state, ledger)
		if len(broken) == 0 {
			t.Logf("%d bookings, every invariant holds %s after the last request", len(state.Bookings), time.Since(began).Round(10*time.Millisecond))
			return nil
		}
		return fmt.Errorf("%d violations: %v", len(broken), broken[:min(len(broken), 10)])
	})
}
