package storage

import "github.com/256dpi/lungo/bsonkit"

// Edge is a place between the values of a column.
type Edge interface {
	// Append appends the bytes that divide the column's keys at the edge.
	Append(dst []byte, descending bool) ([]byte, error)
}

// Bound is the place just before Value and all that equal it, or just after.
type Bound struct {
	Value any
	After bool
}

// ClassBound is the place before all values of a class and so after those of
// the class before it.
type ClassBound bsonkit.Class

// Append implements Edge. Keys of columns that follow begin with a byte other
// than 0xFF, so a key with 0xFF behind it comes after all that begin with it.
func (b Bound) Append(dst []byte, descending bool) ([]byte, error) {
	dst, err := appendColumn(dst, b.Value, descending)
	if err == nil && b.After != descending {
		dst = append(dst, 0xFF)
	}
	return dst, err
}

// Append implements Edge.
func (c ClassBound) Append(dst []byte, descending bool) ([]byte, error) {
	first := classBase + byte(c)
	if descending { // behind the inverted keys of the class
		first = ^first + 1
	}
	return append(dst, first), nil
}

// Span returns the range of the keys that begin with prefix and go on with a
// column between lo and hi.
func Span(prefix []byte, lo, hi Edge, descending bool) (r Range, err error) {
	if descending {
		lo, hi = hi, lo
	}
	if r.Lo, err = lo.Append(append([]byte(nil), prefix...), descending); err != nil {
		return r, err
	}
	r.Hi, err = hi.Append(append([]byte(nil), prefix...), descending)
	return r, err
}
