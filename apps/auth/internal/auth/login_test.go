package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/apps/auth/internal/authtest"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
	"boxoffice/test/kit"
)

func TestLogInStartsASession(t *testing.T) {
	f := newFixture(t)
	registered := f.register()
	got, err := f.LogIn(t.Context(), authapi.LogInRequest{Email: " Ann@EXAMPLE.com", Password: password, Device: device})
	if err != nil || got.User != registered.User {
		t.Fatalf("got %+v, %v, want user %+v", got, err, registered.User)
	}
	if _, err := f.check(got.Tokens.AccessToken); err != nil {
		t.Error(err)
	}
	if f.countFamilies() != 2 {
		t.Errorf("got %d families, want 2", f.countFamilies())
	}
	// The lock has a name of its own for each account, without the e-mail address.
	if len(f.locker.Names) != 1 || f.locker.Names[0] != "login:cdT1X3L6Eo37RooaOQFQfIBL" || f.locker.Held != 0 {
		t.Errorf("got locks %v, %d of them held, want one released", f.locker.Names, f.locker.Held)
	}
	if !slices.Contains(f.cache.Filled, "lease-u1 - u1") {
		t.Errorf("got cache fills %v, want user u1", f.cache.Filled)
	}
}

func TestLogInAcceptsThePasswordInAnotherUnicodeForm(t *testing.T) {
	f := newFixture(t)
	r := registration()
	r.Password = "pässwörter sind schön"
	if _, err := f.Register(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := f.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: "pa\u0308sswo\u0308rter sind scho\u0308n", Device: device}); err != nil {
		t.Error(err)
	}
}

func TestLogInRefusalsDoNotRevealTheAccount(t *testing.T) {
	tests := []struct {
		name            string
		email, password string
		inactive        bool
		code            apperr.Code
		reason          string
	}{
		{"wrong password", email, password + "x", false, apperr.Unauthenticated, "auth.invalid_credentials"},
		{"unknown address", "ben@example.com", password, false, apperr.Unauthenticated, "auth.invalid_credentials"},
		{"unknown address, long password", "ben@example.com", strings.Repeat("x", 200), false, apperr.Unauthenticated, "auth.invalid_credentials"},
		{"inactive account", email, password, true, apperr.Unauthenticated, "auth.invalid_credentials"},
		{"very long password", email, strings.Repeat(password, 20), false, apperr.Unauthenticated, "auth.invalid_credentials"},
		{"no password", email, "", false, apperr.Invalid, "invalid"},
		{"no e-mail address", "", password, false, apperr.Invalid, "invalid"},
		{"e-mail address without a domain", "ann@", password, false, apperr.Invalid, "invalid"},
	}
	var messages []string
	for _, tt := range tests {
		f := newFixture(t)
		f.register()
		f.users.Update("u1", func(u *auth.User) { u.Active = !tt.inactive })
		writes := f.sessions.Writes()
		_, err := f.LogIn(t.Context(), authapi.LogInRequest{Email: tt.email, Password: tt.password, Device: device})
		wantRefusal(t, tt.name, err, tt.code, tt.reason)
		if f.sessions.Writes() != writes {
			t.Errorf("%s: the sessions were written", tt.name)
		}
		if f.locker.Held != 0 {
			t.Errorf("%s: a lock is still held", tt.name)
		}
		if tt.code == apperr.Unauthenticated {
			messages = append(messages, apperr.From(err).Message)
		}
	}
	if slices.Sort(messages); messages[0] != messages[len(messages)-1] {
		t.Errorf("got messages %q, want the same for every refusal", messages)
	}
}

