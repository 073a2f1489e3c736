package mongodb

import "time"

// NullTime returns t in the form in which an optional time is stored: nil if t is the
// zero time.
func NullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// ZeroTime is the inverse of NullTime. It returns the zero time for nil, and otherwise
// the time in UTC.
func ZeroTime(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
