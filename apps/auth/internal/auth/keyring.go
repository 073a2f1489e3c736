package auth

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"boxoffice/shared/token"
)

// Keyring is the set of keys for tokens. The first key signs; all of them verify
// and are published. To rotate keys, publish the next key before it signs, so that
// every verifier has it, and keep the previous key until its tokens have expired.
type Keyring struct {
	token.Ring

	signing ed25519.PrivateKey
	set     token.KeySet
}

// ParseKeyring parses PEM blocks with Ed25519 private keys in PKCS #8. The key of
// the first block signs.
func ParseKeyring(text []byte) (*Keyring, error) {
	var keys []ed25519.PrivateKey
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("signing keys: a PEM block is not a PKCS #8 key") // err might quote the key
		}
		private, ok := key.(ed25519.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("signing keys: got %T, want an Ed25519 key", key)
		}
		keys = append(keys, private)
	}
	return NewKeyring(keys...)
}

// NewKeyring returns a keyring of keys. The first key signs.
func NewKeyring(keys ...ed25519.PrivateKey) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, errors.New("no signing keys")
	}
	public := make([]ed25519.PublicKey, 0, len(keys))
	for _, k := range keys {
		public = append(public, ed25519.PublicKey(k[len(k)-ed25519.PublicKeySize:]))
	}
	set := token.NewKeySet(public...)
	ring, err := token.NewRing(set)
	if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	return &Keyring{Ring: ring, signing: keys[0], set: set}, nil
}

// Set returns the public keys.
func (k *Keyring) Set() token.KeySet { return k.set }
