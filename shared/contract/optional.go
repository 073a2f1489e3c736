package contract

import (
	"encoding/json"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
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

// UnmarshalJSONFrom reads null or a value, as strictly as what it stands in.
func (o *Optional[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	*o = Optional[T]{Present: true}
	if dec.PeekKind() == 'n' {
		o.Null = true
		return dec.SkipValue()
	}
	return jsonv2.UnmarshalDecode(dec, &o.Value)
}
