package fault_test

import (
	"fmt"
	"testing"
	"time"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// TestKilledProgramRecoversWithoutLoad kills each app and each sidecar of a stack
// without other requests, and logs how long the recovery takes.
func TestKilledProgramRecoversWithoutLoad(t *testing.T) {
	s := start(t, stack.Options{Data: t.TempDir(), Env: fastExpiryEnv()})
	t.Cleanup(func() { stop(t, s) })
	for _, name := range programs() {
		t.Run(name, func(t *testing.T) { t.Logf("recovered after %s", killAndRecover(t, s, name)) })
	}
}

// killAndRecover kills a process. It returns the time until the process runs again
// and the journey passes.
func killAndRecover(t *testing.T, s *stack.Stack, name string) time.Duration {
	t.Helper()
	eventID := s.CreateEvent(t, 100)
	began := time.Now()
	kill(t, s, name)()
	kit.Eventually(t, stack.WaitTimeout, "the journey passes after "+name+" was killed", func() error { return journey(t, s, eventID) })
	return time.Since(began).Round(10 * time.Millisecond)
}

// journey registers an account, books a seat and confirms the booking. It returns an
// error if a request fails.
func journey(t *testing.T, s *stack.Stack, eventID string) error {
	t.Helper()
	ctx := t.Context()
	check := func(res stack.Response, err error, status int, v any) error {
		switch {
		case err != nil:
			return err
		case res.StatusCode != status:
			return fmt.Errorf("%s: got %d %s", res.Request.URL.Path, res.StatusCode, res.Text)
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