func TestFiveFailuresLockOneAddressOutOfTheAccount(t *testing.T) {
	for _, account := range []string{email, "unknown@example.com"} {
		f := newFixture(t)
		f.register()
		guess := func(password string, from authapi.Device) error {
			_, err := f.LogIn(t.Context(), authapi.LogInRequest{Email: account, Password: password, Device: from})
			return err
		}
		for range 5 {
			wantRefusal(t, account, guess("wrong password", device), apperr.Unauthenticated, "auth.invalid_credentials")
		}
		err := guess(password, device)
		wantRefusal(t, account, err, apperr.RateLimited, "auth.locked")
		if got := apperr.From(err).RetryAfter; got != time.Minute {
			t.Errorf("got a Retry-After of %s, want a minute", got)
		}
		elsewhere := authapi.Device{Address: "192.0.2.8"}
		if err := guess(password, elsewhere); account == email && err != nil {
			t.Errorf("from another address: got %v, want no lock", err)
		}
		f.clock.Advance(time.Minute)
		if err := guess(password, device); account == email && err != nil {
			t.Errorf("after the lock: got %v, want no error", err)
		}
		// The correct password has cleared the failures.
		for range 4 {
			if err := guess("wrong password", device); account == email {
				wantRefusal(t, account, err, apperr.Unauthenticated, "auth.invalid_credentials")
			}
		}
	}
}

// One client usually has all addresses of an IPv6 network of 64 bits.
func TestFailuresCountByNetworkOfIPv6(t *testing.T) {
	f := newFixture(t)
	f.register()
	from := func(address, password string) error {
		_, err := f.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: password, Device: authapi.Device{Address: address}})
		return err
	}
	for i := range 5 {
		wantRefusal(t, "guess", from(fmt.Sprintf("2001:db8:1:2::%x", i), "wrong password"), apperr.Unauthenticated, "auth.invalid_credentials")
	}
	wantRefusal(t, "another address of the network", from("2001:db8:1:2:ffff::", password), apperr.RateLimited, "auth.locked")
	if err := from("2001:db8:1:3::1", password); err != nil {
		t.Errorf("another network: got %v, want no lock", err)
	}
}

// guessFrom sends n log-ins with a wrong password, each from another address.
func (f *fixture) guessFrom(network string, n int) {
	f.t.Helper()
	for i := range n {
		_, err := f.LogIn(f.t.Context(), authapi.LogInRequest{
			Email: email, Password: "wrong password", Device: authapi.Device{Address: fmt.Sprint(network, ".", i)},
		})
		wantRefusal(f.t, "guess", err, apperr.Unauthenticated, "auth.invalid_credentials")
	}
}

func TestManyFailuresDelayOnlyUnknownAddresses(t *testing.T) {
	f := newFixture(t)
	f.register()
	f.guessFrom("198.51.100", 30)
	before := f.clock.Slept()
	f.logIn()
	if got := f.clock.Slept() - before; got != 0 {
		t.Errorf("known address: got a delay of %s, want none", got)
	}
	for _, want := range []time.Duration{time.Second, 0} { // the first log-in makes the address known
		before := f.clock.Slept()
		_, err := f.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: password, Device: authapi.Device{Address: "203.0.113.9"}})
		if got := f.clock.Slept() - before; err != nil || got != want {
			t.Errorf("unknown address: got a delay of %s, %v, want %s", got, err, want)
		}
	}
}

// From 20 failures on, unknown addresses take turns, whether the account exists or not. An
// attempt that gets no turn waits two seconds and is then refused.
func TestManyFailuresLetUnknownAddressesTakeTurns(t *testing.T) {
	for _, account := range []string{email, "unknown@example.com"} {
		f := newFixture(t)
		f.register()
		pseudonyms := newPseudonyms(t)
		begin := func(id string) auth.Attempt {
			a := auth.Attempt{ID: id, Account: pseudonyms.Account(account), Address: pseudonyms.Address(id)}
			if d, err := f.config.Attempts.Begin(t.Context(), a); err != nil || d.Busy {
				t.Fatalf("got %+v, %v, want it admitted", d, err)
			}
			return a
		}
		for i := range 20 {
			begin(fmt.Sprint("bot", i))
		}
		turn := begin("another guess") // is under way
		logIn := func(from string) error {
			_, err := f.LogIn(t.Context(), authapi.LogInRequest{Email: account, Password: password, Device: authapi.Device{Address: from}})
			return err
		}
		for range 10 { // an attempt that is refused does not count
			before := f.clock.Slept()
			err := logIn("203.0.113.9")
			wantRefusal(t, account, err, apperr.RateLimited, "rate_limited")
			if got := f.clock.Slept() - before; got != 2*time.Second || apperr.From(err).RetryAfter == 0 {
				t.Errorf("%s: got a refusal after %s with Retry-After %s, want 2s and some time", account, got, apperr.From(err).RetryAfter)
			}
		}
		if account == email {
			if err := logIn(device.Address); err != nil {
				t.Errorf("known address: got %v, want no error", err)
			}
		}
		if err := f.config.Attempts.Fail(t.Context(), turn); err != nil {
			t.Fatal(err)
		}
		if err := logIn("203.0.113.9"); account == email && err != nil {
			t.Errorf("after the turn: got %v, want no error", err)
		}
	}
}

