package stack

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/eventapi"
)

// Password is the password of every account that a test creates.
const Password = "correct horse battery staple"

// Address returns an e-mail address that no account has.
func Address() string { return Unique("ada") + "@example.org" }

// Unique returns name with a random suffix.
func Unique(name string) string { return name + "-" + strings.ToLower(rand.Text()[:12]) }

// Register creates an account, and returns a client with its first session.
func (s *Stack) Register(t *testing.T) (Client, authapi.Login) {
	t.Helper()
	var l authapi.Login
	body := map[string]string{"email": Address(), "password": Password, "name": "Ada"}
	s.Guest().Do(t, "POST", "/api/auth/register", body).Want(t, 201, &l)
	return s.As(l.Tokens.AccessToken), l
}

// Admin logs in the first admin, and returns a client with the new session.
func (s *Stack) Admin(t *testing.T) (Client, authapi.Login) {
	t.Helper()
	var l authapi.Login
	body := map[string]string{"email": s.AdminEmail, "password": s.AdminPassword}
	s.Guest().Do(t, "POST", "/api/auth/login", body).Want(t, 200, &l)
	return s.As(l.Tokens.AccessToken), l
}

// NewAdmin creates an admin, and returns a client with its first session. The locks that
// belong to this admin are free.
func (s *Stack) NewAdmin(t *testing.T) Client {
	t.Helper()
	first, _ := s.Admin(t)
	var l authapi.Login
	body := map[string]string{"email": Address(), "password": Password, "name": "Grace", "role": "admin"}
	first.Do(t, "POST", "/api/auth/register", body).Want(t, 201, &l)
	return s.As(l.Tokens.AccessToken)
}

// EventBody returns the body of a request to create an event with 100 seats. The caller
// may change it before sending it.
func EventBody(name, category string) map[string]any {
	start := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	return map[string]any{
		"name": name, "category": category, "startsAt": start, "endsAt": start.Add(3 * time.Hour), "capacity": 100,
		"price": map[string]any{"amount": 2500, "currency": "EUR"},
	}
}

// CreateEvent publishes an event with the given capacity, and returns its id.
func (s *Stack) CreateEvent(t *testing.T, capacity int) string {
	t.Helper()
	admin, _ := s.Admin(t)
	body := EventBody(Unique("Norma"), "opera")
	body["capacity"] = capacity
	var created eventapi.Event
	admin.Do(t, "POST", "/api/events", body).Want(t, 201, &created)
	return created.ID
}

// Seats returns the current counters of an event. It reads them as an admin, because what
// others read may be a second old.
func (s *Stack) Seats(t *testing.T, eventID string) eventapi.Availability {
	t.Helper()
	s.seats.Lock()
	defer s.seats.Unlock()
	read := func() Response { return s.admin.Do(t, "GET", "/api/events/"+eventID+"/availability", nil) }
	var res Response
	if s.admin != nil {
		res = read()
	}
	if s.admin == nil || res.StatusCode == http.StatusUnauthorized { // the session may have ended
		admin, _ := s.Admin(t)
		s.admin = &admin
		res = read()
	}
	var seats eventapi.Availability
	res.Want(t, 200, &seats)
	return seats
}

// Book requests a booking, and fails the test if there is no response. key is the
// idempotency key; it is not sent if empty.
func (c Client) Book(t *testing.T, eventID string, quantity int, key string) Response {
	t.Helper()
	res, err := c.TryBook(t.Context(), eventID, quantity, key)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TryBook requests a booking as Book does, but returns an error instead of failing
// the test. It is for requests that may get no response, and for goroutines.
func (c Client) TryBook(ctx context.Context, eventID string, quantity int, key string) (Response, error) {
	var headers []string
	if key != "" {
		headers = []string{"Idempotency-Key", key}
	}
	return c.Try(ctx, "POST", "/api/bookings", map[string]any{"eventId": eventID, "quantity": quantity}, headers...)
}
