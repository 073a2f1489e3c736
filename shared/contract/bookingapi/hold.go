package bookingapi

import (
	"fmt"
	"strconv"
	"strings"
)

// HoldID returns the id of a hold: <booking>_<number>_<fingerprint>. The fingerprint, which
// must not contain an underscore, identifies the request that the hold was made for.
func HoldID(bookingID string, number int64, fingerprint string) string {
	return bookingID + "_" + strconv.FormatInt(number, 10) + "_" + fingerprint
}

// ParseHoldID returns the booking id and the hold number in a hold id.
func ParseHoldID(s string) (bookingID string, number int64, err error) {
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
