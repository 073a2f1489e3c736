package contract

import (
	"bytes"
	"encoding/json"
)

// Optional is a field of a change: absent, it stays as it is; null, it is
// cleared; else it is set.
type Optional[T any] struct {
	Present bool
	Null    bool
	Value   T
}

// Set returns the field that sets v.
func Set[T any](v T) Optional[T] { return Optional[T]{Present: true, Value: v} }

// Clear returns the field that is null.
func Clear[T any]() Optional[T] { return Optional[T]{Present: true, Null: true} }

// AcceptsNull lets strictjson pass null.
func (*Optional[T]) AcceptsNull() {}

// IsZero leaves an absent field out of what is written with omitzero.
func (o Optional[T]) IsZero() bool { return !o.Present }

// MarshalJSON writes null or the value.
func (o Optional[T]) MarshalJSON() ([]byte, error) {
	if o.Null || !o.Present {
		return []byte("null"), nil
	}
	return json.Marshal(o.Value)
}

// UnmarshalJSON reads null or a value.
func (o *Optional[T]) UnmarshalJSON(data []byte) error {
	*o = Optional[T]{Present: true}
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		o.Null = true
		return nil
	}
	return json.Unmarshal(data, &o.Value)
}
