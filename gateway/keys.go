package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"boxoffice/shared/apperr"
	"boxoffice/shared/token"
)

const (
	// keysInterval is the time between refreshes. Before auth signs with a key, it
	// publishes the key for longer than that.
	keysInterval = 5 * time.Minute
	// unknownKeyInterval is the minimum time between refreshes that unknown keys
	// trigger. Without it, every token with an invented key id would cause a call to
	// auth.
	unknownKeyInterval = 5 * time.Second
	// keysRetry is the time between a failed refresh and its retry.
	keysRetry = 500 * time.Millisecond
	// maxVerified is the maximum number of verified tokens in memory. Each takes a
	// few hundred bytes.
	maxVerified = 10_000
)

var errNoKeys = errors.New("public keys of auth are not loaded yet")

// Keyring holds auth's public keys and verifies tokens with them. It is safe for
// concurrent use.
type Keyring struct {
	fetch        func(context.Context) (token.KeySet, error)
	now          func() time.Time
	keys         atomic.Pointer[keys]
	unknownKeyAt atomic.Int64 // time of the last refresh that an unknown key triggered, in Unix nanoseconds
}

type keys struct {
	set  token.KeySet
	ring token.Ring
	// verified maps the hashes of tokens that these keys verified to their claims.
	// A client sends the same token with many requests, and verifying a signature
	// costs more than a hash.
	verified *lru.Cache[[sha256.Size]byte, token.Claims]
}

// NewKeyring returns a keyring without keys. [Keyring.Run] loads them with fetch.
func NewKeyring(now func() time.Time, fetch func(context.Context) (token.KeySet, error)) *Keyring {
	return &Keyring{fetch: fetch, now: now}
}

// Run loads the keys and refreshes them every keysInterval until ctx ends. It returns
// ctx.Err().
func (k *Keyring) Run(ctx context.Context) error {
	for {
		wait := keysInterval
		if err := k.refresh(ctx); err != nil {
			wait = keysRetry
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (k *Keyring) refresh(ctx context.Context) error {
	set, err := k.fetch(ctx)
	if err != nil {
		return err
	}
	ring, err := token.NewRing(set)
	if err != nil {
		return err
	}
	current := k.keys.Load()
	next := &keys{set: set, ring: ring}
	if current != nil && next.contains(current) {
		next.verified = current.verified
	} else if next.verified, err = lru.New[[sha256.Size]byte, token.Claims](maxVerified); err != nil {
		return err
	}
	k.keys.Store(next)
	return nil
}

// contains reports whether k has all keys of old, so that every token which old verified
// is valid under k too. Only a withdrawn key empties the cache of verified tokens.
// Otherwise a client could empty it with tokens that name unknown keys.
func (k *keys) contains(old *keys) bool {
	for _, key := range old.set.Keys {
		if !slices.Contains(k.set.Keys, key) {
			return false
		}
	}
	return true
}

// Set returns the keys for publication. Before the keys are loaded it returns an
// Unavailable *apperr.Error.
func (k *Keyring) Set() (token.KeySet, error) {
	current := k.keys.Load()
	if current == nil {
		return token.KeySet{}, apperr.Unreachable(errNoKeys)
	}
	return current.set, nil
}

// Check is a readiness check. It returns an error until the keys are loaded.
func (k *Keyring) Check(context.Context) error {
	if k.keys.Load() == nil {
		return errNoKeys
	}
	return nil
}

// Verify verifies raw as token.Verify does. If the token names an unknown key, Verify
// refreshes the keys and tries again, at most once per unknownKeyInterval. Before the
// keys are loaded it returns an Unavailable *apperr.Error.
func (k *Keyring) Verify(ctx context.Context, raw string) (token.Claims, error) {
	current := k.keys.Load()
	if current == nil {
		return token.Claims{}, apperr.Unreachable(errNoKeys)
	}
	hash := sha256.Sum256([]byte(raw))
	if claims, ok := current.verified.Get(hash); ok && k.now().Before(claims.ExpiresAt) {
		return claims, nil
	}
	lookup := &keyLookup{ring: current.ring}
	claims, err := token.Verify(raw, lookup, k.now())
	if err == nil {
		current.verified.Add(hash, claims)
	}
	if !lookup.missed || !k.mayRefresh() || k.refresh(ctx) != nil {
		return claims, err
	}
	return token.Verify(raw, k.keys.Load().ring, k.now())
}

// mayRefresh reports whether an unknown key may trigger a refresh now. It returns true
// at most once per unknownKeyInterval.
func (k *Keyring) mayRefresh() bool {
	last, now := k.unknownKeyAt.Load(), k.now().UnixNano()
	return now-last >= int64(unknownKeyInterval) && k.unknownKeyAt.CompareAndSwap(last, now)
}

// keyLookup records whether the last lookup in a ring found no key.
type keyLookup struct {
	ring   token.Ring
	missed bool
}

// PublicKey implements token.Keys.
func (l *keyLookup) PublicKey(id string) (ed25519.PublicKey, bool) {
	key, ok := l.ring.PublicKey(id)
	l.missed = !ok
	return key, ok
}