// Every way in which an attempt can end gives its turn back.
func TestEveryAttemptGivesItsTurnBack(t *testing.T) {
	f := newFixture(t)
	f.register()
	f.guessFrom("198.51.100", 25)
	logIn := func(ctx context.Context, svc *auth.Service, address, password string) error {
		_, err := svc.LogIn(ctx, authapi.LogInRequest{Email: email, Password: password, Device: authapi.Device{Address: address}})
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.config.Clock = cancellingClock{f.clock, cancel}
	cancelled, err := auth.New(f.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := logIn(ctx, cancelled, "203.0.113.1", password); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	f.users.Err = apperr.Unreachable(errors.New("gone"))
	wantRefusal(t, "unreachable store", logIn(t.Context(), f.Service, "203.0.113.2", password), apperr.Unavailable, "unavailable")
	f.users.Err = nil
	wantRefusal(t, "wrong password", logIn(t.Context(), f.Service, "203.0.113.3", "wrong password"), apperr.Unauthenticated, "auth.invalid_credentials")
	if err := logIn(t.Context(), f.Service, "203.0.113.4", password); err != nil {
		t.Error(err)
	}
	before := f.clock.Slept()
	if err := logIn(t.Context(), f.Service, "203.0.113.5", password); err != nil || f.clock.Slept()-before >= time.Second {
		t.Errorf("got %v after %s, want the turn at once", err, f.clock.Slept()-before)
	}
}

func TestFailedLogInsAndLocksAreLoggedWithoutAddresses(t *testing.T) {
	f := newFixture(t)
	f.register()
	for range 6 {
		_, _ = f.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: "wrong password", Device: device})
	}
	for range 20 {
		_, _ = f.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: "wrong password", Device: authapi.Device{Address: fmt.Sprint("198.51.100.", f.clock.Slept())}})
	}
	log := f.log.String()
	pseudonyms := newPseudonyms(t)
	of := fmt.Sprintf("account_hash=%s address_hash=%s", pseudonyms.Account(email), pseudonyms.Address(device.Address))
	for text, want := range map[string]int{
		`msg="log-in failed" ` + of:                                        4,
		`msg="log-in failed: address is locked out of the account" ` + of:  1,
		`msg="log-in refused: address is locked out of the account" ` + of: 1,
		`locked_for=1m0s`: 2,
		email:             0,
		device.Address:    0,
		"198.51.100":      0,
		"wrong password":  0,
		"ann":             0,
	} {
		if got := strings.Count(log, text); got != want {
			t.Errorf("%s: got %d lines, want %d in\n%s", text, got, want, log)
		}
	}
	other, err := auth.NewPseudonyms([]byte("another secret of thirty-two bytes"))
	if err != nil {
		t.Fatal(err)
	}
	if other.Account(email) == pseudonyms.Account(email) || pseudonyms.Account(email) == pseudonyms.Address(email) {
		t.Error("pseudonyms do not depend on the secret or on their kind")
	}
}

func TestConcurrentGuessesAreLockedOutAfterFive(t *testing.T) {
	f := newFixture(t)
	f.register()
	var verified, locked atomic.Int64
	kit.Concurrently(200, func(int) {
		_, err := f.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: "wrong password", Device: device})
		switch apperr.From(err).Reason {
		case "auth.invalid_credentials":
			verified.Add(1)
		case "auth.locked":
			locked.Add(1)
		default:
			t.Error(err)
		}
	})
	if verified.Load() != 5 || locked.Load() != 195 {
		t.Errorf("got %d verified and %d locked, want 5 and 195", verified.Load(), locked.Load())
	}
}

