package storage

import "github.com/256dpi/lungo/bsonkit"

// Edge is a position between two values of a column.
type Edge interface {
	// Append appends the key at which the edge divides the column's keys.
	Append(dst []byte, descending bool) ([]byte, error)
}

// Bound is the edge just before all values equal to Value or, if After is set,
// just after them.
type Bound struct {
	Value any
	After bool
}

// ClassBound is the edge before all values of a class, and so after all values
// of the preceding class.
type ClassBound bsonkit.Class

// Append implements Edge. It places an edge after a key by adding 0xFF to the
// key. No key of a following column begins with 0xFF, so the edge sorts after all
// keys with that prefix.
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
	if descending { // the edge lies after the inverted keys of the class
		first = ^first + 1
	}
	return append(dst, first), nil
}

// Span returns the range of keys that consist of prefix and of a column value
// between lo and hi.
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
