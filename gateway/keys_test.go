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

// A token with an unknown key makes the keyring load the keys again. A client that sends
// such tokens must not empty the cache of verified tokens.
func TestUnknownKeyDoesNotEmptyTheCacheOfVerifiedTokens(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	added, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	now, fetches := time.Now(), 0
	set := token.NewKeySet(public)
	keys := main.NewKeyring(func() time.Time { return now }, func(context.Context) (token.KeySet, error) { fetches++; return set, nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = keys.Run(ctx) // loads the keys once
	signed := func(key ed25519.PrivateKey) string {
		raw, err := token.Sign(token.Claims{
			Type: token.Access, Subject: "u1", SessionID: "s1", ID: "t1", IssuedAt: now, ExpiresAt: now.Add(time.Hour),
		}, key)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	raw, unknown := signed(private), signed(other)
	if _, err := keys.Verify(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		now = now.Add(time.Minute)
		if _, err := keys.Verify(t.Context(), unknown); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("got %v, want ErrInvalid", err)
		}
	}
	if fetches != 4 || keys.CountVerified() != 1 {
		t.Errorf("got %d fetches and %d verified tokens, want 4 and 1", fetches, keys.CountVerified())
	}
	set = token.NewKeySet(public, added) // auth publishes its next key
	now = now.Add(time.Minute)
	if _, err := keys.Verify(t.Context(), unknown); err != nil {
		t.Errorf("published key: got %v, want no error", err)
	}
	if keys.CountVerified() != 1 {
		t.Errorf("after a key was added: got %d verified tokens, want 1", keys.CountVerified())
	}
	set = token.NewKeySet(added)
	now = now.Add(time.Minute)
	_, _ = keys.Verify(t.Context(), signed(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))))
	if _, err := keys.Verify(t.Context(), raw); !errors.Is(err, token.ErrInvalid) || keys.CountVerified() != 0 {
		t.Errorf("withdrawn key: got %v and %d verified tokens, want ErrInvalid and 0", err, keys.CountVerified())
	}
}
