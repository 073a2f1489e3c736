package auth_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/token"
	"boxoffice/test/kit"
)

func TestRegisterCreatesAnAccountAndASession(t *testing.T) {
	f := newFixture(t)
	r := registration()
	r.Email, r.Name = "  ANN@Example.com ", " Ann "
	got, err := f.Register(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	stored := f.stored("u1")
	want := auth.User{
		ID: "u1", Email: email, Name: "Ann", Role: auth.RoleUser, Active: true,
		PasswordHash: stored.PasswordHash, PasswordVersion: 1, Version: 1,
		CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now(),
	}
	if stored != want || got.User != want.Public() {
		t.Errorf("stored %+v, want %+v; got %+v", stored, want, got.User)
	}
	if !strings.HasPrefix(stored.PasswordHash, "$argon2id$v=19$m=64,t=1,p=1$") || strings.Contains(stored.PasswordHash, password) {
		t.Errorf("got hash %q, want argon2id without the password", stored.PasswordHash)
	}
	if checked, err := f.check(got.Tokens.AccessToken); err != nil || checked.User != want.Public() || f.family().Device != device {
		t.Errorf("check: got %+v, %v, want user %+v", checked, err, want.Public())
	}
	c := f.claims(got.Tokens.AccessToken)
	if c.Type != token.Access || c.Subject != "u1" || c.Email != email || c.Role != "user" || c.FamilyID != "" {
		t.Errorf("got access claims %+v, want those of user u1 without a family", c)
	}
	if life := c.ExpiresAt.Sub(f.clock.Now()); life < accessTTL || life >= accessTTL+1e9 {
		t.Errorf("got an access token that lives for %s, want %s", life, accessTTL)
	}
	refresh := f.claims(got.Tokens.RefreshToken)
	if refresh.Type != token.Refresh || refresh.SessionID != c.SessionID || refresh.FamilyID == "" || refresh.ID == c.ID || refresh.Email != "" {
		t.Errorf("got refresh claims %+v, want session %s with a family and without an e-mail address", refresh, c.SessionID)
	}
	if strings.Contains(f.log.String(), email) {
		t.Error("the e-mail address was logged")
	}
}

func TestRegisterRefusesInvalidRequests(t *testing.T) {
	long := func(n int) string { return strings.Repeat("ü", n) }
	tests := []struct {
		name   string
		change func(*authapi.RegisterRequest)
		code   apperr.Code
		reason string
		fields string // "field code" for each invalid field, in order
	}{
		{"every field is invalid", func(r *authapi.RegisterRequest) { *r = authapi.RegisterRequest{Role: "root"} }, apperr.Invalid, "invalid",
			"email required, password required, name required, userId required, role unknown"},
		{"e-mail address without a domain", func(r *authapi.RegisterRequest) { r.Email = "ann" }, apperr.Invalid, "invalid", "email invalid"},
		{"long e-mail address", func(r *authapi.RegisterRequest) { r.Email = "a@" + long(253) }, apperr.Invalid, "invalid", "email too_long"},
		{"short password", func(r *authapi.RegisterRequest) { r.Password = "1234567" }, apperr.Invalid, "invalid", "password too_short"},
		{"password short after NFKC", func(r *authapi.RegisterRequest) { r.Password = "u\u0308o\u0308a\u0308e\u0308" }, apperr.Invalid, "invalid", "password too_short"},
		{"long password", func(r *authapi.RegisterRequest) { r.Password = long(129) }, apperr.Invalid, "invalid", "password too_long"},
		{"password is not UTF-8", func(r *authapi.RegisterRequest) { r.Password = "\xff23456789" }, apperr.Invalid, "invalid", "password invalid"},
		{"blank name", func(r *authapi.RegisterRequest) { r.Name = "  " }, apperr.Invalid, "invalid", "name required"},
		{"long name", func(r *authapi.RegisterRequest) { r.Name = long(101) }, apperr.Invalid, "invalid", "name too_long"},
		{"name with a control character", func(r *authapi.RegisterRequest) { r.Name = "A\nn" }, apperr.Invalid, "invalid", "name invalid"},
		{"id with characters that are not allowed", func(r *authapi.RegisterRequest) { r.UserID = "a.$b" }, apperr.Invalid, "invalid", "userId invalid"},
		{"long id", func(r *authapi.RegisterRequest) { r.UserID = strings.Repeat("a", 65) }, apperr.Invalid, "invalid", "userId invalid"},
		{"common password", func(r *authapi.RegisterRequest) { r.Password = "Password123" }, apperr.Invalid, "auth.weak_password", ""},
		{"password from the e-mail address", func(r *authapi.RegisterRequest) { r.Password = "ann-example-2026" }, apperr.Invalid, "auth.weak_password", ""},
		{"password from product words", func(r *authapi.RegisterRequest) { r.Password = "BoxOffice2026!" }, apperr.Invalid, "auth.weak_password", ""},
		{"password of one repeated character", func(r *authapi.RegisterRequest) { r.Password = "üüüüüüüü" }, apperr.Invalid, "auth.weak_password", ""},
		{"common password in full-width form", func(r *authapi.RegisterRequest) { r.Password = "ｐａｓｓｗｏｒｄ" }, apperr.Invalid, "auth.weak_password", ""},
		{"admin role, not requested by an admin", func(r *authapi.RegisterRequest) { r.Role = "admin" }, apperr.Forbidden, "auth.admin_required", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			r := registration()
			tt.change(&r)
			_, err := f.Register(t.Context(), r)
			wantRefusal(t, tt.name, err, tt.code, tt.reason)
			var fields []string
			for _, f := range apperr.From(err).Fields {
				fields = append(fields, f.Field+" "+f.Code)
			}
			if got := strings.Join(fields, ", "); got != tt.fields {
				t.Errorf("fields: got %s, want %s", got, tt.fields)
			}
			if f.users.Len() != 0 || f.sessions.Writes() != 0 {
				t.Error("the refused request was stored")
			}
		})
	}
}

