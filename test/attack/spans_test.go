package attack_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// traceBytes returns the trace id of a response as it appears in a batch of spans.
func traceBytes(t *testing.T, res stack.Response) string {
	t.Helper()
	id, err := hex.DecodeString(res.TraceID(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(id)
}

// Neither what clients send nor the secrets of the programs may leave a process in a span
// or in the log. The rule holds for the programs and for their sidecars.
func TestSpansAndLogsContainNothingPersonal(t *testing.T) {
	const address = "127.0.0.24"
	guest := running.Guest().From(address)
	email, password := strings.ToLower(stack.Unique("personal"))+"@example.org", stack.Unique("the-password")
	term, agent, description, reference := stack.Unique("term"), stack.Unique("agent"), stack.Unique("description"), stack.Unique("reference")
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(email+":"+password))
	headers := []string{"User-Agent", agent, "Referer", "http://" + agent + ".example/", "X-Forwarded-For", "203.0.113.24", "X-Forwarded-Proto", agent, "Cookie", "a=" + agent}

	var login, second authapi.Login
	guest.Do(t, "POST", "/api/auth/register?email="+email, map[string]string{"email": email, "password": password, "name": term}, headers...).Want(t, 201, &login)
	body := map[string]string{"email": email, "password": password}
	res := guest.Do(t, "POST", "/api/auth/login?q="+term, body, append(headers, "Authorization", basic)...)
	res.Want(t, 200, &second)
	loggedIn := traceBytes(t, res)
	guest.Do(t, "POST", "/api/auth/login", map[string]string{"email": email, "password": "wrong-" + password}, headers...).Refused(t, 401, "auth.invalid_credentials")
	guest.Do(t, "POST", "/api/auth/refresh", map[string]string{"refreshToken": login.Tokens.RefreshToken, "email": email}, headers...).Want(t, 200, nil)

	admin, _ := running.Admin(t)
	admin = admin.From("127.0.0.25")
	var event eventapi.Event
	definition := stack.EventBody(stack.Unique("Norma"), "opera")
	definition["description"], definition["venue"] = description, description
	admin.Do(t, "POST", "/api/events?q="+term, definition).Want(t, 201, &event)
	guest.Token = second.Tokens.AccessToken
	var booked bookingapi.Booking
	res = guest.Do(t, "POST", "/api/bookings?q="+term, map[string]any{"eventId": event.ID, "quantity": 1}, append(headers, "Idempotency-Key", reference)...)
	res.Want(t, 201, &booked)
	bookingTrace := traceBytes(t, res)
	guest.Do(t, "POST", "/api/bookings/"+booked.ID+"/confirm", map[string]any{"paymentReference": reference}, headers...).Want(t, 200, nil)
	for _, path := range []string{
		"/api/auth/me?email=" + email, "/api/events/search/" + term, "/api/events/search/" + email, "/api/events?category=" + term,
		"/api/events/organizer/" + term, "/api/bookings/me?cursor=" + term, "/api/bookings/" + term, "/" + email, "/api/events/" + term + "?" + email,
	} {
		guest.Do(t, "GET", path, nil, headers...)
		running.Guest().From(address).Do(t, "GET", path, nil, append(headers, "Authorization", basic)...)
	}

	// The spans of the last requests have arrived, also those of both sidecars of a call.
	for _, want := range [][]string{
		{loggedIn, "boxoffice/gateway", "POST /api/auth/login"}, {loggedIn, "dapr-diagnostics", "CallLocal/auth/auth.login"},
		{loggedIn, "boxoffice/shared/redisconn", "evalsha"}, {loggedIn, "mongotrace", "find users"},
		{bookingTrace, "dapr-diagnostics", "CallLocal/event/event.capacity.reserve"}, {bookingTrace, "dapr-diagnostics", "pubsub/booking-events"},
		{bookingTrace, "mongotrace", "insert bookings"},
	} {
		kit.Eventually(t, stack.WaitTimeout, "the spans of "+want[1]+" with "+want[2]+" have arrived", func() bool { return spans.has(want...) })
	}
	personal := append(secrets(t),
		email, strings.ReplaceAll(email, "@", "%40"), password, term, agent, description, reference, basic, "203.0.113.24", address,
		login.Tokens.AccessToken, login.Tokens.RefreshToken, guest.Token, running.AdminPassword, stack.Password)
	log := running.Log()
	if got := spans.find(running.AdminEmail); got != "" { // the ready screen of devstack shows it, so the log contains it
		t.Errorf("a span contains the admin's e-mail address: %q", got)
	}
	for _, secret := range personal {
		if got := spans.find(secret); got != "" {
			t.Errorf("a span contains %q: %q", secret, got)
		}
		if i := strings.Index(log, secret); i >= 0 {
			t.Errorf("the log contains %q: %s", secret, log[max(0, i-200):min(len(log), i+100)])
		}
	}
}

// secrets returns all texts in the files of secrets that the stack has created.
func secrets(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, name := range []string{"secrets.json", "credentials.json"} {
		data, err := os.ReadFile(filepath.Join(running.Data, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var store any
		if err := json.Unmarshal(data, &store); err != nil {
			t.Fatal(err)
		}
		all = append(all, texts(store)...)
	}
	// A short text, such as a name, would be found by chance.
	all = slices.DeleteFunc(all, func(s string) bool { return len(s) < 16 })
	if len(all) < 2 {
		t.Fatalf("got %d secrets, want several", len(all))
	}
	return all
}

// texts returns all texts in a value that was decoded from JSON.
func texts(v any) []string {
	var all []string
	switch v := v.(type) {
	case map[string]any:
		for _, item := range v {
			all = append(all, texts(item)...)
		}
	case []any:
		for _, item := range v {
			all = append(all, texts(item)...)
		}
	case string:
		all = append(all, v)
	}
	return all
}

// A client must not join a trace of its choice, force or prevent sampling, or reach the
// sidecars. A shared cache must not give what it chose to others.
func TestClientsChooseNoTrace(t *testing.T) {
	const traceID, spanID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	state, requestID := stack.Unique("state"), stack.Unique("request")
	guest := running.Guest().From("127.0.0.24")
	for _, flags := range []string{"00", "01", "ff"} {
		headers := []string{
			"traceparent", "00-" + traceID + "-" + spanID + "-" + flags, "tracestate", "vendor=" + state, "baggage", "user=" + state,
			"X-Request-Id", requestID, "b3", traceID + "-" + spanID + "-d", "grpc-trace-bin", state,
		}
		var last stack.Response
		for _, path := range []string{"/api/events", "/api/events", "/.well-known/jwks.json", "/api/auth/me"} {
			last = guest.Do(t, "GET", path, nil, headers...)
			isShared := strings.Contains(last.Header.Get("Cache-Control"), "public")
			if isShared == (path == "/api/auth/me") {
				t.Errorf("%s: Cache-Control: got %q", path, last.Header.Get("Cache-Control"))
			}
			if isShared && last.Header.Get("X-Request-Id") == requestID || last.TraceID(t) == traceID || last.Header.Get("tracestate") != "" {
				t.Errorf("%s: got headers of the client: %v", path, last.Header)
			}
		}
		last = guest.Do(t, "POST", "/api/auth/login", map[string]string{"email": stack.Address(), "password": stack.Password}, headers...)
		id := traceBytes(t, last)
		kit.Eventually(t, stack.WaitTimeout, "the spans of the log-in have arrived", func() bool {
			return spans.has(id, "boxoffice/gateway") && spans.has(id, "dapr-diagnostics", "CallLocal/auth/auth.login")
		})
		if got := spans.find(state); got != "" {
			t.Errorf("a span contains the client's tracestate or baggage: %q", got)
		}
		chosen, _ := hex.DecodeString(traceID)
		if spans.has(string(chosen), "dapr-diagnostics") {
			t.Error("the client's trace has reached a sidecar")
		}
	}
}
