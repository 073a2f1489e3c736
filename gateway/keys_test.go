package main_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"boxoffice/shared/token"

	main "boxoffice/gateway"
)

// The keyring caches verified tokens. It must still refuse a token that differs from a
// cached one, that has expired, or whose key is no longer published.
func TestVerifiedTokenIsCachedUntilItExpiresOrItsKeyIsWithdrawn(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	now, set := time.Now(), token.NewKeySet(public)
	keys := main.NewKeyring(func() time.Time { return now }, func(context.Context) (token.KeySet, error) { return set, nil })
	load := func() { // Run loads the keys once, even if its context has already ended
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = keys.Run(ctx)
	}
	load()
	claims := token.Claims{Type: token.Access, Subject: "u1", SessionID: "s1", ID: "t1", IssuedAt: now, ExpiresAt: now.Add(time.Minute)}
	raw, err := token.Sign(claims, private)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(raw string, want error) {
		t.Helper()
		c, err := keys.Verify(t.Context(), raw)
		if !errors.Is(err, want) || err == nil && c.Subject != "u1" {
			t.Errorf("got %+v, %v, want %v", c, err, want)
		}
	}
	for range 2 {
		verify(raw, nil)
		verify(raw[:len(raw)-4]+"AAAA", token.ErrInvalid)
		verify("A"+raw, token.ErrInvalid)
	}
	now = now.Add(time.Minute)
	verify(raw, token.ErrExpired)
	now = now.Add(-time.Second)
	verify(raw, nil)
	set = token.NewKeySet(other)
	load()
	verify(raw, token.ErrInvalid)
}
