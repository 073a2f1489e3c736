// Package contract holds what the messages of all apps have in common. What one
// app offers to the others stands in the package beneath it that bears its name.
package contract

import (
	"errors"
	"fmt"
	"time"
)

const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// Time is a time as it stands in every message: RFC 3339, UTC, milliseconds.
type Time struct{ time.Time }

// At returns t as it will be read back: in UTC, cut to milliseconds.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Millisecond)} }

// MarshalJSON writes three digits of the second, always.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format(timeLayout) + `"`), nil
}

// UnmarshalJSON accepts any RFC 3339 time whose year has four digits in UTC as
// well: any other could not be written again.
func (t *Time) UnmarshalJSON(data []byte) error {
	parsed, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(data))
	if err != nil {
		return fmt.Errorf("not a time of RFC 3339: %w", err)
	}
	at := At(parsed)
	if year := at.Year(); year < 0 || year > 9999 {
		return errors.New("not a time of RFC 3339 in UTC")
	}
	*t = at
	return nil
}
