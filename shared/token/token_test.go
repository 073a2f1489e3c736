package token_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/shared/token"
)

var (
	now    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	key    = ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))
	other  = ed25519.NewKeyFromSeed([]byte(strings.Repeat("o", ed25519.SeedSize)))
	access = token.Claims{
		Type: token.Access, Subject: "u1", SessionID: "s1", Email: "ann@example.com", Role: "user", ID: "s1-a",
		IssuedAt: now, ExpiresAt: now.Add(15 * time.Minute),
	}
	refresh = token.Claims{
		Type: token.Refresh, Subject: "u1", SessionID: "s1", FamilyID: "f1", ID: "s1-r",
		IssuedAt: now, ExpiresAt: now.Add(7 * 24 * time.Hour),
	}
)

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func ring(t testing.TB, keys ...ed25519.PublicKey) token.Ring {
	t.Helper()
	r, err := token.NewRing(token.NewKeySet(keys...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sign(t testing.TB, c token.Claims) string {
	t.Helper()
	raw, err := token.Sign(c, key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestSignedTokenVerifies(t *testing.T) {
	for _, want := range []token.Claims{access, refresh} {
		raw := sign(t, want)
		if again := sign(t, want); again != raw {
			t.Errorf("%s token signed again: got %s, want %s", want.Type, again, raw)
		}
		got, err := token.Verify(raw, ring(t, public(other), public(key)), now)
		if err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestTokenHeaderNamesAlgorithmTypeAndKey(t *testing.T) {
	for typ, c := range map[string]token.Claims{"at+jwt": access, "rt+jwt": refresh} {
		header, err := base64.RawURLEncoding.DecodeString(strings.Split(sign(t, c), ".")[0])
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := json.Unmarshal(header, &got); err != nil {
			t.Fatal(err)
		}
		if got["alg"] != "EdDSA" || got["typ"] != typ || got["kid"] != token.KeyID(public(key)) || len(got) != 3 {
			t.Errorf("header: got %v, want alg EdDSA, typ %s and the kid of the key", got, typ)
		}
	}
}

func TestVerifyChecksTimes(t *testing.T) {
	tests := []struct {
		name string
		at   time.Time
		want error
	}{
		{"signer's clock ahead by the allowed skew", now.Add(-30 * time.Second), nil},
		{"signer's clock ahead by more than the allowed skew", now.Add(-31 * time.Second), token.ErrInvalid},
		{"just before expiry", access.ExpiresAt.Add(-time.Nanosecond), nil},
		{"at expiry", access.ExpiresAt, token.ErrExpired},
	}
	for _, tt := range tests {
		got, err := token.Verify(sign(t, access), ring(t, public(key)), tt.at)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
		if tt.want == token.ErrExpired && got != access {
			t.Errorf("%s: got claims %+v, want %+v", tt.name, got, access)
		}
		if tt.want == token.ErrInvalid && errors.Is(err, token.ErrExpired) {
			t.Errorf("%s: got %v, want an error other than ErrExpired", tt.name, err)
		}
	}
}

// forge returns a token with an arbitrary header and payload, signed with key.
func forge(header, payload string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
}

func TestVerifyRefusesInvalidTokens(t *testing.T) {
	const (
		whole = `{"iss":"boxoffice","aud":"boxoffice","sub":"u1","type":"access","sessionId":"s1","jti":"j","iat":1772366400,"nbf":1772366400,"exp":1772367300}`
	)
	kid := token.KeyID(public(key))
	header := `{"alg":"EdDSA","typ":"at+jwt","kid":"` + kid + `"}`
	with := func(from, to string) string { return forge(header, strings.Replace(whole, from, to, 1)) }
	valid := sign(t, access)
	if _, err := token.Verify(forge(header, whole), ring(t, public(key)), now); err != nil {
		t.Fatalf("forged token with valid header and payload: got %v, want no error", err)
	}
	tests := map[string]string{
		"empty":                     "",
		"malformed":                 "a.b.c",
		"four parts":                valid + ".x",
		"line break":                valid[:10] + "\n" + valid[10:],
		"truncated":                 valid[:len(valid)-1],
		"too long":                  valid + strings.Repeat("A", token.MaxLength),
		"no signature":              valid[:strings.LastIndex(valid, ".")+1],
		"alg none":                  forge(`{"alg":"none","typ":"at+jwt","kid":"`+kid+`"}`, whole),
		"alg HS256":                 forge(`{"alg":"HS256","typ":"at+jwt","kid":"`+kid+`"}`, whole),
		"no kid":                    forge(`{"alg":"EdDSA","typ":"at+jwt"}`, whole),
		"kid not a string":          forge(`{"alg":"EdDSA","typ":"at+jwt","kid":7}`, whole),
		"unknown kid":               forge(`{"alg":"EdDSA","typ":"at+jwt","kid":"x"}`, whole),
		"kid in upper case":         forge(`{"alg":"EdDSA","typ":"at+jwt","kid":"`+strings.ToUpper(kid)+`"}`, whole),
		"kid of another key":        forge(`{"alg":"EdDSA","typ":"at+jwt","kid":"`+token.KeyID(public(other))+`"}`, whole),
		"typ of a refresh token":    forge(`{"alg":"EdDSA","typ":"rt+jwt","kid":"`+kid+`"}`, whole),
		"no typ":                    forge(`{"alg":"EdDSA","kid":"`+kid+`"}`, whole),
		"payload null":              forge(header, `null`),
		"payload not an object":     forge(header, `[]`),
		"wrong issuer":              with(`"iss":"boxoffice"`, `"iss":"other"`),
		"wrong audience":            with(`"aud":"boxoffice"`, `"aud":"other"`),
		"no subject":                with(`"sub":"u1",`, ``),
		"no session":                with(`"sessionId":"s1",`, ``),
		"no id":                     with(`"jti":"j",`, ``),
		"unknown type":              with(`"type":"access"`, `"type":"root"`),
		"family in an access token": with(`"jti"`, `"familyId":"f","jti"`),
		"no exp":                    with(`,"exp":1772367300`, ``),
		"exp not a number":          with(`"exp":1772367300`, `"exp":"never"`),
		"no iat":                    with(`"iat":1772366400,`, ``),
		"nbf in the future":         with(`"nbf":1772366400`, `"nbf":1772367000`),
	}
	for name, raw := range tests {
		c, err := token.Verify(raw, ring(t, public(key), public(other)), now)
		if !errors.Is(err, token.ErrInvalid) || errors.Is(err, token.ErrExpired) || c != (token.Claims{}) {
			t.Errorf("%s: got %+v, %v, want no claims and ErrInvalid", name, c, err)
		}
	}
}

func TestSignRefusesInvalidClaims(t *testing.T) {
	tests := map[string]func(*token.Claims){
		"no type":                   func(c *token.Claims) { c.Type = "" },
		"expires when issued":       func(c *token.Claims) { c.ExpiresAt = c.IssuedAt },
		"family in an access token": func(c *token.Claims) { c.FamilyID = "f1" },
		"too large":                 func(c *token.Claims) { c.Email = strings.Repeat("x", token.MaxLength) },
	}
	for name, change := range tests {
		c := access
		change(&c)
		if raw, err := token.Sign(c, key); err == nil {
			t.Errorf("%s: got %s, want an error", name, raw)
		}
	}
}

func TestKeySetRoundTrip(t *testing.T) {
	data, err := json.Marshal(token.NewKeySet(public(key)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := token.ParseRing(data)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := r.PublicKey(token.KeyID(public(key))); !ok || !got.Equal(public(key)) {
		t.Errorf("got key %x, %t, want %x", got, ok, public(key))
	}
	if strings.Contains(string(data), `"d"`) {
		t.Errorf("got a key set that contains a private key: %s", data)
	}
}

func TestParseRingRefusesInvalidKeySets(t *testing.T) {
	data, err := json.Marshal(token.NewKeySet(public(key)))
	if err != nil {
		t.Fatal(err)
	}
	whole := string(data)
	for name, text := range map[string]string{
		"no keys":           `{"keys":[]}`,
		"not JSON":          `x`,
		"another key type":  strings.Replace(whole, "OKP", "RSA", 1),
		"another curve":     strings.Replace(whole, "Ed25519", "X25519", 1),
		"another algorithm": strings.Replace(whole, "EdDSA", "RS256", 1),
		"short key":         `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"a","x":"AAAA"}]}`,
		"no id":             strings.Replace(whole, token.KeyID(public(key)), "", 1),
		"repeated id":       strings.Replace(whole, "[", "["+whole[len(`{"keys":[`):len(whole)-2]+",", 1),
	} {
		if _, err := token.ParseRing([]byte(text)); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
}

// The key and its thumbprint are those of RFC 8037, appendix A.3.
func TestKeyIDIsTheJWKThumbprint(t *testing.T) {
	raw, err := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := token.KeyID(raw), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// This test verifies thousands of randomly modified tokens. Unlike fuzzing with
// FuzzVerify, it is part of every test run and always uses the same tokens.
func TestVerifyRefusesModifiedTokens(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	keys := ring(t, public(key))
	alphabet := []byte("ABCxyz019-_.=+/ \n\x00\xff{}")
	valid := []string{sign(t, access), sign(t, refresh)}
	for range 20_000 {
		raw := []byte(valid[random.IntN(2)])
		for range 1 + random.IntN(3) {
			at := random.IntN(len(raw))
			switch random.IntN(3) {
			case 0:
				raw[at] = alphabet[random.IntN(len(alphabet))]
			case 1:
				raw = slices.Delete(raw, at, at+1)
			case 2:
				raw = slices.Insert(raw, at, alphabet[random.IntN(len(alphabet))])
			}
		}
		if text := string(raw); !slices.Contains(valid, text) {
			if c, err := token.Verify(text, keys, now); !errors.Is(err, token.ErrInvalid) {
				t.Errorf("%q: got %+v, %v, want ErrInvalid", text, c, err)
			}
		}
	}
}

func FuzzVerify(f *testing.F) {
	for _, c := range []token.Claims{access, refresh} {
		f.Add(sign(f, c))
	}
	f.Add("a.b.c")
	f.Add(forge(`{"alg":"EdDSA","typ":"at+jwt","kid":null}`, `{"exp":1e300}`))
	keys := ring(f, public(key))
	known := map[string]token.Claims{sign(f, access): access, sign(f, refresh): refresh}
	f.Fuzz(func(t *testing.T, raw string) {
		c, err := token.Verify(raw, keys, now)
		if err == nil && known[raw] != c {
			t.Errorf("%q: got %+v, want an error", raw, c)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	raw, keys := sign(b, access), ring(b, public(key))
	for b.Loop() {
		if _, err := token.Verify(raw, keys, now); err != nil {
			b.Fatal(err)
		}
	}
}
