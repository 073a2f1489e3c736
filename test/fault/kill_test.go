package fault_test

import (
	"testing"

	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/stack"
)

// createEvents creates three events for a crowd, and returns their ids: a small one that
// sells out, a larger one, and one that never sells out. The first two have a limit per
// user.
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

// TestKilledPartComesBackAndInvariantsHold kills one part of the stack after another while
// a crowd books. Half of the crowd never retries. Each time, the stack must recover by
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

// TestKilledProgramRecoversWithoutLoad kills each app and each sidecar of an idle stack,
// and logs how long the recovery takes.
func TestKilledProgramRecoversWithoutLoad(t *testing.T) {
	s := start(t, stack.Options{Data: t.TempDir(), Env: fastExpiryEnv()})
	t.Cleanup(func() { stop(t, s) })
	for _, name := range programs() {
		t.Run(name, func(t *testing.T) { t.Logf("recovered after %s", killAndRecover(t, s, name)) })
	}
}
