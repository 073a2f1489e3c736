// Package page implements keyset pagination with opaque, signed cursors.
//
// A cursor contains the position of the last item of a page and an HMAC (RFC 2104)
// over that position and the name of the list. A cursor of a list with another sort
// or filter, or one that a client made or changed, is therefore refused.
package page

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"

	"boxoffice/shared/apperr"
	"boxoffice/shared/validation"
)

// DefaultLimit and MaxLimit are the number of items of a page: without a limit in the
// request, and at most.
const (
	DefaultLimit = 20
	MaxLimit     = 100
)

const (
	macLength = 12   // bytes of the truncated HMAC
	maxCursor = 4096 // bytes of a cursor that Decode looks at
)

var errCursor = errors.New("not a cursor of this list")

// Limit returns the number of items of a page for the limit n of a request, which is
// 0 for the default. It adds a problem to problems if n is out of range.
func Limit(n int, problems *validation.Problems) int {
	if n == 0 {
		return DefaultLimit
	}
	problems.Range("limit", int64(n), 1, MaxLimit)
	return n
}

// Cursors encodes and decodes cursors. All instances of an app must have the same
// secret, so that each accepts the cursors of the others. The zero value signs with
// an empty key.
type Cursors struct{ key []byte }

// NewCursors returns cursors that are signed with a key derived from secret. Because
// the key is derived, a signature of this package is of no use anywhere else that
// secret is used.
func NewCursors(secret string) Cursors {
	return Cursors{key: mac([]byte(secret), []byte("page cursors"))}
}

// mac returns the HMAC-SHA256 of the concatenated parts.
func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

// Encode returns the cursor for the position pos in list. pos must be encodable as
// JSON. list must name everything that determines the items and their order: filters
// and sort.
func (c Cursors) Encode(list string, pos any) (string, error) {
	text, err := json.Marshal(pos)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(c.sum(list, text), text...)), nil
}

// Decode decodes a cursor that Encode returned for the same list, and stores its
// position in pos. For any other cursor it returns an *apperr.Error about the field
// cursor.
func (c Cursors) Decode(list, cursor string, pos any) error {
	if err := c.decode(list, cursor, pos); err != nil {
		return apperr.InvalidFields(apperr.Field{Field: "cursor", Code: "invalid", Message: "must be the nextCursor of a page of this list with the same filters and sort"}).WithCause(err)
	}
	return nil
}

func (c Cursors) decode(list, cursor string, pos any) error {
	if len(cursor) > maxCursor {
		return errCursor
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < macLength {
		return errCursor
	}
	if text := raw[macLength:]; hmac.Equal(c.sum(list, text), raw[:macLength]) {
		return json.Unmarshal(text, pos)
	}
	return errCursor
}

// sum returns the truncated HMAC over the JSON of a position and its list.
func (c Cursors) sum(list string, text []byte) []byte {
	return mac(c.key, []byte(list), []byte{0}, text)[:macLength]
}
