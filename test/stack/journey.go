package stack

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/eventapi"
)

// Password is that of every account that a test makes.
const Password = "correct horse battery staple"

// Address returns an e-mail address that nobody has.
func Address() string { return Unique("ada") + "@example.org" }

// Unique returns a name that nothing has.
func Unique(name string) string { return name + "-" + strings.ToLower(rand.Text()[:12]) }

// Register makes an account with its first session.
func (s *Stack) Register(t *testing.T) (Client, authapi.Login) {
	t.Helper()
	var l authapi.Login
	body := map[string]string{"email": Address(), "password": Password, "name": "Ada"}
	s.Guest().Do(t, "POST", "/api/auth/register", body).Want(t, 201, &l)
	return s.As(l.Tokens.AccessToken), l
}

// Admin logs the first admin in.
func (s *Stack) Admin(t *testing.T) (Client, authapi.Login) {
	t.Helper()
	var l authapi.Login
	body := map[string]string{"email": s.AdminEmail, "password": s.AdminPassword}
	s.Guest().Do(t, "POST", "/api/auth/login", body).Want(t, 200, &l)
	return s.As(l.Tokens.AccessToken), l
}

// Evening is the body of a new event, which may be changed before it is sent.
func Evening(name, category string) map[string]any {
	start := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	return map[string]any{
		"name": name, "category": category, "startsAt": start, "endsAt": start.Add(3 * time.Hour), "capacity": 100,
		"price": map[string]any{"amount": 2500, "currency": "EUR"},
	}
}

// OnSale makes an event of so many seats and returns its id.
func (s *Stack) OnSale(t *testing.T, capacity int) string {
	t.Helper()
	boss, _ := s.Admin(t)
	body := Evening(Unique("Norma"), "opera")
	body["capacity"] = capacity
	var made eventapi.Event
	boss.Do(t, "POST", "/api/events", body).Want(t, 201, &made)
	return made.ID
}

// Seats are the counters of an event, as anyone may see them.
func (s *Stack) Seats(t *testing.T, eventID string) eventapi.Availability {
	t.Helper()
	var seats eventapi.Availability
	s.Guest().Do(t, "GET", "/api/events/"+eventID+"/availability", nil).Want(t, 200, &seats)
	return seats
}

// Book asks for seats; key may be empty.
func (c Client) Book(t *testing.T, eventID string, quantity int, key string) Response {
	t.Helper()
	res, err := c.TryBook(t.Context(), eventID, quantity, key)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TryBook is Book for requests that may get no answer, and for goroutines that
// must not end the test.
func (c Client) TryBook(ctx context.Context, eventID string, quantity int, key string) (Response, error) {
	var headers []string
	if key != "" {
		headers = []string{"Idempotency-Key", key}
	}
	return c.Try(ctx, "POST", "/api/bookings", map[string]any{"eventId": eventID, "quantity": quantity}, headers...)
}
