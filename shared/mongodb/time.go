package mongodb

import "time"

// NullTime is how a time that may be unset is stored: nil for the zero time.
func NullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// ZeroTime is the reverse of NullTime, in UTC.
func ZeroTime(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
