package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/token"
)

func TestRegister(t *testing.T) {
	w := newWorld(t)
	r := registration()
	r.Email, r.Name = "  ANN@Example.com ", " Ann "
	got, err := w.Register(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	stored := w.stored("u1")
	want := auth.User{
		ID: "u1", Email: email, Name: "Ann", Role: auth.RoleUser, Active: true,
		PasswordHash: stored.PasswordHash, PasswordVersion: 1, Version: 1,
		CreatedAt: w.clock.Now(), UpdatedAt: w.clock.Now(),
	}
	if stored != want || got.User != want.Public() {
		t.Errorf("stored %+v, want %+v; got %+v", stored, want, got.User)
	}
	if !strings.HasPrefix(stored.PasswordHash, "$argon2id$v=19$m=64,t=1,p=1$") || strings.Contains(stored.PasswordHash, password) {
		t.Errorf("the hash is %q", stored.PasswordHash)
	}
	if checked, err := w.check(got.Tokens.AccessToken); err != nil || checked.User != want.Public() || w.family().Device != device {
		t.Errorf("got %+v, %v", checked, err)
	}
	c := w.claims(got.Tokens.AccessToken)
	if c.Type != token.Access || c.Subject != "u1" || c.Email != email || c.Role != "user" || c.FamilyID != "" {
		t.Errorf("access claims %+v", c)
	}
	if life := c.ExpiresAt.Sub(w.clock.Now()); life < accessTTL || life >= accessTTL+1e9 {
		t.Errorf("the access token lives for %s", life)
	}
	r2 := w.claims(got.Tokens.RefreshToken)
	if r2.Type != token.Refresh || r2.SessionID != c.SessionID || r2.FamilyID == "" || r2.ID == c.ID || r2.Email != "" {
		t.Errorf("refresh claims %+v", r2)
	}
	if strings.Contains(w.log.String(), email) {
		t.Error("the address was logged")
	}
}

func TestRegisterRefuses(t *testing.T) {
	long := func(n int) string { return strings.Repeat("ü", n) }
	tests := []struct {
		name   string
		change func(*authapi.RegisterRequest)
		code   apperr.Code
		reason string
		fields string // "field code" of each
	}{
		{"everything", func(r *authapi.RegisterRequest) { *r = authapi.RegisterRequest{Role: "root"} }, apperr.Invalid, "invalid",
			"email required, password required, name required, userId required, role unknown"},
		{"e-mail", func(r *authapi.RegisterRequest) { r.Email = "ann" }, apperr.Invalid, "invalid", "email invalid"},
		{"e-mail too long", func(r *authapi.RegisterRequest) { r.Email = "a@" + long(253) }, apperr.Invalid, "invalid", "email too_long"},
		{"short password", func(r *authapi.RegisterRequest) { r.Password = "1234567" }, apperr.Invalid, "invalid", "password too_short"},
		{"short after NFKC", func(r *authapi.RegisterRequest) { r.Password = "u\u0308o\u0308a\u0308e\u0308" }, apperr.Invalid, "invalid", "password too_short"},
		{"long password", func(r *authapi.RegisterRequest) { r.Password = long(129) }, apperr.Invalid, "invalid", "password too_long"},
		{"password no text", func(r *authapi.RegisterRequest) { r.Password = "\xff23456789" }, apperr.Invalid, "invalid", "password invalid"},
		{"blank name", func(r *authapi.RegisterRequest) { r.Name = "  " }, apperr.Invalid, "invalid", "name required"},
		{"long name", func(r *authapi.RegisterRequest) { r.Name = long(101) }, apperr.Invalid, "invalid", "name too_long"},
		{"name with a control", func(r *authapi.RegisterRequest) { r.Name = "A\nn" }, apperr.Invalid, "invalid", "name invalid"},
		{"id", func(r *authapi.RegisterRequest) { r.UserID = "a.$b" }, apperr.Invalid, "invalid", "userId invalid"},
		{"long id", func(r *authapi.RegisterRequest) { r.UserID = strings.Repeat("a", 65) }, apperr.Invalid, "invalid", "userId invalid"},
		{"common password", func(r *authapi.RegisterRequest) { r.Password = "Password123" }, apperr.Invalid, "auth.weak_password", ""},
		{"the address", func(r *authapi.RegisterRequest) { r.Password = "ann-example-2026" }, apperr.Invalid, "auth.weak_password", ""},
		{"the product", func(r *authapi.RegisterRequest) { r.Password = "BoxOffice2026!" }, apperr.Invalid, "auth.weak_password", ""},
		{"one character", func(r *authapi.RegisterRequest) { r.Password = "üüüüüüüü" }, apperr.Invalid, "auth.weak_password", ""},
		{"full-width form of a common one", func(r *authapi.RegisterRequest) { r.Password = "ｐａｓｓｗｏｒｄ" }, apperr.Invalid, "auth.weak_password", ""},
		{"admin", func(r *authapi.RegisterRequest) { r.Role = "admin" }, apperr.Forbidden, "auth.admin_required", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			r := registration()
			tt.change(&r)
			_, err := w.Register(t.Context(), r)
			refused(t, tt.name, err, tt.code, tt.reason)
			var fields []string
			for _, f := range apperr.From(err).Fields {
				fields = append(fields, f.Field+" "+f.Code)
			}
			if got := strings.Join(fields, ", "); got != tt.fields {
				t.Errorf("fields: got %s, want %s", got, tt.fields)
			}
			if w.users.Len() != 0 || w.sessions.Writes() != 0 {
				t.Error("something was written")
			}
		})
	}
}

