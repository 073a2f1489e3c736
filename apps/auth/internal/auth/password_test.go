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
	one, err := h.Hash(ctx, "client", password)
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.Hash(ctx, "client", password)
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
		ok, outdated, err := h.Matches(ctx, "client", tt.hash, tt.password)
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
		if ok, _, err := h.Matches(t.Context(), "client", hash, ""); err == nil || ok {
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
			_, err := h.Hash(ctx, "client", password)
			results <- err
		}()
	}
	wantRefusal(t, "the call without a place in the queue", <-results, apperr.Unavailable, "unavailable")
	cancel()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("the call in the queue: got %v, want context.Canceled", err)
	}
}

// Without workers, every call that enters the queue stays there until its context ends.
func TestOneClientTakesAtMostAQuarterOfTheQueue(t *testing.T) {
	for queue, share := range map[int]int{40: 10, 7: 1, 3: 1, 1: 1} {
		h, err := auth.NewHasher(cheapHash, 0, queue)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, 200)
		send := func(client string, n int) {
			for range n {
				go func() {
					_, _, err := h.Matches(ctx, client, "", password)
					results <- err
				}()
			}
		}
		// refused waits for the calls that do not enter the queue.
		refused := func(n int) {
			t.Helper()
			for range n {
				wantRefusal(t, fmt.Sprint("queue of ", queue), <-results, apperr.Unavailable, "unavailable")
			}
		}
		send("greedy", share+5)
		refused(5)
		for i := range queue - share {
			send(fmt.Sprint("client", i), 1) // all of them enter
		}
		send("late", 1)
		refused(1)
		cancel()
		for range queue {
			if err := <-results; !errors.Is(err, context.Canceled) {
				t.Errorf("queue of %d: got %v, want context.Canceled", queue, err)
			}
		}
		// Everybody has left.
		if _, err := h.Hash(ctx, "greedy", password); !errors.Is(err, context.Canceled) {
			t.Errorf("queue of %d: got %v, want context.Canceled", queue, err)
		}
	}
}

