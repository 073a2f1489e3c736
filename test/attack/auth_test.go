package attack_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace/noop"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// sidecarClient returns a client that calls apps through the sidecar of an app, as a
// program beside it does.
func sidecarClient(t *testing.T, app string) *rpc.Client {
	t.Helper()
	beside, err := running.Instance(app)
	if err != nil {
		t.Fatal(err)
	}
	c := rpc.NewClient(rpc.ClientConfig{
		Sidecar: fmt.Sprintf("http://127.0.0.1:%d", beside.HTTPPort), Token: beside.APIToken, Tracing: noop.NewTracerProvider(),
	})
	t.Cleanup(c.Close)
	return c
}

// A program that can call auth must not become an admin, or anybody else, by a request
// that claims to serve them.
func TestForgedRegistrationsGiveNoTokens(t *testing.T) {
	c := sidecarClient(t, "auth")
	user, login := running.Register(t)
	forged := authapi.RegisterRequest{
		UserID: stack.Unique("forged"), Email: stack.Address(), Password: stack.Password, Name: "Eve", Role: authapi.RoleAdmin,
		Device: authapi.Device{Address: "127.0.0.30"},
	}
	for name, raw := range map[string]string{"no token": "", "a user's token": user.Token, "a refresh token": login.Tokens.RefreshToken} {
		forged.CallerToken = raw
		_, err := rpc.Call(t.Context(), c, authapi.Register, forged)
		if got := apperr.From(err).Reason; err == nil || got != authapi.ReasonAdminRequired {
			t.Errorf("an admin's registration with %s: got %v, want %s", name, err, authapi.ReasonAdminRequired)
		}
	}
	byAdmin := rpc.Op[map[string]any, authapi.Login]{App: authapi.App, Method: authapi.Register.Method, Timeout: authapi.Register.Timeout}
	_, err := rpc.Call(t.Context(), c, byAdmin, map[string]any{
		"userId": stack.Unique("forged"), "email": stack.Address(), "password": stack.Password, "name": "Eve", "role": "admin",
		"byAdmin": true, "device": map[string]string{"address": "127.0.0.30", "userAgent": ""},
	})
	if got := apperr.From(err).Code; err == nil || got != apperr.Invalid && got != apperr.Forbidden {
		t.Errorf("a registration that claims to be an admin's: got %v, want it refused", err)
	}

	// The id and the address of a user are known to others.
	_, err = rpc.Call(t.Context(), c, authapi.Register, authapi.RegisterRequest{
		UserID: login.User.ID, Email: login.User.Email, Password: "not the right password", Name: "Eve", Device: authapi.Device{Address: "127.0.0.30"},
	})
	if got := apperr.From(err).Reason; err == nil || got != authapi.ReasonEmailTaken {
		t.Errorf("the registration of a known user: got %v, want %s", err, authapi.ReasonEmailTaken)
	}
}

// Two spellings of a mailbox, or two texts that look the same, must not be two accounts.
func TestOneMailboxIsOneAccount(t *testing.T) {
	local, guest := stack.Unique("strasse"), running.Guest().From("127.0.0.31")
	register := func(email, name, password string) stack.Response {
		return guest.Do(t, "POST", "/api/auth/register", map[string]string{"email": email, "password": password, "name": name})
	}
	register(local+"@bücher.example", "Ann", stack.Password).Want(t, 201, nil)
	for _, spelling := range []string{
		local + "@xn--bcher-kva.example", local + "@BÜCHER.example", `"` + local + `"@bu` + "\u0308" + "cher.example", "ſtraße" + local[len("strasse"):] + "@bücher.example",
	} {
		register(spelling, "Ann", stack.Password).Refused(t, 400, "auth.email_taken")
	}
	for _, invisible := range []string{"\u00ad", "\u200b", "\u202e", "\u2066", "\u3164", "\ufe0f", "\U000e0041"} {
		register(local+invisible+"@bücher.example", "Ann", stack.Password).Refused(t, 400, "invalid")
	}
	register(stack.Address(), "Ann\u202eeel", stack.Password).Refused(t, 400, "invalid")
	for _, weak := range []string{"password123!", "p@ssw0rd1", "admin1234", "summer2024"} {
		register(stack.Address(), "Ann", weak).Refused(t, 400, "auth.weak_password")
	}
}

