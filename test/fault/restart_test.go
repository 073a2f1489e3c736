package fault_test

import (
	"fmt"
	"testing"
	"time"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/test/stack"
)

// TestRestart kills each app and each sidecar of a stack that nobody else uses,
// and says how long it takes until the journey passes again.
func TestRestart(t *testing.T) {
	s := start(t, stack.Options{Data: t.TempDir(), Env: hasty()})
	t.Cleanup(func() { stop(t, s) })
	for _, name := range programs() {
		t.Run(name, func(t *testing.T) { t.Logf("back after %s", killed(t, s, name)) })
	}
}

// killed kills a process and returns after how long another one of its name runs
// and the journey passes.
func killed(t *testing.T, s *stack.Stack, name string) time.Duration {
	t.Helper()
	eventID := s.OnSale(t, 100)
	was, err := s.PID(name)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.Kill(t, name)
	stack.Await(t, name+" runs again", func() error {
		if pid, err := s.PID(name); err != nil || pid == was {
			return fmt.Errorf("process %d, %v", pid, err)
		}
		return nil
	})
	stack.Await(t, "the journey after "+name+" was killed", func() error { return journey(t, s, eventID) })
	return time.Since(began).Round(10 * time.Millisecond)
}

// journey is an account, a booking and its confirmation.
func journey(t *testing.T, s *stack.Stack, eventID string) error {
	t.Helper()
	ctx := t.Context()
	step := func(res stack.Response, err error, status int, v any) error {
		switch {
		case err != nil:
			return err
		case res.StatusCode != status:
			return fmt.Errorf("%s: %d %s", res.Request.URL.Path, res.StatusCode, res.Text)
		}
		res.Want(t, status, v)
		return nil
	}
	res, err := s.Guest().Try(ctx, "GET", "/readyz", nil)
	if err := step(res, err, 200, nil); err != nil {
		return err
	}
	var account struct{ Tokens struct{ AccessToken string } }
	res, err = s.Guest().Try(ctx, "POST", "/api/auth/register", map[string]string{
		"email": stack.Address(), "password": stack.Password, "name": "Ada",
	})
	if err := step(res, err, 201, &account); err != nil {
		return err
	}
	client := s.As(account.Tokens.AccessToken)
	var made bookingapi.Booking
	res, err = client.TryBook(ctx, eventID, 1, "")
	if err := step(res, err, 201, &made); err != nil {
		return err
	}
	res, err = client.Try(ctx, "POST", "/api/bookings/"+made.ID+"/confirm", nil)
	return step(res, err, 200, nil)
}