func TestNormalizeEmail(t *testing.T) {
	for raw, want := range map[string]string{
		" Ann@Example.COM\t":     "ann@example.com",
		"ａｎｎ@example.com":        "ann@example.com",
		"\u00a0ann@example.com":  "ann@example.com",
		"MU\u0308LLER@example.d": "müller@example.d",
		"":                       "",

		// Case folding makes more spellings equal than lower-casing.
		"STRASSE@example.com":       "strasse@example.com",
		"straße@example.com":        "strasse@example.com",
		"STRAẞE@example.com":        "strasse@example.com",
		"ΣΊΣΥΦΟΣ@example.com":       "σίσυφοσ@example.com",
		"σίσυφος@example.com":       "σίσυφοσ@example.com",
		"\u212aelvin@example.com":   "kelvin@example.com",
		"ſam@example.com":           "sam@example.com",
		"oﬃce@example.com":          "office@example.com",
		"\ufb13@example.com":        "\u0574\u0576@example.com", // an Armenian ligature
		`"Ann"@example.com`:         "ann@example.com",
		`"a\nn"@example.com`:        "ann@example.com",
		`"ann lee"@example.com`:     `"ann lee"@example.com`,
		`"ann\ lee"@example.com`:    `"ann lee"@example.com`,
		`"a"n"@example.com`:         `"a"n"@example.com`,
		`"a..n"@example.com`:        `"a..n"@example.com`,
		`"ann\"@example.com`:        `"ann\"@example.com`,
		`"\"ann\""@example.com`:     `"\"ann\""@example.com`,
		"ann@BÜCHER.example":        "ann@bücher.example",
		"ann@bu\u0308cher.example":  "ann@bücher.example",
		"ann@xn--bcher-kva.example": "ann@bücher.example",
		"ann@XN--BCHER-KVA.example": "ann@bücher.example",
		"ann@example。com":           "ann@example.com",
		"ann＠ｅｘａｍｐｌｅ．ｃｏｍ":           "ann@example.com",
		"ann@STRASSE.example":       "ann@strasse.example",
		"ann@straße.example":        "ann@straße.example", // another domain (IDNA 2008)
		"ann@xn--strae-oqa.example": "ann@straße.example",
		"ann@my--shop.example":      "ann@my--shop.example",
		"ann@exam\u00adple.com":     "ann@exam\u00adple.com", // refused, see below
	} {
		if got := auth.NormalizeEmail(raw); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
}

func TestRegisterAcceptsOnlyPlausibleEmailAddresses(t *testing.T) {
	valid := []string{
		"a@b.c", "a+b@c-d.example", "ünal@bücher.example", `"odd"@example.com`, "a.b.c@d.e.f",
		"a@my--shop.example", "a@xn--fsqu00a.xn--0zwm56d", "a@例え.テスト", "a@مثال.إختبار", "a@" + strings.Repeat("b", 63) + ".c",
	}
	invalid := []string{
		"a", "@b.c", "a@", "a@b", "a@b.", "a@.b", "a@b..c", "a b@c.d", "a@b c.d", "a@b@c.d", "a@-b.c", "a@b-.c",
		"a@b_c.d", "a\u0000@b.c", "a\u200b@b.c", "a@b.c/x", strings.Repeat("a", 65) + "@b.c", "a@" + strings.Repeat("b", 64) + ".c",
		"a@xn--a.c", "a@xn--bcher-kva-.c", "a@xn--abc-.c", "a@" + strings.Repeat("ü", 60) + ".c", "a@\u0301b.c", "a@b\u05d0c.d", "a@☃\u200d.c",
		"a@" + strings.Repeat("ü.", 40) + "c", "a@b.c.", "a@b\uff3fc.d",
	}
	for _, invisible := range invisibles {
		invalid = append(invalid, "a"+invisible+"b@c.de", invisible+"ab@c.de", "ab"+invisible+"@c.de", "ab@c"+invisible+"d.ef", "ab@cd.ef"+invisible)
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

// invisibles are code points that are not visible and change nothing that is.
var invisibles = []string{
	"\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u180b", "\u180e", "\u200b", "\u200c", "\u200d",
	"\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2060", "\u2061", "\u2064", "\u2065", "\u2066", "\u2069",
	"\u206a", "\u3164", "\ufe00", "\ufe0f", "\ufeff", "\uffa0", "\ufff0", "\ufff9", "\U0001bca0", "\U0001d173", "\U000e0001",
	"\U000e0041", "\U000e0100", "\U000e0fff", "\u0600", "\u070f",
}

func TestNamesMustNotContainInvisibleCharacters(t *testing.T) {
	f := newFixture(t)
	check := func(name string, want bool) {
		t.Helper()
		r := registration()
		r.UserID = fmt.Sprintf("%x", sha256.Sum224([]byte(name)))
		r.Email, r.Name = r.UserID+"@example.com", name
		_, err := f.Register(t.Context(), r)
		if (err == nil) != want {
			t.Errorf("%+q: got error %v, want accepted: %t", name, err, want)
		}
		if err != nil {
			wantRefusal(t, name, err, apperr.Invalid, "invalid")
		}
	}
	for _, name := range []string{
		"Ann", "Ann Lee", "Ünal Ö.", "山田\u3000太郎", "O'Neill-Søn", "محمد", "אברהם", "Zoë\u0301", "X Æ A-12", "☃", "7", "Nguyễn", "Ann\u00a0Lee", "😀",
	} {
		check(name, true)
	}
	for _, invisible := range invisibles {
		check("Ann"+invisible, false)
		check(invisible+"Ann", false)
		check("An"+invisible+"n", false)
		check(invisible, false)
	}
	for _, name := range []string{
		"\u2028", "A\u2028nn", "A\u2029nn", "A\tn", "A\u0085n", "A\x7fn", "A\ue000", "A\U00100000", "\ufffd", "\u2800", "\u2800\u2800", "\u0301", "\u3000 \u00a0",
	} {
		check(name, false)
	}
}

func TestWeakPasswords(t *testing.T) {
	p := auth.NewPolicy()
	weak := []string{
		"password123!", "p@ssw0rd1", "admin1234", "summer2024", "Summer2024!", "SUMMER-2024", "2024summer", "!!winter24!!",
		"P@$$w0rd", "p4ssword", "pa55word!!", "passw0rd99", "password!", "Passw0rd2024", "1password1", "adm1n1234", "4dm1n2024", "@dm!n123",
		"welc0me123", "W3lcome1!", "letme1n!!", "l3tm31n2024", "qwerty2024", "Qwerty123!", "qwertyuiop1", "iloveyou!!", "1l0vey0u",
		"ch4ng3m3", "ch4ng3m32024", "changeme!", "12345678", "123456789!", "12345678!!", "monday12345", "January2026", "adminadmin", "adminadmin1", "testtest",
		"aaaaaaaa", "aaaaaaaa1", "!!!!!!!!", "b0x0ffice2026", "BoxOffice#1", "t1ckets2026", "4nn-example-2026", "ann.example!", "football1",
	}
	for _, password := range weak {
		if !p.IsWeak(password, "ann@example.com") {
			t.Errorf("%s: got strong, want weak", password)
		}
	}
	for _, password := range []string{
		"correct horse battery", "boxoffice-qx-83", "a rather long secret", "another good one", "üöä€xyzq", "73951846", "x7#love!q9", "winter is coming 7",
		"kV9$mq2!", "Tr0ub4dor&3", "9f86d081884c", "summer-of-sam-1977", "annabelle-qx", "0", "",
	} {
		if p.IsWeak(password, "ann@example.com") {
			t.Errorf("%s: got weak, want strong", password)
		}
	}
}

// The test checks the property of FuzzNormalizeEmail with random strings of code points
// whose case mapping or normalisation is unusual.
func TestNormalizeEmailIsIdempotent(t *testing.T) {
	parts := []rune("aAİıſK\u212aﬁǅß\u0345\u0308\u0301\u00a0\u3000 \t@.ａ\u1e9b\u0323\ufdfa\u03a3\u1fbc\u200d\ufffd\"\\\\。ẞςüxn-k7")
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
		if _, err := h.Hash(b.Context(), "client", password); err != nil {
			b.Fatal(err)
		}
	}
}
