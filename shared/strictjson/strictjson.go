// Package strictjson decodes JSON that comes from elsewhere: names must match
// exactly and once, nothing unknown and nothing after the value is accepted, and
// null only where a type asks for it. What is wrong is told as fields.
package strictjson

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"boxoffice/shared/apperr"
)

// Nullable is implemented by types for which null means something. For all
// others null is refused: it would be taken for an absent field.
type Nullable interface{ AcceptsNull() }

var errNull = errors.New("null")

// Decode reads the one JSON value that is data into v. The error is an
// *apperr.Error of code Invalid; its Fields name the part that is wrong, unless
// data is no JSON at all.
func Decode(data []byte, v any) error {
	err := json.Unmarshal(data, v, json.RejectUnknownMembers(true), json.WithUnmarshalers(refuseNull()))
	if err == nil {
		return nil
	}
	return invalid(err)
}

// Tolerant is Decode for answers: it passes over names that it does not know,
// so that the answering side may be newer.
func Tolerant(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return invalid(err)
	}
	return nil
}

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

func invalid(err error) *apperr.Error {
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		field := apperr.Field{Field: path(e.JSONPointer), Code: "invalid", Message: "does not have the right type"}
		switch {
		case errors.Is(err, json.ErrUnknownName):
			field.Code, field.Message = "unknown", "is not known"
		case errors.Is(err, errNull):
			field.Code, field.Message = "null", "must not be null"
		case errors.Is(err, jsontext.ErrDuplicateName):
			field.Code, field.Message = "duplicate", "stands there twice"
		}
		return wrong(field).WithCause(err)
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok && errors.Is(err, jsontext.ErrDuplicateName) {
		return wrong(apperr.Field{Field: path(e.JSONPointer), Code: "duplicate", Message: "stands there twice"}).WithCause(err)
	}
	return apperr.New(apperr.Invalid, "", "The body is not valid JSON.").WithCause(err)
}

func wrong(f apperr.Field) *apperr.Error {
	if f.Field == "" {
		return apperr.New(apperr.Invalid, "", "The body must be a JSON object.")
	}
	return apperr.InvalidFields(f)
}

// path turns a JSON Pointer into the dotted form of the API.
func path(p jsontext.Pointer) string {
	var parts []string
	for token := range p.Tokens() {
		parts = append(parts, token)
	}
	return strings.Join(parts, ".")
}
