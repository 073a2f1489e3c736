// Package page implements keyset pagination with opaque, signed cursors.
//
// A cursor contains the position of the last item of a page. It is signed with an HMAC
// (RFC 2104) over that position and the name of the list. A cursor that belongs to a
// list with other filters or another sort, or that a client made up or modified, is
// therefore refused.
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

// DefaultLimit is the maximum number of items in a page if the request sets no limit.
// MaxLimit is the largest limit that a request may set.
const (
	DefaultLimit = 20
	MaxLimit     = 100
)

const (
	macLength = 12   // bytes of the truncated HMAC
	maxCursor = 4096 // maximum length of a cursor in bytes
)

var errCursor = errors.New("not a cursor of this list")

// Limit returns the maximum number of items in a page for a request with the limit n. It
// returns DefaultLimit if n is 0. If n is out of range, it adds a problem to problems
// and returns n.
func Limit(n int, problems *validation.Problems) int {
	if n == 0 {
		return DefaultLimit
	}
	problems.Range("limit", int64(n), 1, MaxLimit)
	return n
}

// Cursors encodes and decodes cursors. All instances of an app must use the same secret,
// so that each accepts the others' cursors. The zero value signs with an empty key.
type Cursors struct{ key []byte }

// NewCursors returns Cursors that sign with a key derived from secret. Because the key
// is derived, the signature of a cursor is not valid anywhere else that secret is used.
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

// Encode returns a cursor for the position pos in list. It returns an error if pos
// cannot be encoded as JSON. list must name everything that determines the items and
// their order, such as filters and sort.
func (c Cursors) Encode(list string, pos any) (string, error) {
	text, err := json.Marshal(pos)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(c.sum(list, text), text...)), nil
}

// Decode decodes a cursor that Encode returned for the same list, and stores its
// position in the value that pos points to. For any other cursor it returns an
// *apperr.Error of code Invalid about the field cursor.
func (c Cursors) Decode(list, cursor string, pos any) error {
	if err := c.decode(list, cursor, pos); err != nil {
		return apperr.InvalidFields(apperr.Field{Field: "cursor", Code: "invalid", Message: "must be a nextCursor that was returned for this list with the same filters and sort"}).WithCause(err)
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

// sum returns the truncated HMAC over list and text, the JSON form of a position.
func (c Cursors) sum(list string, text []byte) []byte {
	return mac(c.key, []byte(list), []byte{0}, text)[:macLength]
}
