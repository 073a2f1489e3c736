// Package fault_test breaks parts of a running Boxoffice and looks at what is
// left. Each test has a stack of its own.
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
	"boxoffice/test/stack"
)

// hasty is the environment in which bookings lapse and sweeps come soon, with
// limits of requests that are in the path and out of the way.
func hasty() []string {
	return []string{
		"RATE_LIMIT_BROWSE=100000/1m", "RATE_LIMIT_WRITE=100000/1m", "RATE_LIMIT_LOGIN=100000/1m",
		"BOOKING_TTL=3s", "HOLD_SETTLE_AFTER=3s", "SWEEP_INTERVAL=1s", "JAEGER=off",
	}
}

func start(t *testing.T, o stack.Options) *stack.Stack {
	t.Helper()
	s, err := stack.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stop(t *testing.T, s *stack.Stack) {
	t.Helper()
	if t.Failed() {
		t.Log(s.Log())
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// programs are all apps and their sidecars.
func programs() []string {
	return []string{"auth", "event", "booking", "gateway", "auth-daprd", "event-daprd", "booking-daprd", "gateway-daprd"}
}

// sale makes the events that a crowd wants: a hot one, one with a limit, and a
// large one.
func sale(t *testing.T, s *stack.Stack) []string {
	t.Helper()
	boss, _ := s.Admin(t)
	var ids []string
	for _, e := range []struct{ capacity, most int }{{40, 6}, {400, 8}, {100_000, 0}} {
		body := stack.Evening(stack.Unique("Norma"), "opera")
		body["capacity"] = e.capacity
		if e.most > 0 {
			body["maxPerUser"] = e.most
		}
		var made eventapi.Event
		boss.Do(t, "POST", "/api/events", body).Want(t, 201, &made)
		ids = append(ids, made.ID)
	}
	return ids
}

// TestKilled kills one part after the other while a crowd books, half of whom
// never ask again. Each time all is back by itself, and when the sweeps had their
// time, every invariant holds.
func TestKilled(t *testing.T) {
	data := t.TempDir()
	s := start(t, stack.Options{Data: data, Env: hasty()})
	t.Cleanup(func() { stop(t, s) })
	events := sale(t, s)
	c := newCrowd(t, s, 12, events)
	for _, name := range append(programs(), "nats", "redis", "mongo") {
		t.Run(name, func(t *testing.T) {
			end := c.book(t)
			c.awaitMore(t, 20)
			t.Logf("back after %s", killed(t, s, name))
			c.awaitMore(t, 1)
			end()
			settled(t, s, events, c.ledger)
		})
	}
	t.Run("devstack", func(t *testing.T) {
		end := c.book(t)
		c.awaitMore(t, 20)
		s.KillAll(t)
		s = start(t, stack.Options{Data: data, Env: hasty()})
		c.gateway.Store(s.Gateway)
		c.awaitMore(t, 20)
		end()
		settled(t, s, events, c.ledger)
	})
	t.Logf("answers by status: %v", c.ledger.Counts())
}

// settled waits until nothing is under way any more: what nobody confirmed has
// lapsed, which takes the settling time and a sweep. No invariant may be broken
// then. What is broken for good stays so.
func settled(t *testing.T, s *stack.Stack, events []string, ledger *invariant.Ledger) {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(s.Env["MONGO_URI"]))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) }()
	dbs := invariant.Databases{Event: client.Database("event"), Booking: client.Database("booking")}
	boss, _ := s.Admin(t)
	began := time.Now()
	stack.Await(t, "the invariants", func() error {
		state, err := invariant.Read(t.Context(), dbs, events)
		if err != nil {
			return err
		}
		if err := state.ReadGateway(t.Context(), boss, events); err != nil {
			return err
		}
		if state.Facts, err = invariant.ReadFacts(t.Context(), s.Env["NATS_URL"], events); err != nil {
			return err
		}
		if n := state.Expiring(); n > 0 {
			return fmt.Errorf("%d bookings are about to lapse", n)
		}
		broken := invariant.Check(state, ledger)
		if len(broken) == 0 {
			t.Logf("%d bookings, all is right %s after the last request", len(state.Bookings), time.Since(began).Round(10*time.Millisecond))
			return nil
		}
		return fmt.Errorf("%d violations: %v", len(broken), broken[:min(len(broken), 10)])
	})
}
