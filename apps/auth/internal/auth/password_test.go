package auth_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/shared/apperr"
)

func TestHasher(t *testing.T) {
	h, ctx := newHasher(t, cheap), t.Context()
	one, err := h.Hash(ctx, password)
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.Hash(ctx, password)
	if err != nil || one == two {
		t.Errorf("the same salt twice: %v", err)
	}
	tests := []struct {
		name, hash, password string
		ok, old              bool
	}{
		{"right", one, password, true, false},
		{"wrong", one, password + "x", false, false},
		{"no hash", "", password, false, false},
		{"no hash, no password", "", "", false, false},
		// From the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1
		{"another's", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password", true, true},
	}
	for _, tt := range tests {
		ok, old, err := h.Matches(ctx, tt.hash, tt.password)
		if err != nil || ok != tt.ok || old != tt.old {
			t.Errorf("%s: got %v, %v, %v", tt.name, ok, old, err)
		}
	}
}

func TestDamagedHashes(t *testing.T) {
	h := newHasher(t, cheap)
	for _, hash := range []string{
		"x", "$argon2id$", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
		"$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
		"$argon2id$v=19$m=99999999,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
		"$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
		"$argon2id$v=19$m=64,t=1,p=0$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
		"$argon2id$v=19$m=64,t=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q",
		"$argon2id$v=19$m=64,t=1,p=1$c29t$CTFhFdXPJO1aFaMaO6Mm5Q",
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFh",
		"$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$!",
	} {
		if ok, _, err := h.Matches(t.Context(), hash, ""); err == nil || ok {
			t.Errorf("%s: got %v, %v", hash, ok, err)
		}
	}
}

func TestHasherIsBounded(t *testing.T) {
	h, err := auth.NewHasher(cheap, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	// Nobody works, so who has the one place waits for as long as it likes.
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := h.Hash(ctx, password)
			results <- err
		}()
	}
	refused(t, "the second", <-results, apperr.Unavailable, "unavailable")
	cancel()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
}

func TestNormalizeEmail(t *testing.T) {
	for raw, want := range map[string]string{
		" Ann@Example.COM\t":     "ann@example.com",
		"ａｎｎ@example.com":        "ann@example.com",
		"\u00a0ann@example.com":  "ann@example.com",
		"MU\u0308LLER@example.d": "müller@example.d",
		"":                       "",
	} {
		if got := auth.NormalizeEmail(raw); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
}

func TestEmailShapes(t *testing.T) {
	ok := []string{"a@b.c", "a+b@c-d.example", "ünal@bücher.example", `"odd"@example.com`, "a.b.c@d.e.f"}
	bad := []string{
		"a", "@b.c", "a@", "a@b", "a@b.", "a@.b", "a@b..c", "a b@c.d", "a@b c.d", "a@b@c.d", "a@-b.c", "a@b-.c",
		"a@b_c.d", "a\u0000@b.c", "a\u200b@b.c", "a@b.c/x", strings.Repeat("a", 65) + "@b.c", "a@" + strings.Repeat("b", 64) + ".c",
	}
	w := newWorld(t)
	check := func(email string, want bool) {
		t.Helper()
		r := registration()
		r.UserID, r.Email = fmt.Sprintf("%x", sha256.Sum224([]byte(email))), email
		if _, err := w.Register(t.Context(), r); (err == nil) != want {
			t.Errorf("%q: %v", email, err)
		}
	}
	for _, email := range ok {
		check(email, true)
	}
	for _, email := range bad {
		check(email, false)
	}
}

// The fuzz target's property over texts of a seed, made of what is awkward.
func TestNormalizeEmailIsStable(t *testing.T) {
	parts := []rune("aAİıſK\u212aﬁǅß\u0345\u0308\u0301\u00a0\u3000 \t@.ａ\u1e9b\u0323\ufdfa\u03a3\u1fbc\u200d\ufffd")
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		text := make([]rune, random.IntN(8))
		for i := range text {
			text[i] = parts[random.IntN(len(parts))]
		}
		stable(t, string(text))
	}
}

func stable(t *testing.T, s string) {
	t.Helper()
	once := auth.NormalizeEmail(s)
	if twice := auth.NormalizeEmail(once); twice != once {
		t.Errorf("%q becomes %q, then %q", s, once, twice)
	}
	if !norm.NFKC.IsNormalString(once) {
		t.Errorf("%q becomes %q, which is not NFKC", s, once)
	}
}

func FuzzNormalizeEmail(f *testing.F) {
	for _, s := range []string{"Ann@Example.com", "İ@ﬁ.com", "\u0345\u03b1", "K@K", " \u00a0x "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { stable(t, s) })
}

func BenchmarkHash(b *testing.B) {
	h, err := auth.NewHasher(auth.DefaultHashParams(), 1, 0)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := h.Hash(b.Context(), password); err != nil {
			b.Fatal(err)
		}
	}
}
