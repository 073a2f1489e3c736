package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"boxoffice/test/stack"
)

type user struct {
	ID, Email, Name, Role string
	IsActive              bool
}

type tokens struct {
	AccessToken, RefreshToken, TokenType string
	ExpiresIn                            int
}

type login struct {
	User   user
	Tokens tokens
}

// register creates an account, and returns it with its first session.
func register(t *testing.T) login {
	t.Helper()
	var l login
	body := map[string]string{"email": stack.Address(), "password": stack.Password, "name": "Ada"}
	running.Guest().Do(t, "POST", "/api/auth/register", body).Want(t, 201, &l)
	return l
}

func TestSessionLivesFromRegistrationToLogOut(t *testing.T) {
	registered := register(t)
	if u := registered.User; u.ID == "" || u.Name != "Ada" || u.Role != "user" || !u.IsActive {
		t.Errorf("registered user: got %+v, want an active user called Ada", u)
	}

	var in login
	guest := running.Guest()
	guest.Do(t, "POST", "/api/auth/login", map[string]string{"email": registered.User.Email, "password": stack.Password}).Want(t, 200, &in)
	if in.User != registered.User || in.Tokens.TokenType != "Bearer" || in.Tokens.ExpiresIn <= 0 {
		t.Errorf("log-in: got %+v, want the user %+v and bearer tokens", in, registered.User)
	}

	var me user
	ada := running.As(in.Tokens.AccessToken)
	for range 2 { // answered by auth, then by the cache
		ada.Do(t, "GET", "/api/auth/me", nil).Want(t, 200, &me)
		if me != registered.User {
			t.Errorf("me: got %+v, want %+v", me, registered.User)
		}
	}

	var next struct{ Tokens tokens }
	guest.Do(t, "POST", "/api/auth/refresh", map[string]string{"refreshToken": in.Tokens.RefreshToken}).Want(t, 200, &next)
	ada.Do(t, "GET", "/api/auth/me", nil).Refused(t, 401, "auth.session_invalid")
	ada.Token = next.Tokens.AccessToken
	ada.Do(t, "GET", "/api/auth/me", nil).Want(t, 200, &me)

	out := map[string]string{"refreshToken": next.Tokens.RefreshToken}
	guest.Do(t, "POST", "/api/auth/logout", out).Want(t, 200, nil)
	ada.Do(t, "GET", "/api/auth/me", nil).Refused(t, 401, "auth.session_invalid")
	guest.Do(t, "POST", "/api/auth/logout", out).Refused(t, 400, "auth.session_not_found")
	guest.Do(t, "POST", "/api/auth/refresh", out).Refused(t, 401, "auth.refresh_invalid")

	// The registration started another session, which stays valid.
	running.As(registered.Tokens.AccessToken).Do(t, "GET", "/api/auth/me", nil).Want(t, 200, nil)
}

func TestAuthRefusesInvalidRequests(t *testing.T) {
	ada := register(t)
	guest := running.Guest()
	body := map[string]string{"email": ada.User.Email, "password": "another password", "name": "Eve"}
	guest.Do(t, "POST", "/api/auth/register", body).Refused(t, 400, "auth.email_taken")
	guest.Do(t, "POST", "/api/auth/login", map[string]string{"email": ada.User.Email, "password": "wrong"}).Refused(t, 401, "auth.invalid_credentials")
	guest.Do(t, "POST", "/api/auth/login", map[string]string{"email": stack.Address(), "password": "wrong"}).Refused(t, 401, "auth.invalid_credentials")
	for token, want := range map[string][2]string{
		"":                      {"auth.token_missing", "No token provided"},
		"nonsense":              {"auth.token_invalid", "Invalid or expired token"},
		ada.Tokens.RefreshToken: {"auth.token_type", "Invalid token type"},
	} {
		detail := running.As(token).Do(t, "GET", "/api/auth/me", nil).Refused(t, 401, want[0])
		if detail != want[1] {
			t.Errorf("token %q: got detail %q, want %q", token, detail, want[1])
		}
	}
}