// Concurrent log-ins with the correct password must not lock each other out, and
// each keeps its family while there are at most ten.
func TestConcurrentLogInsAllSucceed(t *testing.T) {
	f := newFixture(t)
	f.register()
	f.clock.Advance(time.Second) // so that the registration is the oldest log-in
	logins := make([]authapi.Login, 10)
	kit.Concurrently(len(logins), func(i int) {
		from := authapi.Device{Address: fmt.Sprint("192.0.2.", i%3)}
		var err error
		if logins[i], err = f.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: password, Device: from}); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		return
	}
	for i, login := range logins {
		if _, err := f.check(login.Tokens.AccessToken); err != nil {
			t.Errorf("log-in %d: %v", i, err)
		}
	}
	if f.countFamilies() != 10 {
		t.Errorf("got %d families, want 10", f.countFamilies())
	}
}

func TestTheEleventhLogInEndsTheOldest(t *testing.T) {
	f := newFixture(t)
	first := f.register()
	second := f.logIn()
	for range 9 {
		f.clock.Advance(time.Second)
		f.logIn()
	}
	_, err := f.check(first.Tokens.AccessToken)
	wantRefusal(t, "the oldest", err, apperr.Unauthenticated, "auth.session_invalid")
	if _, err := f.check(second.Tokens.AccessToken); err != nil {
		t.Error(err)
	}
	if ended := f.claims(first.Tokens.AccessToken).SessionID; !slices.Contains(f.cache.Ended, ended) {
		t.Errorf("got tombstones for %v, want one for %s", f.cache.Ended, ended)
	}
}

func TestFamilyStoresAClippedDevice(t *testing.T) {
	f := newFixture(t)
	r := registration()
	r.Device = authapi.Device{Address: strings.Repeat("1", 100), UserAgent: "x" + strings.Repeat("ü", 200)}
	if _, err := f.Register(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	// A cut at 256 bytes would split a code point.
	want := authapi.Device{Address: strings.Repeat("1", 64), UserAgent: "x" + strings.Repeat("ü", 127)}
	if got := f.family().Device; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The test simulates a password change between the verification of the password and the
// update of the sessions.
func TestLogInFailsIfThePasswordChangesMidway(t *testing.T) {
	f := newFixture(t)
	f.register()
	us, version, err := f.sessions.Load(t.Context(), "u1")
	if err != nil {
		t.Fatal(err)
	}
	us.PasswordVersion = 2
	if err := f.sessions.Save(t.Context(), "u1", us, version); err != nil {
		t.Fatal(err)
	}
	_, err = f.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: password, Device: device})
	wantRefusal(t, "log in", err, apperr.Unauthenticated, "auth.invalid_credentials")
}

// The test simulates a password change that crashed before it updated the sessions.
func TestSessionsOfAnOlderPasswordAreInvalid(t *testing.T) {
	f := newFixture(t)
	old := f.register()
	f.users.Update("u1", func(u *auth.User) { u.PasswordVersion++ })
	_, err := f.check(old.Tokens.AccessToken)
	wantRefusal(t, "check", err, apperr.Unauthenticated, "auth.session_invalid")
	_, err = f.Refresh(t.Context(), authapi.RefreshRequest{RefreshToken: old.Tokens.RefreshToken})
	wantRefusal(t, "refresh", err, apperr.Unauthenticated, "auth.refresh_invalid")
	f.logIn()
	if f.countFamilies() != 1 {
		t.Errorf("got %d families, want 1", f.countFamilies())
	}
}

func TestLogInRehashesWithTheCurrentParameters(t *testing.T) {
	f := newFixture(t)
	f.register()
	costlier := auth.HashParams{Memory: 128, Passes: 2, Threads: 1}
	f.config.Hasher = newHasher(t, costlier)
	service, err := auth.New(f.config)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := service.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: password, Device: device}); err != nil {
			t.Fatal(err)
		}
		u, err := f.users.User(t.Context(), "u1")
		if err != nil || !strings.HasPrefix(u.PasswordHash, "$argon2id$v=19$m=128,t=2,p=1$") || u.PasswordVersion != 1 {
			t.Errorf("got %+v, %v, want a hash with the current parameters", u, err)
		}
	}
}

