package token

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// Keys looks up public keys.
type Keys interface {
	// PublicKey returns the key with exactly this id, and whether there is one.
	PublicKey(id string) (ed25519.PublicKey, bool)
}

// KeySet is a JSON Web Key Set (RFC 7517, section 5) of Ed25519 keys (RFC 8037).
type KeySet struct {
	Keys []Key `json:"keys"`
}

// Key is a public key in a KeySet.
type Key struct {
	KeyType   string `json:"kty"` // OKP
	Curve     string `json:"crv"` // Ed25519
	ID        string `json:"kid"`
	Use       string `json:"use"` // sig
	Algorithm string `json:"alg"` // EdDSA
	X         string `json:"x"`   // the key, in base64url without padding
}

// NewKeySet returns a KeySet of keys. The id of each key is its KeyID.
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

// KeyID returns the id of key, which is its JWK thumbprint (RFC 7638). It depends only
// on the key.
func KeyID(key ed25519.PublicKey) string {
	// RFC 7638, section 3, defines the members and their order.
	text := fmt.Sprintf(`{"crv":"Ed25519","kty":"OKP","x":%q}`, base64.RawURLEncoding.EncodeToString(key))
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Ring is an immutable set of public keys by id. It implements Keys.
type Ring struct{ keys map[string]ed25519.PublicKey }

var _ Keys = Ring{}

// NewRing returns a Ring of the keys in set. It returns an error if the set is empty, if
// a key is malformed or not for EdDSA over Ed25519, or if an id is empty or repeated.
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
			return Ring{}, fmt.Errorf("key set: id %q is empty or repeated", k.ID)
		}
		keys[k.ID] = raw
	}
	return Ring{keys: keys}, nil
}

// ParseRing parses the JSON form of a KeySet and returns a Ring of its keys, as NewRing
// does.
func ParseRing(data []byte) (Ring, error) {
	var set KeySet
	if err := json.Unmarshal(data, &set); err != nil {
		return Ring{}, fmt.Errorf("key set: %w", err)
	}
	return NewRing(set)
}

// PublicKey implements Keys.
func (r Ring) PublicKey(id string) (ed25519.PublicKey, bool) {
	k, ok := r.keys[id]
	return k, ok
}
