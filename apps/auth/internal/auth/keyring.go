package auth

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"boxoffice/shared/token"
)

// Keyring is the keys that tokens are signed and verified with. One signs. The
// others are published: the one that signs next, before it does, so that every
// verifier knows it by then; the one that signed before, until its tokens ended.
type Keyring struct {
	token.Ring

	signing ed25519.PrivateKey
	set     token.KeySet
}

// ParseKeyring reads private Ed25519 keys as PKCS #8 in PEM, one block after the
// other. The first signs.
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
			return nil, errors.New("signing keys: a block is no PKCS #8 key") // the parser might quote it
		}
		private, ok := key.(ed25519.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("signing keys: %T instead of Ed25519", key)
		}
		keys = append(keys, private)
	}
	return NewKeyring(keys...)
}

// NewKeyring returns the ring of these keys. The first signs.
func NewKeyring(keys ...ed25519.PrivateKey) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, errors.New("signing keys: none")
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
