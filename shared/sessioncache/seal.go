package sessioncache

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// MinKey is the length of the shortest key in bytes.
	MinKey = 32

	// purpose separates the key of the seals from other keys that are derived from the
	// same secret.
	purpose = "boxoffice session cache"

	// maxValue is the maximum length of a value in bytes. Those of the longest session and
	// user are shorter than half of it. The seal of a longer value is not computed.
	maxValue = 16 << 10

	// clockSkew is how far the clock of the process that wrote a value may be behind that
	// of the process that reads it.
	clockSkew = 30 * time.Second

	sealLength = 43 // of a SHA-256 in base64url without padding
)

// sealer seals values with an HMAC-SHA-256 (RFC 2104). The seal covers the Redis key, so
// that a value counts only under its own key, and the time until which the value counts,
// so that writing an old value again cannot keep it alive. It is safe for concurrent use.
type sealer struct{ pool sync.Pool }

// mac is the state of one computation. It is pooled, because each request needs two.
type mac struct {
	hash.Hash
	text   []byte
	digest [sha256.Size]byte
}

// newSealer returns a sealer with a key that is derived from secret.
func newSealer(secret []byte) (*sealer, error) {
	if len(secret) < MinKey {
		return nil, fmt.Errorf("session cache: the key has %d bytes, want at least %d", len(secret), MinKey)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, purpose, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("session cache: derive key: %w", err)
	}
	return &sealer{sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, key)} }}}, nil
}

// seal returns the stored form of the JSON text data under a Redis key:
// "v:<version>:<until>:<seal>:<data>".
func (s *sealer) seal(key string, version int64, until time.Time, data []byte) (string, error) {
	head := "v:" + strconv.FormatInt(version, 10) + ":" + strconv.FormatInt(until.UnixMilli(), 10) + ":"
	if len(head)+sealLength+1+len(data) > maxValue {
		return "", errors.New("session cache: value is too long")
	}
	m, _ := s.pool.Get().(*mac)
	defer s.pool.Put(m)
	m.text = append(m.text[:0], data...)
	return head + string(m.sum(key, head)) + ":" + string(data), nil
}

// sealed is a value whose seal is right.
type sealed struct {
	version int64
	data    []byte // JSON
}

var errSeal = errors.New("the seal of the value is wrong or has expired")

// open checks the seal of text, which was stored under a Redis key, and the time until
// which it counts. It returns errSeal if either is wrong.
func (s *sealer) open(key, text string, now time.Time) (sealed, error) {
	head, seal, data, err := split(text)
	if err != nil {
		return sealed{}, err
	}
	m, _ := s.pool.Get().(*mac)
	defer s.pool.Put(m)
	m.text = append(m.text[:0], data...)
	if subtle.ConstantTimeCompare(m.sum(key, head), []byte(seal)) != 1 {
		return sealed{}, errSeal
	}
	// Only what was sealed is parsed further, so these numbers are well-formed.
	version, until, _ := strings.Cut(strings.TrimPrefix(head, "v:"), ":")
	v, err1 := strconv.ParseInt(version, 10, 64)
	ms, err2 := strconv.ParseInt(strings.TrimSuffix(until, ":"), 10, 64)
	if err1 != nil || err2 != nil || now.UnixMilli() >= ms+clockSkew.Milliseconds() {
		return sealed{}, errSeal
	}
	return sealed{version: v, data: []byte(data)}, nil
}

// split returns the parts of a sealed value. head ends with its second number and a colon.
func split(text string) (head, seal, data string, err error) {
	if len(text) > maxValue || !strings.HasPrefix(text, "v:") {
		return "", "", "", errSeal
	}
	end := len("v:")
	for range 2 {
		n := strings.IndexByte(text[end:], ':')
		if n < 0 {
			return "", "", "", errSeal
		}
		end += n + 1
	}
	rest := text[end:]
	if len(rest) <= sealLength || rest[sealLength] != ':' {
		return "", "", "", errSeal
	}
	return text[:end], rest[:sealLength], rest[sealLength+1:], nil
}

// sum returns the seal of m.text under a key and a head. The result is valid until the
// next use of m. Neither a Redis key nor a head contains a zero byte.
func (m *mac) sum(key, head string) []byte {
	n := len(m.text)
	m.Reset()
	m.text = append(append(append(m.text, key...), 0), head...)
	m.Write(m.text[n:])
	m.Write(m.text[:n])
	m.text = base64.RawURLEncoding.AppendEncode(m.text[:0], m.Sum(m.digest[:0]))
	return m.text
}