func TestOnlyAdminsRegisterAdmins(t *testing.T) {
	ada := register(t)
	body := map[string]string{"email": stack.Address(), "password": stack.Password, "name": "Root", "role": "admin"}
	running.Guest().Do(t, "POST", "/api/auth/register", body).Refused(t, 403, "auth.admin_required")
	running.As(ada.Tokens.AccessToken).Do(t, "POST", "/api/auth/register", body).Refused(t, 403, "auth.admin_required")

	var admin, created login
	first := map[string]string{"email": running.AdminEmail, "password": running.AdminPassword}
	running.Guest().Do(t, "POST", "/api/auth/login", first).Want(t, 200, &admin)
	running.As(admin.Tokens.AccessToken).Do(t, "POST", "/api/auth/register", body).Want(t, 201, &created)
	if created.User.Role != "admin" {
		t.Errorf("registered user: got %+v, want the role admin", created.User)
	}
}

// The trace of a log-in must show the spans of the sequence diagram.
func TestLogInIsOneTrace(t *testing.T) {
	ada := register(t)
	res := running.Guest().Do(t, "POST", "/api/auth/login", map[string]string{"email": ada.User.Email, "password": stack.Password})
	res.Want(t, 200, nil)
	root, err := running.Trace(t.Context(), res.TraceID(t), func(root *stack.Span) error {
		if _, err := root.Find("gateway evalsha"); err != nil {
			return err
		}
		operation, err := root.Find(
			"gateway call auth/method/auth.login",
			"daprd gateway CallLocal/auth/auth.login",
			"daprd auth CallLocal/auth/auth.login",
			"auth auth.login",
		)
		if err != nil {
			return err
		}
		for _, path := range [][]string{
			{"auth find users"},
			{"auth dapr.proto.runtime.v1.Dapr/TryLockAlpha1", "daprd auth /dapr.proto.runtime.v1.Dapr/TryLockAlpha1"},
			{"auth dapr.proto.runtime.v1.Dapr/SaveState", "daprd auth /dapr.proto.runtime.v1.Dapr/SaveState"},
			{"auth evalsha"},
		} {
			if _, err := operation.Find(path...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if root.Name != "POST /api/auth/login" || root.Service != "gateway" {
		t.Errorf("root: got span %s of %s, want POST /api/auth/login of gateway", root.Name, root.Service)
	}
}

// A request whose session is cached must cost one round trip to Redis, and no call to an
// app.
func TestCachedSessionCostsOneRoundTripToRedis(t *testing.T) {
	ada := running.As(register(t).Tokens.AccessToken)
	ada.Do(t, "GET", "/api/auth/me", nil).Want(t, 200, nil) // fills the cache
	res := ada.Do(t, "GET", "/api/auth/me", nil)
	res.Want(t, 200, nil)
	root, err := running.Trace(t.Context(), res.TraceID(t), func(root *stack.Span) error {
		_, err := root.Find("gateway evalsha")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(root.Children) != 1 {
		t.Errorf("got the trace\n%swant one span below the root", root)
	}
}

func TestSecretsAreNotLogged(t *testing.T) {
	ada := register(t)
	res := running.Guest().Do(t, "POST", "/api/auth/login", map[string]string{"email": ada.User.Email, "password": "wrong " + stack.Password})
	res.Refused(t, http.StatusUnauthorized, "auth.invalid_credentials")
	lines := slices.Collect(strings.Lines(running.Log()))
	secrets := map[string]string{
		"a password": stack.Password, "an e-mail address": ada.User.Email, "an access token": ada.Tokens.AccessToken,
		"a refresh token": ada.Tokens.RefreshToken, "the password of Redis": running.Redis.Password, "the URL of NATS": running.NATSURL,
	}
	for _, i := range running.Instances {
		secrets["the API token of "+i.App], secrets["the app token of "+i.App] = i.APIToken, i.AppToken
	}
	for name, secret := range secrets {
		if i := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, secret) }); i >= 0 {
			t.Errorf("the log contains %s: %s", name, lines[i])
		}
	}
}
