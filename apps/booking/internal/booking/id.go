package booking

import (
	"crypto/sha256"
	"encoding/base32"
	"strconv"

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
