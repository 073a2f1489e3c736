package auth

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

const (
	// pseudonymPurpose separates the key of the pseudonyms from other keys that are derived
	// from the same secret.
	pseudonymPurpose = "boxoffice pseudonyms"
	// pseudonymLength is the number of bytes of a hash that a pseudonym keeps.
	pseudonymLength = 12
)

// Pseudonyms replaces e-mail addresses and client addresses in logs and in the names of
// counters. The same text always has the same pseudonym, so that an operator can see which
// failures belong together. Without the key nobody can compute the pseudonym of a guessed
// address; a hash without a key would give all IPv4 addresses away.
type Pseudonyms struct{ key []byte }

// NewPseudonyms returns pseudonyms with a key that is derived with HKDF (RFC 5869) from a
// secret of any other use. Another secret makes other pseudonyms.
func NewPseudonyms(secret []byte) (*Pseudonyms, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, pseudonymPurpose, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("pseudonyms: derive key: %w", err)
	}
	return &Pseudonyms{key}, nil
}

// Account returns the pseudonym of a normalised e-mail address, registered or not.
func (p *Pseudonyms) Account(email string) string { return p.of("account", email) }

// Address returns the pseudonym of a client's address.
func (p *Pseudonyms) Address(address string) string { return p.of("address", address) }

// of returns the pseudonym of a text of a kind, 16 characters of base64url.
func (p *Pseudonyms) of(kind, text string) string {
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(kind + "\x00" + text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:pseudonymLength])
}

// lockName returns the name of the lock that serialises log-ins to an account. It contains
// a hash instead of the e-mail address. The hash has no key, because a lock lives for
// seconds and an operator may want to find it.
func lockName(email string) string {
	sum := sha256.Sum256([]byte(email))
	return "login:" + base64.RawURLEncoding.EncodeToString(sum[:18])
}