func TestRegisterAcceptsValuesAtTheLimits(t *testing.T) {
	for name, change := range map[string]func(*authapi.RegisterRequest){
		"password of 8 code points":                      func(r *authapi.RegisterRequest) { r.Password = "üöä€xyzq" },
		"password of 128 code points":                    func(r *authapi.RegisterRequest) { r.Password = strings.Repeat("üé", 64) },
		"e-mail address of 254 code points":              func(r *authapi.RegisterRequest) { r.Email = "a@" + strings.Repeat("b.", 125) + "bb" },
		"name of 100 code points":                        func(r *authapi.RegisterRequest) { r.Name = strings.Repeat("ü", 100) },
		"password with a product word and other letters": func(r *authapi.RegisterRequest) { r.Password = "boxoffice-qx-83" },
		"role user": func(r *authapi.RegisterRequest) { r.Role = "user" },
	} {
		r := registration()
		change(&r)
		if got, err := newFixture(t).Register(t.Context(), r); err != nil || got.User.Role != authapi.RoleUser {
			t.Errorf("%s: got %+v, %v, want it accepted", name, got.User, err)
		}
	}
}

// Any program that reaches auth's sidecar can send auth.register. Only the token of a live
// session of an admin may create an admin.
func TestOnlyTheTokenOfAnAdminCreatesAnAdmin(t *testing.T) {
	other := ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", ed25519.SeedSize)))
	for _, tt := range []struct {
		name string
		// prepare returns the caller's token. boss has the tokens of user u1, an admin.
		prepare func(f *fixture, boss authapi.Tokens) string
		code    apperr.Code // of the refusal; empty if the admin is created
	}{
		{name: "an admin", prepare: func(_ *fixture, boss authapi.Tokens) string { return boss.AccessToken }},
		{name: "an admin who was an ordinary user at the log-in", prepare: func(f *fixture, boss authapi.Tokens) string {
			f.users.Update("u1", func(u *auth.User) { u.Role = auth.RoleUser })
			tokens := f.logIn().Tokens
			f.users.Update("u1", func(u *auth.User) { u.Role = auth.RoleAdmin })
			return tokens.AccessToken
		}},
		{name: "no token", code: apperr.Forbidden, prepare: func(*fixture, authapi.Tokens) string { return "" }},
		{name: "no token, but text", code: apperr.Forbidden, prepare: func(*fixture, authapi.Tokens) string { return "true" }},
		{name: "a refresh token", code: apperr.Forbidden, prepare: func(_ *fixture, boss authapi.Tokens) string { return boss.RefreshToken }},
		{name: "an expired token", code: apperr.Forbidden, prepare: func(f *fixture, boss authapi.Tokens) string {
			f.clock.Advance(accessTTL + time.Second)
			return boss.AccessToken
		}},
		{name: "an ended session", code: apperr.Forbidden, prepare: func(f *fixture, boss authapi.Tokens) string {
			if _, err := f.LogOut(f.t.Context(), authapi.LogOutRequest{RefreshToken: boss.RefreshToken}); err != nil {
				f.t.Fatal(err)
			}
			return boss.AccessToken
		}},
		{name: "a replaced session", code: apperr.Forbidden, prepare: func(f *fixture, boss authapi.Tokens) string {
			f.refresh(boss.RefreshToken)
			return boss.AccessToken
		}},
		{name: "a session of an older password", code: apperr.Forbidden, prepare: func(f *fixture, boss authapi.Tokens) string {
			f.users.Update("u1", func(u *auth.User) { u.PasswordVersion++ })
			return boss.AccessToken
		}},
		{name: "an admin who lost the role", code: apperr.Forbidden, prepare: func(f *fixture, boss authapi.Tokens) string {
			f.users.Update("u1", func(u *auth.User) { u.Role = auth.RoleUser })
			return boss.AccessToken
		}},
		{name: "an inactive admin", code: apperr.Forbidden, prepare: func(f *fixture, boss authapi.Tokens) string {
			f.users.Update("u1", func(u *auth.User) { u.Active = false })
			return boss.AccessToken
		}},
		{name: "a token of another key", code: apperr.Forbidden, prepare: func(f *fixture, boss authapi.Tokens) string {
			raw, err := token.Sign(f.claims(boss.AccessToken), other)
			if err != nil {
				f.t.Fatal(err)
			}
			return raw
		}},
		{name: "a session of another user", code: apperr.Forbidden, prepare: func(f *fixture, boss authapi.Tokens) string {
			c := f.claims(boss.AccessToken)
			c.Subject = "u3"
			raw, err := token.Sign(c, key)
			if err != nil {
				f.t.Fatal(err)
			}
			return raw
		}},
		{name: "an admin, while the sessions cannot be read", code: apperr.Unavailable, prepare: func(f *fixture, boss authapi.Tokens) string {
			f.sessions.Err = apperr.Unreachable(errors.New("gone"))
			return boss.AccessToken
		}},
		{name: "an admin, while the keys cannot be read", code: apperr.Unavailable, prepare: func(f *fixture, boss authapi.Tokens) string {
			f.keys.Err = apperr.Unreachable(errors.New("gone"))
			return boss.AccessToken
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			boss := f.register()
			f.users.Update("u1", func(u *auth.User) { u.Role = auth.RoleAdmin })
			r := registration()
			r.UserID, r.Email, r.Role = "u2", "ben@example.com", authapi.RoleAdmin
			r.CallerToken = tt.prepare(f, boss.Tokens)
			users := f.users.Len()
			got, err := f.Register(t.Context(), r)
			if tt.code == "" {
				if err != nil || got.User.Role != authapi.RoleAdmin || f.stored("u2").Role != auth.RoleAdmin {
					t.Errorf("got %+v, %v, want an admin", got.User, err)
				}
				return
			}
			if e := apperr.From(err); err == nil || e.Code != tt.code {
				t.Errorf("got %v, want %s", err, tt.code)
			}
			if f.users.Len() != users {
				t.Error("the refused request was stored")
			}
		})
	}
}

