// Package mtls_test runs a complete Boxoffice with mTLS between its sidecars, and calls
// operations as programs would that must not: from the sidecar of another app, with stolen
// or forged certificates, and in plain text.
package mtls_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// certTTL is short, so that certificates are renewed every ten seconds.
const certTTL = 20 * time.Second

// running is the stack that the tests share. TestMain sets it before any test runs.
var running *stack.Stack //nolint:gochecknoglobals // TestMain has no other way to pass it on

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (status int) {
	status = stack.Main(m, &running, stack.Options{Env: []string{
		"MTLS=1", "MTLS_CERT_TTL=" + certTTL.String(), "JAEGER=off",
		"BOOKING_TTL=3s", "HOLD_SETTLE_AFTER=3s", "SWEEP_INTERVAL=1s",
		"RATE_LIMIT_LOGIN=100000/1m", "RATE_LIMIT_WRITE=100000/1m", "RATE_LIMIT_BROWSE=100000/1m",
	}})
	if status != 0 && running != nil {
		fmt.Fprintln(os.Stderr, running.Log())
	}
	return status
}

// instance returns the only instance of an app.
func instance(t *testing.T, app string) stack.Instance {
	t.Helper()
	i, err := running.Instance(app)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// journey books and confirms a seat of an event for a new account.
func journey(t *testing.T, eventID string) error {
	t.Helper()
	res, err := running.Guest().Try(t.Context(), "POST", "/api/auth/register", map[string]string{
		"email": stack.Address(), "password": stack.Password, "name": "Ada",
	})
	if err := want(res, err, 201); err != nil {
		return err
	}
	var account struct{ Tokens struct{ AccessToken string } }
	res.Want(t, 201, &account)
	user := running.As(account.Tokens.AccessToken)
	res, err = user.TryBook(t.Context(), eventID, 1, "")
	if err := want(res, err, 201); err != nil {
		return err
	}
	var booking bookingapi.Booking
	res.Want(t, 201, &booking)
	res, err = user.Try(t.Context(), "POST", "/api/bookings/"+booking.ID+"/confirm", nil)
	return want(res, err, 200)
}

func want(res stack.Response, err error, status int) error {
	if err == nil && res.StatusCode != status {
		err = fmt.Errorf("%s: got %d %s, want %d", res.Request.URL.Path, res.StatusCode, res.Text, status)
	}
	return err
}

func TestJourneyPasses(t *testing.T) {
	if err := journey(t, running.CreateEvent(t, 10)); err != nil {
		t.Error(err)
	}
}

// Facts and ticks come from an app's own sidecar, so access lists do not affect them. The
// cancellation of an event reaches its bookings by a fact; a sweep expires a booking.
func TestFactsAndTicksStillArrive(t *testing.T) {
	user, _ := running.Register(t)
	status := func(id string) string {
		var b bookingapi.Booking
		user.Do(t, "GET", "/api/bookings/"+id, nil).Want(t, 200, &b)
		return string(b.Status)
	}
	var expires, cancelled bookingapi.Booking
	user.Book(t, running.CreateEvent(t, 10), 1, "").Want(t, 201, &expires)
	eventID := running.CreateEvent(t, 10)
	user.Book(t, eventID, 1, "").Want(t, 201, &cancelled)
	user.Do(t, "POST", "/api/bookings/"+cancelled.ID+"/confirm", nil).Want(t, 200, nil)
	admin, _ := running.Admin(t)
	admin.Do(t, "POST", "/api/events/"+eventID+"/cancel", nil).Want(t, 200, nil)
	for id, want := range map[string]string{expires.ID: "expired", cancelled.ID: "cancelled"} {
		kit.Eventually(t, stack.WaitTimeout, "the booking is "+want, func() error {
			if got := status(id); got != want {
				return errors.New("it is " + got)
			}
			return nil
		})
	}
}
