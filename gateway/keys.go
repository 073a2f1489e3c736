package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"boxoffice/shared/apperr"
	"boxoffice/shared/token"
)

const (
	// keysFresh is how old the keys may get: a key is published for longer than
	// that before it signs.
	keysFresh = 5 * time.Minute
	// keysPause keeps tokens that name invented keys from asking auth each time.
	keysPause = 5 * time.Second
	// keysRetry is the wait after a failure.
	keysRetry = 500 * time.Millisecond
	// maxVerified is how many tokens are remembered, some hundred bytes for each.
	maxVerified = 10_000
)

var errNoKeys = errors.New("auth has not told its keys yet")

// Keyring has the public keys of auth. It is safe for concurrent use.
type Keyring struct {
	fetch func(context.Context) (token.KeySet, error)
	now   func() time.Time
	keys  atomic.Pointer[keys]
	tried atomic.Int64 // when a key was last asked for because it was unknown, in unix nanoseconds
}

type keys struct {
	set  token.KeySet
	ring token.Ring
	// verified has the claims of tokens whose signature was checked under these
	// keys, by the token's hash: a client sends its token with every request.
	verified *lru.Cache[[sha256.Size]byte, token.Claims]
}

// NewKeyring returns a keyring without keys: Run fetches them.
func NewKeyring(now func() time.Time, fetch func(context.Context) (token.KeySet, error)) *Keyring {
	return &Keyring{fetch: fetch, now: now}
}

// Run keeps the keys fresh until ctx ends.
func (k *Keyring) Run(ctx context.Context) error {
	for {
		wait := keysFresh
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
	verified, err := lru.New[[sha256.Size]byte, token.Claims](maxVerified)
	if err != nil {
		return err
	}
	k.keys.Store(&keys{set: set, ring: ring, verified: verified})
	return nil
}

// Set returns the keys to publish.
func (k *Keyring) Set() (token.KeySet, error) {
	have := k.keys.Load()
	if have == nil {
		return token.KeySet{}, apperr.Unreachable(errNoKeys)
	}
	return have.set, nil
}

// Check returns an error while there are no keys.
func (k *Keyring) Check(context.Context) error {
	if k.keys.Load() == nil {
		return errNoKeys
	}
	return nil
}

// Verify returns what a token says, as token.Verify does. A key that is not known
// may be a new one, so auth is asked once in a while. Without any keys the error
// is an *apperr.Error.
func (k *Keyring) Verify(ctx context.Context, raw string) (token.Claims, error) {
	have := k.keys.Load()
	if have == nil {
		return token.Claims{}, apperr.Unreachable(errNoKeys)
	}
	hash := sha256.Sum256([]byte(raw))
	if claims, ok := have.verified.Get(hash); ok && k.now().Before(claims.ExpiresAt) {
		return claims, nil
	}
	seen := &watched{ring: have.ring}
	claims, err := token.Verify(raw, seen, k.now())
	if err == nil {
		have.verified.Add(hash, claims)
	}
	if !seen.missed || !k.mayAsk() || k.refresh(ctx) != nil {
		return claims, err
	}
	return token.Verify(raw, k.keys.Load().ring, k.now())
}

func (k *Keyring) mayAsk() bool {
	last, now := k.tried.Load(), k.now().UnixNano()
	return now-last >= int64(keysPause) && k.tried.CompareAndSwap(last, now)
}

// watched remembers whether a key was asked for that is not there.
type watched struct {
	ring   token.Ring
	missed bool
}

func (w *watched) PublicKey(id string) (ed25519.PublicKey, bool) {
	key, ok := w.ring.PublicKey(id)
	w.missed = !ok
	return key, ok
}
