package strictjson

import (
	"bytes"
	"errors"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"boxoffice/shared/apperr"
)

// maxFields limits the invalid fields that one error names.
const maxFields = 100

// collect decodes data, which was found to be invalid, into the value that v points to, and
// returns its invalid fields in the order of the document, at most maxFields. The value
// keeps the fields that are valid. collect returns nothing if data is not JSON.
//
// The decoder of package json stops at the first error. collect therefore decodes each
// member of an object by itself, as an object of one member. A message is only a few levels
// deep, and each level is scanned once more.
func collect(data []byte, v any) []apperr.Field {
	if !jsontext.Value(data).IsValid(jsontext.AllowDuplicateNames(true)) {
		return nil
	}
	reflect.ValueOf(v).Elem().SetZero()
	c := &collector{fields: new([]apperr.Field)}
	if err := json.Unmarshal(data, v, c.options()); err != nil {
		c.add(err)
	}
	return *c.fields
}

// collector decodes the values below one place in a document.
type collector struct {
	base   jsontext.Pointer // of the place
	fields *[]apperr.Field
	// object is the struct whose member is being decoded.
	object any
}

// options returns the options that make package json decode with c.
func (c *collector) options() json.Options {
	return json.JoinOptions(
		json.RejectUnknownMembers(true), jsontext.AllowDuplicateNames(true),
		json.WithUnmarshalers(json.UnmarshalFromFunc(c.unmarshal)),
	)
}

// unmarshal decodes the next value into the value that v points to. It returns an error
// only if it leaves the value to the default unmarshaler.
func (c *collector) unmarshal(dec *jsontext.Decoder, v any) error {
	if v == c.object { // a member of this object is decoded; see members
		return errors.ErrUnsupported
	}
	t := reflect.TypeOf(v).Elem()
	kind := dec.PeekKind()
	_, isNullable := v.(Nullable)
	switch {
	case kind == 'n' && !isNullable:
		return c.refuse(dec, t, errNull)
	case isNullable, t.Kind() == reflect.Pointer, t.Kind() == reflect.Interface:
		return errors.ErrUnsupported // its own value is decoded by another call
	}
	_, isCustom := v.(json.Unmarshaler)
	_, isCustomFrom := v.(json.UnmarshalerFrom)
	switch {
	case isCustom, isCustomFrom:
		return c.leaf(dec, v)
	case t.Kind() == reflect.Struct && kind == '{':
		return c.members(dec, v)
	case t.Kind() == reflect.Slice && kind == '[', t.Kind() == reflect.Map && kind == '{':
		return errors.ErrUnsupported
	}
	return c.leaf(dec, v)
}

// members decodes the members of the next value, an object, into the struct that v points
// to.
func (c *collector) members(dec *jsontext.Decoder, v any) error {
	text, err := dec.ReadValue()
	if err != nil {
		return err
	}
	object := text.Clone() // the next read invalidates text
	inner := &collector{base: c.base + dec.StackPointer(), fields: c.fields, object: v}
	seen := map[string]bool{} // whether the name was repeated, for each name
	members := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowDuplicateNames(true))
	if _, err := members.ReadToken(); err != nil {
		return err
	}
	for members.PeekKind() != '}' && len(*c.fields) < maxFields {
		name, err := members.ReadToken()
		if err != nil {
			return err
		}
		text := name.String()
		value, err := members.ReadValue()
		if err != nil {
			return err
		}
		if isRepeated, found := seen[text]; found {
			if !isRepeated {
				inner.add(&json.SemanticError{JSONPointer: jsontext.Pointer("").AppendToken(text), Err: jsontext.ErrDuplicateName})
			}
			seen[text] = true
			continue
		}
		seen[text] = false
		quoted, err := jsontext.AppendQuote([]byte("{"), text)
		if err != nil {
			return err
		}
		member := append(append(append(quoted, ':'), value...), '}')
		if err := json.Unmarshal(member, v, inner.options()); err != nil {
			inner.add(err)
		}
	}
	return nil
}

// leaf decodes the next value by itself.
func (c *collector) leaf(dec *jsontext.Decoder, v any) error {
	text, err := dec.ReadValue()
	if err != nil {
		return err
	}
	at := dec.StackPointer()
	if err := json.Unmarshal(text, v, json.RejectUnknownMembers(true), json.WithUnmarshalers(refuseNull())); err != nil {
		inner := &collector{base: c.base + at, fields: c.fields}
		reflect.ValueOf(v).Elem().SetZero()
		inner.add(err)
	}
	return nil
}

// add adds the field that err is about, if the list is not full.
func (c *collector) add(err error) {
	field, ok := fieldOf(err)
	if ok && len(*c.fields) < maxFields {
		field.Field = path(c.base + jsontext.Pointer(pointerOf(err)))
		*c.fields = append(*c.fields, field)
	}
}

// refuse skips the next value and adds it to the invalid fields.
func (c *collector) refuse(dec *jsontext.Decoder, t reflect.Type, cause error) error {
	if err := dec.SkipValue(); err != nil {
		return err
	}
	c.add(&json.SemanticError{JSONPointer: dec.StackPointer(), GoType: t, Err: cause})
	return nil
}
