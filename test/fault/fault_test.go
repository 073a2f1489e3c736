// Package fault_test kills, freezes and disconnects parts of a running Boxoffice, and
// checks that it recovers and keeps its invariants. Each test starts its own stack.
package fault_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/test/invariant"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// fastExpiryEnv returns an environment in which bookings expire soon and sweeps run
// often. Rate limiting stays enabled, with limits that the tests do not reach.
func fastExpiryEnv() []string {
	return []string{
		"RATE_LIMIT_BROWSE=100000/1m", "RATE_LIMIT_WRITE=100000/1m", "RATE_LIMIT_LOGIN=100000/1m", "RATE_LIMIT_REFUSALS=100000/1m", "RATE_LIMIT_ADDRESS=100000/1m", "CONNECTIONS_PER_ADDRESS=100000",
		// The customers of a crowd leave bookings pending for as long as a test runs.
		"MAX_PENDING_PER_USER=10000",
		"BOOKING_TTL=3s", "HOLD_SETTLE_AFTER=3s", "SWEEP_INTERVAL=1s", "JAEGER=off",
	}
}

// start starts a stack. The caller must stop it.
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

// kill kills a process. The caller must call awaitRestart, which waits until the
// devstack has replaced the process.
func kill(t *testing.T, s *stack.Stack, name string) (awaitRestart func()) {
	t.Helper()
	before, err := s.PID(name)
	if err != nil {
		t.Fatal(err)
	}
	s.Kill(t, name)
	return func() {
		t.Helper()
		kit.Eventually(t, stack.WaitTimeout, name+" runs again", func() error {
			if pid, err := s.PID(name); err != nil || pid == before {
				return fmt.Errorf("got process %d, %v, want one other than %d", pid, err, before)
			}
			return nil
		})
	}
}

// killAndRecover kills a process, and waits until it runs again and the journey passes. It
// returns how long that took.
func killAndRecover(t *testing.T, s *stack.Stack, name string) time.Duration {
	t.Helper()
	eventID := s.CreateEvent(t, 100)
	began := time.Now()
	kill(t, s, name)()
	kit.Eventually(t, stack.WaitTimeout, "the journey passes after "+name+" was killed", func() error { return journey(t, s, eventID) })
	return time.Since(began).Round(10 * time.Millisecond)
}

// journey checks that the gateway is ready, registers an account, books a seat and
// confirms the booking. It returns an error if a request fails.
func journey(t *testing.T, s *stack.Stack, eventID string) error {
	t.Helper()
	ctx := t.Context()
	check := func(res stack.Response, err error, status int, v any) error {
		switch {
		case err != nil:
			return err
		case res.StatusCode != status:
			return fmt.Errorf("%s: got %d %s, want %d", res.Request.URL.Path, res.StatusCode, res.Text, status)
		}
		res.Want(t, status, v)
		return nil
	}
	res, err := s.Guest().Try(ctx, "GET", "/readyz", nil)
	if err := check(res, err, 200, nil); err != nil {
		return err
	}
	var account struct{ Tokens struct{ AccessToken string } }
	res, err = s.Guest().Try(ctx, "POST", "/api/auth/register", map[string]string{
		"email": stack.Address(), "password": stack.Password, "name": "Ada",
	})
	if err := check(res, err, 201, &account); err != nil {
		return err
	}
	client := s.As(account.Tokens.AccessToken)
	var created bookingapi.Booking
	res, err = client.TryBook(ctx, eventID, 1, "")
	if err := check(res, err, 201, &created); err != nil {
		return err
	}
	res, err = client.Try(ctx, "POST", "/api/bookings/"+created.ID+"/confirm", nil)
	return check(res, err, 200, nil)
}

// sendConcurrently calls send for all clients at once, and returns the responses in the
// order of the clients. It fails the test if a response is missing.
func sendConcurrently(t *testing.T, clients []stack.Client, send func(stack.Client) (stack.Response, error)) []stack.Response {
	t.Helper()
	responses := make([]stack.Response, len(clients))
	kit.Concurrently(len(clients), func(i int) {
		res, err := send(clients[i])
		if err != nil {
			t.Error(err)
		}
		responses[i] = res
	})
	if t.Failed() {
		t.FailNow()
	}
	return responses
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

// readState reads the documents about an event from the stores.
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

// awaitInvariants waits until every invariant holds and no pending booking is about to
// expire. A violation that lasts longer than stack.WaitTimeout fails the test.
func awaitInvariants(t *testing.T, s *stack.Stack, events []string, ledger *invariant.Ledger) {
	t.Helper()
	awaitInvariantsOf(t, s, events, ledger, func(state *invariant.State) (err error) {
		state.Facts, err = invariant.ReadFacts(t.Context(), s.NATSURL, events)
		return err
	})
}

// awaitInvariantsWithoutFacts is awaitInvariants after facts were lost for good. The streams
// then do not contain each fact once, but every other invariant must hold.
func awaitInvariantsWithoutFacts(t *testing.T, s *stack.Stack, events []string, ledger *invariant.Ledger) {
	t.Helper()
	awaitInvariantsOf(t, s, events, ledger, func(*invariant.State) error { return nil })
}

// awaitAdmin logs in the first admin. A log-in gets 503 while the sidecar of auth considers
// auth unhealthy, which lasts for a health probe longer than the failure itself.
func awaitAdmin(t *testing.T, s *stack.Stack) (admin stack.Client) {
	t.Helper()
	kit.Eventually(t, stack.WaitTimeout, "the admin can log in", func() error {
		res, err := s.Guest().Try(t.Context(), "POST", "/api/auth/login", map[string]string{"email": s.AdminEmail, "password": s.AdminPassword})
		switch {
		case err != nil:
			return err
		case res.StatusCode == http.StatusServiceUnavailable:
			return fmt.Errorf("got %d %s", res.StatusCode, res.Text)
		}
		var l authapi.Login
		res.Want(t, http.StatusOK, &l)
		admin = s.As(l.Tokens.AccessToken)
		return nil
	})
	return admin
}

// awaitInvariantsOf is awaitInvariants for states that were read from the stores and the
// gateway, and that readStreams completes.
func awaitInvariantsOf(t *testing.T, s *stack.Stack, events []string, ledger *invariant.Ledger, readStreams func(*invariant.State) error) {
	t.Helper()
	dbs, disconnect := openDatabases(t, s)
	defer disconnect()
	admin := awaitAdmin(t, s)
	began := time.Now()
	kit.Eventually(t, stack.WaitTimeout, "the invariants hold", func() error {
		state, err := invariant.Read(t.Context(), dbs, events)
		if err != nil {
			return err
		}
		if err := state.ReadGateway(t.Context(), admin, events); err != nil {
			return err
		}
		if err := readStreams(&state); err != nil {
			return err
		}
		if n := state.Expiring(); n > 0 {
			return fmt.Errorf("%d bookings are about to expire", n)
		}
		broken := invariant.Check(state, ledger)
		if len(broken) == 0 {
			t.Logf("%d bookings; every invariant holds %s after the last request", len(state.Bookings), time.Since(began).Round(10*time.Millisecond))
			return nil
		}
		return fmt.Errorf("%d violations: %v", len(broken), broken[:min(len(broken), 10)])
	})
}
