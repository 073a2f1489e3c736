package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// HashParams are the cost parameters of Argon2id (RFC 9106 section 3.1).
type HashParams struct {
	Memory  uint32 // KiB
	Passes  uint32
	Threads uint8
}

// DefaultHashParams returns the first set of parameters that the OWASP Password
// Storage Cheat Sheet recommends for Argon2id.
func DefaultHashParams() HashParams { return HashParams{Memory: 46 << 10, Passes: 1, Threads: 1} }

const (
	saltLength = 16 // bytes
	keyLength  = 32 // bytes

	// maxMemory and maxPasses limit the cost parameters of a stored hash, so that a
	// damaged one cannot exhaust the machine.
	maxMemory = 1 << 20 // KiB
	maxPasses = 64
)

// phc is a hash with its parameters. Its text is in PHC string format:
// $argon2id$v=19$m=47104,t=1,p=1$salt$key.
type phc struct {
	HashParams
	salt, key []byte
}

// String returns h in PHC string format.
func (h phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.Memory, h.Passes, h.Threads,
		b64.EncodeToString(h.salt), b64.EncodeToString(h.key))
}

// parsePHC parses an Argon2id hash in PHC string format. Its errors do not quote s.
func parsePHC(s string) (phc, error) {
	var h phc
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, errors.New("hash: not argon2id in PHC string format")
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.Memory, &h.Passes, &h.Threads); err != nil || n != 3 {
		return h, errors.New("hash: malformed parameters")
	}
	if h.Memory < 8 || h.Memory > maxMemory || h.Passes < 1 || h.Passes > maxPasses || h.Threads < 1 {
		return h, errors.New("hash: parameters out of bounds")
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	h.key, err2 = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(h.salt) < 8 || len(h.key) < 16 || len(h.key) > 64 {
		return h, errors.New("hash: malformed salt or key")
	}
	return h, nil
}

// hashPassword hashes a normalised password with a new salt and returns the PHC
// string.
func hashPassword(password string, params HashParams) string {
	salt := make([]byte, saltLength)
	rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, params.Passes, params.Memory, params.Threads, keyLength)
	return phc{params, salt, key}.String()
}

// matches reports whether h is a hash of the normalised password. It compares in
// constant time.
func (h phc) matches(password string) bool {
	key := argon2.IDKey([]byte(password), h.salt, h.Passes, h.Memory, h.Threads, uint32(len(h.key))) //nolint:gosec // at most 64
	return subtle.ConstantTimeCompare(key, h.key) == 1
}
