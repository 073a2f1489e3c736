// Package idempotency derives ids and fingerprints from requests that clients may repeat
// with an Idempotency-Key (IETF draft-ietf-httpapi-idempotency-key-header).
package idempotency

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"boxoffice/shared/validation"
)

// maxKey is the maximum length of a key in bytes.
const maxKey = 128

// CheckKey adds a problem to p unless key is 1 to 128 visible ASCII characters.
func CheckKey(p *validation.Problems, key string) {
	isHidden := func(r rune) bool { return r <= ' ' || r > '~' }
	if key == "" || len(key) > maxKey || strings.IndexFunc(key, isHidden) >= 0 {
		p.Add("Idempotency-Key", "invalid", "must be 1 to %d visible ASCII characters, without spaces", maxKey)
	}
}

// ID returns the id of the record that a user creates with a key. It is a valid id.
func ID(userID, key string) string { return digest(userID + "\n" + key) }

// Fingerprint returns a hash of a request. Two requests with the same id are duplicates
// if their fingerprints are equal.
func Fingerprint(request string) string { return digest(request) }

// digest returns the first 128 bits of the SHA-256 of s in hexadecimal. Finding a
// collision takes about 2^64 attempts, and only affects the user who finds it.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}
