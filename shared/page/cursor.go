// Package page makes the opaque cursors of lists. A cursor says where a page
// ended and of which list: under another sort or filter, or made or changed by
// hand, it is none.
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

// Bounds of a page.
const (
	DefaultLimit = 20
	MaxLimit     = 100

	sumLength = 12
	maxCursor = 4096
)

var errCursor = errors.New("not a cursor of this list")

// Limit returns how many entries a page has that was asked for with n, which is
// 0 for the default, and notes what is wrong with n.
func Limit(n int, wrong *validation.Problems) int {
	if n == 0 {
		return DefaultLimit
	}
	wrong.Range("limit", int64(n), 1, MaxLimit)
	return n
}

// Cursors makes and reads cursors. Instances of an app have the same, so that a
// page of one is continued by another. The zero value signs with an empty key.
type Cursors struct{ key []byte }

// NewCursors returns the cursors of whoever knows the secret. The key is derived
// from it, so that nothing signed here means anything elsewhere.
func NewCursors(secret string) Cursors {
	return Cursors{key: mac([]byte(secret), []byte("page cursors"))}
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

// Encode returns the cursor of the position pos, which must be JSON's, in a
// list. The list is named by all that decides what is in it and in which order.
func (c Cursors) Encode(list string, pos any) (string, error) {
	text, err := json.Marshal(pos)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(c.sum(list, text), text...)), nil
}

// Decode reads the position of a cursor of that list. The error is an
// *apperr.Error about the field cursor.
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
	if err != nil || len(raw) < sumLength {
		return errCursor
	}
	if text := raw[sumLength:]; hmac.Equal(c.sum(list, text), raw[:sumLength]) {
		return json.Unmarshal(text, pos)
	}
	return errCursor
}

// sum binds a position to its list, and both to the key.
func (c Cursors) sum(list string, text []byte) []byte {
	return mac(c.key, []byte(list), []byte{0}, text)[:sumLength]
}