// The id of a user and an e-mail address are no secrets. A program that repeats somebody's
// registration must not get tokens for them.
func TestRepeatedRegistrationNeedsThePassword(t *testing.T) {
	f := newFixture(t)
	f.register()
	r := registration()
	r.Password = "another good one"
	for range 5 {
		_, err := f.Register(t.Context(), r)
		wantRefusal(t, "another password", err, apperr.Invalid, "auth.email_taken")
	}
	if f.countFamilies() != 1 {
		t.Errorf("got %d families, want 1", f.countFamilies())
	}
	_, err := f.Register(t.Context(), registration())
	wantRefusal(t, "after five wrong passwords", err, apperr.RateLimited, "auth.locked")
	f.clock.Advance(time.Minute)
	if _, err := f.Register(t.Context(), registration()); err != nil {
		t.Errorf("the right password: got %v, want no error", err)
	}
	f.users.Update("u1", func(u *auth.User) { u.Active = false })
	_, err = f.Register(t.Context(), registration())
	wantRefusal(t, "an inactive account", err, apperr.Invalid, "auth.email_taken")
}

func TestRegisterRefusesATakenAddressAndAcceptsARepeatedRequest(t *testing.T) {
	f := newFixture(t)
	first := f.register()
	r := registration()
	r.UserID, r.Email = "u2", "ANN@example.com"
	_, err := f.Register(t.Context(), r)
	wantRefusal(t, "another user", err, apperr.Invalid, "auth.email_taken")
	if f.users.Len() != 1 || f.countFamilies() != 1 {
		t.Error("the refused request was stored")
	}
	repeated, err := f.Register(t.Context(), registration())
	if err != nil || repeated.User != first.User {
		t.Errorf("repeated request: got %+v, %v, want %+v", repeated.User, err, first.User)
	}
}

