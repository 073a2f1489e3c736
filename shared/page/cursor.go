// Package page makes the opaque cursors of lists. A cursor says where a page
// ended and of which list: under another sort or filter, or changed by hand, it
// is none.
package page

import (
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
	wrong.Within("limit", int64(n), 1, MaxLimit)
	return n
}

// Encode returns the cursor of the position pos, which must be JSON's, in a
// list. The list is named by all that decides what is in it and in which order.
func Encode(list string, pos any) (string, error) {
	text, err := json.Marshal(pos)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(sum(list, text), text...)), nil
}

// Decode reads the position of a cursor of that list. The error is an
// *apperr.Error about the field cursor.
func Decode(list, cursor string, pos any) error {
	if err := decode(list, cursor, pos); err != nil {
		return apperr.InvalidFields(apperr.Field{Field: "cursor", Code: "invalid", Message: "is no cursor of this list"}).Because(err)
	}
	return nil
}

func decode(list, cursor string, pos any) error {
	if len(cursor) > maxCursor {
		return errCursor
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < sumLength {
		return errCursor
	}
	if text := raw[sumLength:]; string(sum(list, text)) == string(raw[:sumLength]) {
		return json.Unmarshal(text, pos)
	}
	return errCursor
}

// sum binds a position to its list. It is no signature: who forges one only
// chooses where the own list goes on.
func sum(list string, text []byte) []byte {
	h := sha256.New()
	h.Write([]byte(list))
	h.Write([]byte{0})
	h.Write(text)
	return h.Sum(nil)[:sumLength]
}