func TestRegisterAccepts(t *testing.T) {
	for name, change := range map[string]func(*authapi.RegisterRequest){
		"eight code points": func(r *authapi.RegisterRequest) { r.Password = "üöä€xyzq" },
		"128 code points":   func(r *authapi.RegisterRequest) { r.Password = strings.Repeat("üé", 64) },
		"254 in the e-mail": func(r *authapi.RegisterRequest) { r.Email = "a@" + strings.Repeat("b.", 125) + "bb" },
		"100 in the name":   func(r *authapi.RegisterRequest) { r.Name = strings.Repeat("ü", 100) },
		"a word and more":   func(r *authapi.RegisterRequest) { r.Password = "boxoffice-qx-83" },
		"role user":         func(r *authapi.RegisterRequest) { r.Role = "user" },
		"admin by an admin": func(r *authapi.RegisterRequest) { r.Role, r.ByAdmin = "admin", true },
	} {
		r := registration()
		change(&r)
		if got, err := newWorld(t).Register(t.Context(), r); err != nil || (got.User.Role == authapi.RoleAdmin) != (r.Role == "admin") {
			t.Errorf("%s: got %+v, %v", name, got.User, err)
		}
	}
}

func TestRegisterTakenAndAgain(t *testing.T) {
	w := newWorld(t)
	first := w.register()
	r := registration()
	r.UserID, r.Email = "u2", "ANN@example.com"
	_, err := w.Register(t.Context(), r)
	refused(t, "another", err, apperr.Invalid, "auth.email_taken")
	if w.users.Len() != 1 || w.families() != 1 {
		t.Error("something was written")
	}
	again, err := w.Register(t.Context(), registration())
	if err != nil || again.User != first.User {
		t.Errorf("the same one again: got %+v, %v", again.User, err)
	}
}

func TestRegistrationsRaceForAnAddress(t *testing.T) {
	w := newWorld(t)
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			r := registration()
			r.UserID = fmt.Sprint("u", i)
			switch _, err := w.Register(t.Context(), r); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, auth.ErrEmailTaken):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || w.users.Len() != 1 {
		t.Errorf("%d won, %d users", won.Load(), w.users.Len())
	}
}

func TestEnsureAdmin(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	for range 2 {
		if err := w.EnsureAdmin(ctx, "Boss@example.com", password); err != nil {
			t.Fatal(err)
		}
	}
	got, err := w.LogIn(ctx, authapi.LogInRequest{Email: "boss@example.com", Password: password, Device: device})
	if err != nil || got.User.Role != authapi.RoleAdmin || w.users.Len() != 1 {
		t.Errorf("got %+v, %v", got.User, err)
	}
	// Another password in the configuration changes nothing that is there.
	if err := w.EnsureAdmin(ctx, "boss@example.com", "another good one"); err != nil {
		t.Error(err)
	}
	if _, err := w.LogIn(ctx, authapi.LogInRequest{Email: "boss@example.com", Password: password, Device: device}); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "short", "password", "boss-example"} {
		if err := w.EnsureAdmin(ctx, "boss@example.com", bad); err == nil {
			t.Errorf("%q: taken", bad)
		}
	}
}
