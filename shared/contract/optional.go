package contract

import (
	"encoding/json"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Optional is a field of a partial update, as in JSON Merge Patch (RFC 7396): an
// absent field stays unchanged, null clears it, and any other value sets it. The
// zero Optional is absent.
type Optional[T any] struct {
	Present bool // the field is in the request
	Null    bool // the field is null; implies Present
	Value   T    // the new value, if the field is present and not null
}

// Set returns an Optional that sets its field to v.
func Set[T any](v T) Optional[T] { return Optional[T]{Present: true, Value: v} }

// Clear returns an Optional that is null, and so clears its field.
func Clear[T any]() Optional[T] { return Optional[T]{Present: true, Null: true} }

// AcceptsNull marks the type for strictjson, which rejects null elsewhere.
func (*Optional[T]) AcceptsNull() {}

// IsZero reports whether the field is absent. Encoders omit an absent field that is
// tagged omitzero.
func (o Optional[T]) IsZero() bool { return !o.Present }

// MarshalJSON returns the value, or null if the field is null or absent.
func (o Optional[T]) MarshalJSON() ([]byte, error) {
	if o.Null || !o.Present {
		return []byte("null"), nil
	}
	return json.Marshal(o.Value)
}

// UnmarshalJSONFrom reads a value or null with the options of dec. The value is
// therefore decoded as strictly as the message that contains it.
func (o *Optional[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	*o = Optional[T]{Present: true}
	if dec.PeekKind() == 'n' {
		o.Null = true
		return dec.SkipValue()
	}
	return jsonv2.UnmarshalDecode(dec, &o.Value)
}
