package booking

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/idempotency"
)

// KeyedID returns the id of the booking that a user creates with an idempotency
// key.
func KeyedID(userID, key string) string { return idempotency.ID(userID, key) }

// fingerprint returns a hash of the fields that distinguish one request from another.
// Two requests for the same booking id are duplicates if their fingerprints are equal.
func fingerprint(req bookingapi.CreateRequest) string {
	return idempotency.Fingerprint(req.UserID + "\n" + req.EventID + "\n" + strconv.FormatInt(req.Quantity, 10))
}

// publicCode returns the eight-character code of a booking. The alphabet is
// Crockford's base 32, which omits I, L, O and U, so that the code can be read aloud.
func publicCode(id string) string {
	sum := sha256.Sum256([]byte("code\n" + id))
	s := base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").EncodeToString(sum[:5])
	return s[:4] + "-" + s[4:]
}

// holdID returns the id of a hold: <booking>_<number>_<fingerprint>.
func holdID(bookingID string, number int64, fingerprint string) string {
	return bookingID + "_" + strconv.FormatInt(number, 10) + "_" + fingerprint
}

// parseHoldID returns the booking id and the hold number in a hold id.
func parseHoldID(s string) (bookingID string, number int64, err error) {
	rest, _, ok := cutLast(s)
	if ok {
		var digits string
		if bookingID, digits, ok = cutLast(rest); ok && bookingID != "" {
			if number, err = strconv.ParseInt(digits, 10, 64); err == nil && number > 0 {
				return bookingID, number, nil
			}
		}
	}
	return "", 0, fmt.Errorf("%q is not a hold id", s)
}

// cutLast slices s around its last underscore.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '_')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