func TestOverloadedHasherRefusesWithoutCountingAFailure(t *testing.T) {
	full, err := auth.NewHasher(cheapHash, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	f.register()
	f.config.Hasher = full
	busy, err := auth.New(f.config)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		_, err := busy.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: password, Device: device})
		wantRefusal(t, "log in", err, apperr.Unavailable, "unavailable")
		if e := apperr.From(err); e.RetryAfter == 0 || e.Failure() {
			t.Errorf("got %+v, want a refusal with a Retry-After", e)
		}
	}
	r := registration()
	r.UserID, r.Email = "u2", "ben@example.com"
	_, err = busy.Register(t.Context(), r)
	wantRefusal(t, "register", err, apperr.Unavailable, "unavailable")
	f.logIn()
}

func TestAttemptCancelledDuringItsDelayIsTakenBack(t *testing.T) {
	f := newFixture(t)
	f.register()
	f.guessFrom("198.51.100", 30) // enough to delay the log-in from an unknown address
	unknown := authapi.Device{Address: "203.0.113.9"}
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		f.config.Clock = cancellingClock{f.clock, cancel}
		svc, err := auth.New(f.config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := svc.LogIn(ctx, authapi.LogInRequest{Email: email, Password: password, Device: unknown}); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want context.Canceled", err)
		}
	}
	// It would be refused if the attempts had counted.
	if _, err := f.LogIn(t.Context(), authapi.LogInRequest{Email: email, Password: password, Device: unknown}); err != nil {
		t.Error(err)
	}
}

// cancellingClock is a clock whose Sleep cancels the caller's context.
type cancellingClock struct {
	*authtest.Clock
	cancel func()
}

func (c cancellingClock) Sleep(ctx context.Context, d time.Duration) error {
	c.cancel()
	return c.Clock.Sleep(ctx, d)
}

func TestFailingPortsMakeOperationsUnavailable(t *testing.T) {
	unreachable := apperr.Unreachable(errors.New("gone"))
	for name, fail := range map[string]func(f *fixture){
		"users":    func(f *fixture) { f.users.Err = unreachable },
		"sessions": func(f *fixture) { f.sessions.Err = unreachable },
		"keys":     func(f *fixture) { f.keys.Err = unreachable },
	} {
		f := newFixture(t)
		login := f.register()
		fail(f)
		ctx := t.Context()
		for range 6 { // would lock if these attempts counted as failures
			_, err := f.LogIn(ctx, authapi.LogInRequest{Email: email, Password: password, Device: device})
			wantRefusal(t, name+": log in", err, apperr.Unavailable, "unavailable")
		}
		_, err := f.Refresh(ctx, authapi.RefreshRequest{RefreshToken: login.Tokens.RefreshToken})
		wantRefusal(t, name+": refresh", err, apperr.Unavailable, "unavailable")
		r := registration()
		r.UserID, r.Email = "u2", "ben@example.com"
		_, err = f.Register(ctx, r)
		wantRefusal(t, name+": register", err, apperr.Unavailable, "unavailable")
		if name != "users" {
			_, err = f.LogOut(ctx, authapi.LogOutRequest{RefreshToken: login.Tokens.RefreshToken})
			wantRefusal(t, name+": log out", err, apperr.Unavailable, "unavailable")
		}
		if name != "keys" {
			_, err = f.CheckSession(ctx, authapi.CheckSessionRequest{UserID: "u1", SessionID: f.claims(login.Tokens.AccessToken).SessionID})
			wantRefusal(t, name+": check", err, apperr.Unavailable, "unavailable")
		}
	}
}

func TestWaitForAConcurrentLogInEndsWithTheContext(t *testing.T) {
	f := newFixture(t)
	f.register()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // whether the slot or the context wins, the slot is released
		if _, err := f.LogIn(ctx, authapi.LogInRequest{Email: email, Password: password, Device: device}); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	f.logIn()
}

func TestNewRefusesLifetimesOutOfRange(t *testing.T) {
	f := newFixture(t)
	for name, change := range map[string]func(*auth.Config){
		"no access TTL":     func(c *auth.Config) { c.AccessTTL = 0 },
		"long access TTL":   func(c *auth.Config) { c.AccessTTL = 25 * time.Hour },
		"short session TTL": func(c *auth.Config) { c.SessionTTL = time.Millisecond },
		"long session TTL":  func(c *auth.Config) { c.SessionTTL = 31 * 24 * time.Hour },
	} {
		cfg := f.config
		change(&cfg)
		if _, err := auth.New(cfg); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
}
