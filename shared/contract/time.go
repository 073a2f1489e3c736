// Package contract contains the types that the messages of all apps share. Each app's
// operations, messages and facts are in the subpackage named after the app.
package contract

import (
	"encoding/json"
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

// UnmarshalJSON accepts the times that ParseTime accepts, and truncates them to
// milliseconds.
func (t *Time) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	parsed, err := ParseTime(text)
	if err != nil {
		return err
	}
	*t = At(parsed)
	return nil
}

// JSONForm implements strictjson.Described.
func (Time) JSONForm() string { return "an RFC 3339 time, for example 2026-03-01T12:00:00Z" }
