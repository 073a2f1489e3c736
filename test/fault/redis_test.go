package fault_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"boxoffice/shared/contract/authapi"
	"boxoffice/test/stack"
)

// logInLocked checks that log-ins try several times to acquire the lock of their address
// while another owner holds it, and then proceed without it.
func logInLocked(t *testing.T, o *outageStack) {
	m := o.members[0]
	hash := sha256.Sum256([]byte(m.User.Email))
	name := "login:" + base64.RawURLEncoding.EncodeToString(hash[:18])
	if !lockAPI(t, o, "lock", name) {
		t.Fatal("could not acquire the lock before the log-ins")
	}
	responses := sendConcurrently(t, []stack.Client{o.Guest(), o.Guest()}, func(c stack.Client) (stack.Response, error) {
		return c.Try(t.Context(), "POST", "/api/auth/login", credentials(m))
	})
	for _, res := range responses {
		res.Want(t, 200, nil)
		if tries, unlocks := lockCalls(t, o, res); tries < 2 || unlocks != 0 {
			t.Errorf("while another owner holds the lock: got %d tries and %d unlocks, want at least 2 and 0", tries, unlocks)
		}
	}
	if !lockAPI(t, o, "unlock", name) {
		t.Error("lost the lock during the log-ins")
	}
	res := o.Guest().Do(t, "POST", "/api/auth/login", credentials(m))
	res.Want(t, 200, nil)
	if tries, unlocks := lockCalls(t, o, res); tries != 1 || unlocks != 1 {
		t.Errorf("while the lock is free: got %d tries and %d unlocks, want 1 and 1", tries, unlocks)
	}
}

// lockAPI locks or unlocks a resource through the sidecar of the auth app, and reports
// whether that succeeded. step is "lock" or "unlock".
func lockAPI(t *testing.T, o *outageStack, step, name string) bool {
	t.Helper()
	auth, err := o.Instance("auth")
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/v1.0-alpha1/%s/lock", auth.HTTPPort, step)
	body := fmt.Sprintf(`{"resourceId":%q,"lockOwner":"test","expiryInSeconds":60}`, name)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("dapr-api-token", auth.APIToken)
	var got struct {
		Success bool
		Status  *int // of an unlock; 0 is success
	}
	stack.Send(t, r).Want(t, 200, &got)
	if step == "unlock" {
		return got.Status != nil && *got.Status == 0
	}
	return got.Success
}

// lockCalls returns how often a log-in tried to acquire its lock, and how often it
// released the lock, according to its trace. All tries must precede the read of the
// account.
func lockCalls(t *testing.T, o *outageStack, res stack.Response) (tries, unlocks int) {
	t.Helper()
	_, err := o.Trace(t.Context(), res.TraceID(t), func(root *stack.Span) error {
		logIn, err := root.Find(
			"gateway call auth/method/auth.login",
			"daprd gateway CallLocal/auth/auth.login",
			"daprd auth CallLocal/auth/auth.login",
			"auth auth.login",
		)
		if err != nil {
			return err
		}
		tries, unlocks = 0, 0
		hasReadAccount := false
		for _, c := range logIn.Children {
			switch c.Label() {
			case "auth dapr.proto.runtime.v1.Dapr/TryLockAlpha1":
				tries++
				if hasReadAccount {
					t.Error("the log-in read the account before it tried to acquire the lock")
				}
			case "auth dapr.proto.runtime.v1.Dapr/UnlockAlpha1":
				unlocks++
			case "auth find users":
				hasReadAccount = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tries, unlocks
}

// redisStopped checks that log-ins and sessions work while Redis is stopped, and after it
// is started again.
func redisStopped(t *testing.T, o *outageStack) {
	m := o.members[1]
	wrong := credentials(m)
	wrong["password"] += "!"
	for _, redis := range []string{"stopped", "started"} {
		switch redis {
		case "stopped":
			o.redis.Stop(t)
		case "started":
			o.redis.Start(t)
		}
		var in authapi.Login
		o.Guest().Do(t, "POST", "/api/auth/login", credentials(m)).Want(t, 200, &in)
		o.Guest().Do(t, "POST", "/api/auth/login", wrong).Refused(t, 401, "auth.invalid_credentials")
		o.As(in.Tokens.AccessToken).Do(t, "GET", "/api/auth/me", nil).Want(t, 200, nil)
		m.Do(t, "GET", "/api/auth/me", nil).Want(t, 200, nil)
	}
}

// redisFlushed checks that the validity of a session does not depend on the contents of
// Redis. restart restarts the whole stack, with an empty Redis.
func redisFlushed(t *testing.T, o *outageStack, restart func()) {
	live, ended := o.members[2], o.members[3]
	live.Do(t, "GET", "/api/auth/me", nil).Want(t, 200, nil)
	ended.Do(t, "GET", "/api/auth/me", nil).Want(t, 200, nil)
	o.Guest().Do(t, "POST", "/api/auth/logout", map[string]string{"refreshToken": ended.Tokens.RefreshToken}).Want(t, 200, nil)
	check := func(when string) {
		t.Helper()
		t.Log(when)
		o.As(live.Token).Do(t, "GET", "/api/auth/me", nil).Want(t, 200, nil)
		o.As(ended.Token).Do(t, "GET", "/api/auth/me", nil).Refused(t, 401, "auth.session_invalid")
	}
	check("before the flush")
	client := redis.NewClient(&redis.Options{Addr: o.redis.Addr})
	defer func() { _ = client.Close() }()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	check("after the flush")
	restart()
	check("after the restart")
}

// credentials returns the body of a member's log-in.
func credentials(m member) map[string]string {
	return map[string]string{"email": m.User.Email, "password": stack.Password}
}
