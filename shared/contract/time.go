// Package contract contains the types that the messages of all apps share. Each app's
// operations, messages and facts are in the subpackage named after the app.
package contract

import (
	"errors"
	"fmt"
	"time"
)

const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// Time is a time in a message. It is encoded as RFC 3339 in UTC with exactly three
// fractional digits.
type Time struct{ time.Time }

// At returns t in UTC, truncated to milliseconds. The result survives encoding and
// decoding unchanged.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Millisecond)} }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format(timeLayout) + `"`), nil
}

// UnmarshalJSON accepts any RFC 3339 time and truncates it to milliseconds. It
// rejects a time whose year in UTC is not between 0 and 9999, because RFC 3339
// cannot represent it.
func (t *Time) UnmarshalJSON(data []byte) error {
	parsed, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(data))
	if err != nil {
		return fmt.Errorf("must be an RFC 3339 time: %w", err)
	}
	at := At(parsed)
	if year := at.Year(); year < 0 || year > 9999 {
		return errors.New("must be an RFC 3339 time with a year from 0000 to 9999 in UTC")
	}
	*t = at
	return nil
}

// JSONForm implements strictjson.Described.
func (Time) JSONForm() string { return "an RFC 3339 time, for example 2026-03-01T12:00:00Z" }
