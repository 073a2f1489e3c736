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

func TestHasherMatchesOnlyTheRightPassword(t *testing.T) {
	h, ctx := newHasher(t, cheapHash), t.Context()
	one, err := h.Hash(ctx, password)
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.Hash(ctx, password)
	if err != nil || one == two {
		t.Errorf("got hash %q after %q, %v, want another salt", two, one, err)
	}
	tests := []struct {
		name, hash, password string
		ok, outdated         bool
	}{
		{"right", one, password, true, false},
		{"wrong", one, password + "x", false, false},
		{"no hash", "", password, false, false},
		{"no hash, no password", "", "", false, false},
		// echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1
		{"hash of the reference implementation", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password", true, true},
	}
	for _, tt := range tests {
		ok, outdated, err := h.Matches(ctx, tt.hash, tt.password)
		if err != nil || ok != tt.ok || outdated != tt.outdated {
			t.Errorf("%s: got %v, %v, %v, want %v, %v", tt.name, ok, outdated, err, tt.ok, tt.outdated)
		}
	}
}

func TestMatchesReturnsAnErrorForDamagedHashes(t *testing.T) {
	h := newHasher(t, cheapHash)
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
			t.Errorf("%s: got %v, %v, want an error", hash, ok, err)
		}
	}
}

func TestHashRefusesRequestsWhenTheQueueIsFull(t *testing.T) {
	h, err := auth.NewHasher(cheapHash, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	// Without workers, the call in the queue waits until its context ends.
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := h.Hash(ctx, password)
			results <- err
		}()
	}
	wantRefusal(t, "the call without a place in the queue", <-results, apperr.Unavailable, "unavailable")
	cancel()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("the call in the queue: got %v, want context.Canceled", err)
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

func TestRegisterAcceptsOnlyPlausibleEmailAddresses(t *testing.T) {
	valid := []string{"a@b.c", "a+b@c-d.example", "ünal@bücher.example", `"odd"@example.com`, "a.b.c@d.e.f"}
	invalid := []string{
		"a", "@b.c", "a@", "a@b", "a@b.", "a@.b", "a@b..c", "a b@c.d", "a@b c.d", "a@b@c.d", "a@-b.c", "a@b-.c",
		"a@b_c.d", "a\u0000@b.c", "a\u200b@b.c", "a@b.c/x", strings.Repeat("a", 65) + "@b.c", "a@" + strings.Repeat("b", 64) + ".c",
	}
	f := newFixture(t)
	check := func(email string, want bool) {
		t.Helper()
		r := registration()
		r.UserID, r.Email = fmt.Sprintf("%x", sha256.Sum224([]byte(email))), email
		if _, err := f.Register(t.Context(), r); (err == nil) != want {
			t.Errorf("%q: got error %v, want accepted: %t", email, err, want)
		}
	}
	for _, email := range valid {
		check(email, true)
	}
	for _, email := range invalid {
		check(email, false)
	}
}

// The test checks the property of FuzzNormalizeEmail with random strings of code points
// whose case mapping or normalisation is unusual.
func TestNormalizeEmailIsIdempotent(t *testing.T) {
	parts := []rune("aAİıſK\u212aﬁǅß\u0345\u0308\u0301\u00a0\u3000 \t@.ａ\u1e9b\u0323\ufdfa\u03a3\u1fbc\u200d\ufffd")
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		text := make([]rune, random.IntN(8))
		for i := range text {
			text[i] = parts[random.IntN(len(parts))]
		}
		requireStable(t, string(text))
	}
}

// requireStable checks that NormalizeEmail returns a string in NFKC that it does not
// change again.
func requireStable(t *testing.T, s string) {
	t.Helper()
	once := auth.NormalizeEmail(s)
	if twice := auth.NormalizeEmail(once); twice != once {
		t.Errorf("%q: got %q, then %q, want the same", s, once, twice)
	}
	if !norm.NFKC.IsNormalString(once) {
		t.Errorf("%q: got %q, want it in NFKC", s, once)
	}
}

func FuzzNormalizeEmail(f *testing.F) {
	for _, s := range []string{"Ann@Example.com", "İ@ﬁ.com", "\u0345\u03b1", "K@K", " \u00a0x "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { requireStable(t, s) })
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
