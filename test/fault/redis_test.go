package fault_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"boxoffice/shared/contract/authapi"
	"boxoffice/test/stack"
)

// logInLocked: while somebody else has the lock of an address, log-ins there try
// for it before they go on without.
func logInLocked(t *testing.T, o *outages) {
	who := o.members[0]
	name := "login:" + who.User.Email
	if !lockAPI(t, o, "lock", name) {
		t.Fatal("the lock is taken")
	}
	answers := atOnce(t, []stack.Client{o.Guest(), o.Guest()}, func(c stack.Client) (stack.Response, error) {
		return c.Try(t.Context(), "POST", "/api/auth/login", credentials(who))
	})
	for _, res := range answers {
		res.Want(t, 200, nil)
		if tries, unlocks := lockCalls(t, o, res); tries < 2 || unlocks != 0 {
			t.Errorf("locked: tried %d times for the lock and gave it back %d times, want some and none", tries, unlocks)
		}
	}
	if !lockAPI(t, o, "unlock", name) {
		t.Error("the lock was lost")
	}
	res := o.Guest().Do(t, "POST", "/api/auth/login", credentials(who))
	res.Want(t, 200, nil)
	if tries, unlocks := lockCalls(t, o, res); tries != 1 || unlocks != 1 {
		t.Errorf("free: tried %d times for the lock and gave it back %d times, want 1 and 1", tries, unlocks)
	}
}

// lockAPI locks or unlocks over the API of auth's sidecar, and reports whether it
// did.
func lockAPI(t *testing.T, o *outages, step, name string) bool {
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
	r.Header.Set("dapr-api-token", o.APIToken)
	var got struct {
		Success bool
		Status  *int // of an unlock; 0 for done
	}
	stack.Ask(t, r).Want(t, 200, &got)
	if step == "unlock" {
		return got.Status != nil && *got.Status == 0
	}
	return got.Success
}

// lockCalls counts in the trace of a log-in how often it tried for its lock, all
// before it looked for the account, and how often it gave it back.
func lockCalls(t *testing.T, o *outages, res stack.Response) (tries, unlocks int) {
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
		looked := false
		for _, c := range logIn.Children {
			switch c.Label() {
			case "auth dapr.proto.runtime.v1.Dapr/TryLockAlpha1":
				tries++
				if looked {
					t.Error("the account was looked for before the lock")
				}
			case "auth dapr.proto.runtime.v1.Dapr/UnlockAlpha1":
				unlocks++
			case "auth find users":
				looked = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tries, unlocks
}

// redisStopped: without Redis there are log-ins and sessions.
func redisStopped(t *testing.T, o *outages) {
	who := o.members[1]
	wrong := credentials(who)
	wrong["password"] += "!"
	for _, redis := range []string{"gone", "back"} {
		switch redis {
		case "gone":
			o.redis.Stop(t)
		case "back":
			o.redis.Start(t)
		}
		var in authapi.Login
		o.Guest().Do(t, "POST", "/api/auth/login", credentials(who)).Want(t, 200, &in)
		o.Guest().Do(t, "POST", "/api/auth/login", wrong).Refused(t, 401, "auth.invalid_credentials")
		o.As(in.Tokens.AccessToken).Do(t, "GET", "/api/auth/me", nil).Want(t, 200, nil)
		who.Do(t, "GET", "/api/auth/me", nil).Want(t, 200, nil)
	}
}

// redisFlushed: which tokens are good does not depend on what Redis knows.
func redisFlushed(t *testing.T, o *outages, restart func()) {
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
	check("before")
	client := redis.NewClient(&redis.Options{Addr: o.redis.Addr})
	defer func() { _ = client.Close() }()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	check("flushed")
	restart()
	check("flushed, and all started anew")
}

func credentials(who member) map[string]string {
	return map[string]string{"email": who.User.Email, "password": stack.Password}
}
