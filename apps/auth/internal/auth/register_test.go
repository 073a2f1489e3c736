package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

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
		"role user":                         func(r *authapi.RegisterRequest) { r.Role = "user" },
		"admin role, requested by an admin": func(r *authapi.RegisterRequest) { r.Role, r.ByAdmin = "admin", true },
	} {
		r := registration()
		change(&r)
		if got, err := newFixture(t).Register(t.Context(), r); err != nil || (got.User.Role == authapi.RoleAdmin) != (r.Role == "admin") {
			t.Errorf("%s: got %+v, %v, want it accepted", name, got.User, err)
		}
	}
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
