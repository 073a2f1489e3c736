// Package strictjson decodes JSON from clients and other programs.
//
// [Decode] accepts exactly one value. It refuses:
//
//   - unknown names, including names that differ from a known one only in case
//   - repeated names, whose meaning RFC 8259, section 4, leaves open
//   - null, unless the type is [Nullable]
//   - data after the value
//
// Its errors name every invalid field and say what to send instead.
//
// [DecodeResponse] is less strict.
package strictjson

import (
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"boxoffice/shared/apperr"
)

// Nullable is implemented by types that distinguish null from an absent field.
// Decode refuses null for all other types.
type Nullable interface{ AcceptsNull() }

// Described is implemented by types that describe their JSON form in error messages.
type Described interface {
	// JSONForm returns a noun phrase that follows "must be", for example "an RFC 3339
	// time".
	JSONForm() string
}

var errNull = errors.New("null")

// Decode decodes data, which must be one JSON value, into the value that v points to.
// Its error is an *apperr.Error of code Invalid. Unless the body as a whole is wrong, the
// error's Fields name every invalid field, up to 100, and the value has the valid fields.
func Decode(data []byte, v any) error {
	err := json.Unmarshal(data, v, json.RejectUnknownMembers(true), json.WithUnmarshalers(refuseNull()))
	if err == nil {
		return nil
	}
	first := invalid(err)
	if len(first.Fields) > 0 {
		if all := collect(data, v); len(all) > 0 {
			first.Fields = all
		}
	}
	return first
}

// DecodeResponse decodes a response from another program. Unlike Decode, it ignores
// unknown names and accepts null, so that a program of a newer version may add fields.
func DecodeResponse(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return invalid(err)
	}
	return nil
}

// refuseNull returns an unmarshaler that returns errNull for null, unless the type is
// Nullable. It leaves every other value to the default unmarshaler.
func refuseNull() *json.Unmarshalers {
	return json.UnmarshalFromFunc(func(dec *jsontext.Decoder, v any) error {
		if dec.PeekKind() != 'n' {
			return errors.ErrUnsupported
		}
		if _, ok := v.(Nullable); ok {
			return errors.ErrUnsupported
		}
		return errNull
	})
}

// invalid turns an error of package json into an error for the client.
func invalid(err error) *apperr.Error {
	field, ok := fieldOf(err)
	switch {
	case ok && field.Field == "":
		return apperr.New(apperr.Invalid, "", "The body must be a JSON object.").WithCause(err)
	case ok:
		return apperr.InvalidFields(field).WithCause(err)
	}
	return apperr.New(apperr.Invalid, "", "The body must be one valid JSON object in UTF-8.").WithCause(err)
}

// fieldOf returns the field that an error of package json is about. ok is false if the
// error is about the syntax of the document.
func fieldOf(err error) (field apperr.Field, ok bool) {
	field.Field = path(pointerOf(err))
	e, ok := errors.AsType[*json.SemanticError](err)
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		field.Code, field.Message = "duplicate", "must appear only once"
		return field, true
	case !ok:
		return field, false
	case errors.Is(err, json.ErrUnknownName):
		field.Code, field.Message = "unknown", "is not a known field; remove it"
	case errors.Is(err, errNull):
		field.Code, field.Message = "null", "must not be null"
	default:
		field.Code, field.Message = "invalid", wrongType(e)
	}
	return field, true
}

// pointerOf returns the place in the document that an error of package json is about.
func pointerOf(err error) jsontext.Pointer {
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		return e.JSONPointer
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return e.JSONPointer
	}
	return ""
}

// wrongType returns the message for a field whose value has the wrong type. It says
// which values the field accepts.
func wrongType(e *json.SemanticError) string {
	for inner, ok := errors.AsType[*json.SemanticError](e.Err); ok; inner, ok = errors.AsType[*json.SemanticError](e.Err) {
		e = inner // a type with a custom decoder wraps the error of its value
	}
	t := e.GoType
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return "must be a value of the documented type"
	}
	if d, ok := reflect.New(t).Interface().(Described); ok {
		return "must be " + d.JSONForm()
	}
	switch t.Kind() {
	case reflect.String:
		return "must be a string"
	case reflect.Bool:
		return "must be true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if errors.Is(e, strconv.ErrRange) {
			return "must be an integer of at most " + strconv.Itoa(t.Bits()) + " bits"
		}
		return "must be an integer"
	case reflect.Slice, reflect.Array:
		return "must be an array"
	case reflect.Struct, reflect.Map:
		return "must be an object"
	default:
		return "must be a value of the documented type"
	}
}

// path turns a JSON Pointer (RFC 6901) into a dotted path.
func path(p jsontext.Pointer) string {
	var parts []string
	for token := range p.Tokens() {
		parts = append(parts, token)
	}
	return strings.Join(parts, ".")
}