func TestConcurrentRegistrationsOfAnAddressHaveOneWinner(t *testing.T) {
	f := newFixture(t)
	var won atomic.Int64
	kit.Concurrently(20, func(i int) {
		r := registration()
		r.UserID = fmt.Sprint("u", i)
		switch _, err := f.Register(t.Context(), r); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, auth.ErrEmailTaken):
			t.Error(err)
		}
	})
	if won.Load() != 1 || f.users.Len() != 1 {
		t.Errorf("got %d winners and %d users, want one of each", won.Load(), f.users.Len())
	}
}

func TestEnsureAdminCreatesTheAdminOnce(t *testing.T) {
	f, ctx := newFixture(t), t.Context()
	for range 2 {
		if err := f.EnsureAdmin(ctx, "Boss@example.com", password); err != nil {
			t.Fatal(err)
		}
	}
	got, err := f.LogIn(ctx, authapi.LogInRequest{Email: "boss@example.com", Password: password, Device: device})
	if err != nil || got.User.Role != authapi.RoleAdmin || f.users.Len() != 1 {
		t.Errorf("got %+v, %v, want one admin", got.User, err)
	}
	// A changed password in the configuration does not change the account.
	if err := f.EnsureAdmin(ctx, "boss@example.com", "another good one"); err != nil {
		t.Error(err)
	}
	if _, err := f.LogIn(ctx, authapi.LogInRequest{Email: "boss@example.com", Password: password, Device: device}); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "short", "password", "boss-example"} {
		if err := f.EnsureAdmin(ctx, "boss@example.com", bad); err == nil {
			t.Errorf("password %q: got no error, want one", bad)
		}
	}
}

// The configuration never changes an account, so an operator must learn that it differs.
func TestEnsureAdminWarnsAboutAnAccountThatDiffers(t *testing.T) {
	const (
		ignored  = "ADMIN_PASSWORD is ignored"
		ordinary = "ADMIN_EMAIL belongs to a user who is not an admin"
		inactive = "ADMIN_EMAIL belongs to an inactive admin"
	)
	for _, tt := range []struct {
		name     string
		password string
		change   func(*auth.User)
		want     []string
	}{
		{"nothing differs", password, func(*auth.User) {}, nil},
		{"another password", "another good one", func(*auth.User) {}, []string{ignored}},
		{"an ordinary user", password, func(u *auth.User) { u.Role = auth.RoleUser }, []string{ordinary}},
		{"an inactive admin", password, func(u *auth.User) { u.Active = false }, []string{inactive}},
		{"an inactive admin and another password", "another good one", func(u *auth.User) { u.Active = false }, []string{inactive, ignored}},
		{"a damaged hash", password, func(u *auth.User) { u.PasswordHash = "x" }, []string{"could not compare ADMIN_PASSWORD"}},
	} {
		f := newFixture(t)
		f.register()
		f.users.Update("u1", func(u *auth.User) { u.Role = auth.RoleAdmin; tt.change(u) })
		before := f.stored("u1")
		if err := f.EnsureAdmin(t.Context(), "ANN@example.com", tt.password); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if f.stored("u1") != before || f.users.Len() != 1 {
			t.Errorf("%s: the account was changed", tt.name)
		}
		log := f.log.String()
		if strings.Count(log, "level=WARN") != len(tt.want) {
			t.Errorf("%s: got log %q, want %d warnings", tt.name, log, len(tt.want))
		}
		for _, want := range tt.want {
			if !strings.Contains(log, want) {
				t.Errorf("%s: got log %q, want %q", tt.name, log, want)
			}
		}
		if strings.Contains(log, tt.password) || strings.Contains(log, email) {
			t.Errorf("%s: the log contains the password or the e-mail address: %q", tt.name, log)
		}
	}
}

func TestRegistrationMakesItsAddressKnown(t *testing.T) {
	f := newFixture(t)
	f.register()
	f.guessFrom("198.51.100", 30)
	before := f.clock.Slept()
	f.logIn()
	if f.clock.Slept() != before {
		t.Error("the log-in from the address of the registration was delayed")
	}
}
