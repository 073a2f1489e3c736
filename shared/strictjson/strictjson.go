// Package strictjson decodes JSON from clients and other programs.
//
// [Decode] accepts exactly one value. It refuses:
//
//   - unknown names, including names that differ from a known one only in case
//   - repeated names, whose meaning RFC 8259, section 4, leaves open
//   - null, unless the type is [Nullable]
//   - data after the value
//
// Its errors name the invalid field and say what to send instead.
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
// Its error is an *apperr.Error of code Invalid. Unless the body as a whole is wrong,
// the error's Fields name the first invalid field.
func Decode(data []byte, v any) error {
	err := json.Unmarshal(data, v, json.RejectUnknownMembers(true), json.WithUnmarshalers(refuseNull()))
	if err == nil {
		return nil
	}
	return invalid(err)
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
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		field := apperr.Field{Field: path(e.JSONPointer)}
		switch {
		case errors.Is(err, json.ErrUnknownName):
			field.Code, field.Message = "unknown", "is not a known field; remove it"
		case errors.Is(err, errNull):
			field.Code, field.Message = "null", "must not be null"
		case errors.Is(err, jsontext.ErrDuplicateName):
			field.Code, field.Message = "duplicate", "must appear only once"
		default:
			field.Code, field.Message = "invalid", wrongType(e)
		}
		return forField(field).WithCause(err)
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok && errors.Is(err, jsontext.ErrDuplicateName) {
		return forField(apperr.Field{Field: path(e.JSONPointer), Code: "duplicate", Message: "must appear only once"}).WithCause(err)
	}
	return apperr.New(apperr.Invalid, "", "The body must be one valid JSON object in UTF-8.").WithCause(err)
}

// forField returns the error for an invalid field. If f.Field is empty, the error is
// about the whole body.
func forField(f apperr.Field) *apperr.Error {
	if f.Field == "" {
		return apperr.New(apperr.Invalid, "", "The body must be a JSON object.")
	}
	return apperr.InvalidFields(f)
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