// Guesses from many addresses must come one at a time, and must not keep the owner out.
func TestGuessesFromManyAddressesTakeTurns(t *testing.T) {
	_, owner := running.Register(t)
	credentials := func(password string) map[string]string {
		return map[string]string{"email": owner.User.Email, "password": password}
	}
	addresses := []string{"127.0.0.32", "127.0.0.33", "127.0.0.34", "127.0.0.35", "127.0.0.36", "127.0.0.37", "127.0.0.38", "127.0.0.39"}
	guess := func(i int) (stack.Response, error) {
		return running.Guest().From(addresses[i]).Try(t.Context(), "POST", "/api/auth/login", credentials("wrong password"))
	}
	for range 3 { // five would lock the address
		for i := range addresses {
			res, err := guess(i)
			if err != nil {
				t.Fatal(err)
			}
			res.Refused(t, 401, "auth.invalid_credentials")
		}
	}
	var verified, refused atomic.Int64
	kit.Concurrently(len(addresses)+1, func(i int) {
		if i == len(addresses) {
			res, err := running.Guest().Try(t.Context(), "POST", "/api/auth/login", credentials(stack.Password))
			if err != nil || res.StatusCode != 200 {
				t.Errorf("the owner: got %d %s, %v, want 200", res.StatusCode, res.Text, err)
			}
			return
		}
		res, err := guess(i)
		switch {
		case err != nil:
			t.Error(err)
		case res.StatusCode == 401:
			verified.Add(1)
		case res.StatusCode == 429 && res.Header.Get("Retry-After") != "":
			refused.Add(1)
		default:
			t.Errorf("got %d %s, want 401 or 429", res.StatusCode, res.Text)
		}
	})
	if refused.Load() == 0 {
		t.Errorf("got %d verified guesses and %d refused ones, want some refused", verified.Load(), refused.Load())
	}
}

// Write access to Redis must not make a user an admin, or another user.
func TestForgedSessionsInRedisAreNotUsed(t *testing.T) {
	client := redis.NewClient(running.Redis)
	defer func() { _ = client.Close() }()
	user, login := running.Register(t)
	admin, boss := running.Admin(t)
	me := func() authapi.User {
		var u authapi.User
		user.Do(t, "GET", "/api/auth/me", nil).Want(t, 200, &u)
		return u
	}
	ctx, own := t.Context(), "user:"+login.User.ID
	for range 2 { // the first look-ups let auth fill the cache
		me()
		admin.Do(t, "GET", "/api/auth/me", nil).Want(t, 200, nil)
	}
	value, err := client.Get(ctx, own).Result()
	if err != nil || !strings.Contains(value, `"role":"user"`) {
		t.Fatalf("got %q, %v, want the cached user", value, err)
	}
	others, err := client.Get(ctx, "user:"+boss.User.ID).Result()
	if err != nil {
		t.Fatal(err)
	}
	for name, forged := range map[string]string{
		"another role":            strings.Replace(value, `"role":"user"`, `"role":"admin"`, 1),
		"the value of an admin":   others,
		"no seal":                 fmt.Sprintf(`v:1:{"id":%q,"email":"e@example.org","name":"Eve","role":"admin","isActive":true,"createdAt":"2026-01-01T00:00:00.000Z"}`, login.User.ID),
		"a very large version":    "v:99999999999999999999:1:x:{}",
		"something else entirely": strings.Repeat("x", 1<<20),
	} {
		if err := client.Set(ctx, own, forged, 0).Err(); err != nil {
			t.Fatal(err)
		}
		user.Do(t, "GET", "/api/bookings", nil).Refused(t, 403, "auth.admin_required")
		if got := me(); got != login.User {
			t.Errorf("%s: got %+v, want %+v", name, got, login.User)
		}
	}
	if err := client.Del(ctx, own).Err(); err != nil {
		t.Error(err)
	}
	if keys, err := client.Keys(ctx, "*"+login.User.Email+"*").Result(); err != nil || len(keys) != 0 {
		t.Errorf("got keys %v, %v, want none with an e-mail address", keys, err)
	}
}
