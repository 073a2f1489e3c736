package token

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// Keys finds the public key of a key id, exactly that one.
type Keys interface {
	PublicKey(id string) (ed25519.PublicKey, bool)
}

// KeySet is a JSON Web Key Set (RFC 7517) of Ed25519 keys (RFC 8037).
type KeySet struct {
	Keys []Key `json:"keys"`
}

// Key is one public key of a KeySet.
type Key struct {
	KeyType   string `json:"kty"` // OKP
	Curve     string `json:"crv"` // Ed25519
	ID        string `json:"kid"`
	Use       string `json:"use"` // sig
	Algorithm string `json:"alg"` // EdDSA
	X         string `json:"x"`   // the key, base64url without padding
}

// NewKeySet returns the set of these keys, each under its KeyID.
func NewKeySet(keys ...ed25519.PublicKey) KeySet {
	set := KeySet{Keys: make([]Key, 0, len(keys))}
	for _, k := range keys {
		set.Keys = append(set.Keys, Key{
			KeyType: "OKP", Curve: "Ed25519", Use: "sig", Algorithm: algorithm,
			ID: KeyID(k), X: base64.RawURLEncoding.EncodeToString(k),
		})
	}
	return set
}

// KeyID is the key's RFC 7638 thumbprint: whoever has the key knows its id.
func KeyID(key ed25519.PublicKey) string {
	// The members in the order that the RFC demands.
	text := fmt.Sprintf(`{"crv":"Ed25519","kty":"OKP","x":%q}`, base64.RawURLEncoding.EncodeToString(key))
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Ring holds public keys by their ids. It does not change.
type Ring struct{ keys map[string]ed25519.PublicKey }

var _ Keys = Ring{}

// NewRing returns the keys of a set. A key of another kind is an error, and so
// are an empty set and an id that stands twice: nothing is guessed.
func NewRing(set KeySet) (Ring, error) {
	if len(set.Keys) == 0 {
		return Ring{}, errors.New("key set: no keys")
	}
	keys := make(map[string]ed25519.PublicKey, len(set.Keys))
	for _, k := range set.Keys {
		if k.KeyType != "OKP" || k.Curve != "Ed25519" || k.Algorithm != algorithm {
			return Ring{}, fmt.Errorf("key set: key %q is not for %s over Ed25519", k.ID, algorithm)
		}
		raw, err := base64.RawURLEncoding.Strict().DecodeString(k.X)
		if err != nil || len(raw) != ed25519.PublicKeySize {
			return Ring{}, fmt.Errorf("key set: key %q is malformed", k.ID)
		}
		if _, ok := keys[k.ID]; ok || k.ID == "" {
			return Ring{}, fmt.Errorf("key set: id %q is empty or stands twice", k.ID)
		}
		keys[k.ID] = raw
	}
	return Ring{keys: keys}, nil
}

// ParseRing reads the JSON form of a set.
func ParseRing(data []byte) (Ring, error) {
	var set KeySet
	if err := json.Unmarshal(data, &set); err != nil {
		return Ring{}, fmt.Errorf("key set: %w", err)
	}
	return NewRing(set)
}

// PublicKey returns the key of that id.
func (r Ring) PublicKey(id string) (ed25519.PublicKey, bool) {
	k, ok := r.keys[id]
	return k, ok
}
