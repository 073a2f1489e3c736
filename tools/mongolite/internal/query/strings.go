package query

// String functions:
// https://www.mongodb.com/docs/manual/reference/operator/aggregation-string/

import (
	"strings"
	"unicode/utf8"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

func exprConcat(name string, args []any) (any, error) {
	var b strings.Builder
	for _, v := range args {
		s, ok := v.(string)
		if !ok {
			return nil, mongoerr.New(16702, "$concat only supports strings, not %s", typeName(v))
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// toStringArg converts an argument of a string operator to a string. Null and
// Missing become the empty string.
func toStringArg(name string, v any) (string, error) {
	switch v := v.(type) {
	case nil, bsonkit.MissingType:
		return "", nil
	case string:
		return v, nil
	case int32, int64, float64, primitive.Decimal128:
		return numberText(v), nil
	case primitive.DateTime:
		return dateText(v), nil
	}
	return "", mongoerr.New(16007, "can't convert from BSON type %s to String in %s", typeName(v), name)
}

func dateText(d primitive.DateTime) string { return d.Time().UTC().Format("2006-01-02T15:04:05.000Z") }

// exprCase implements $toLower and $toUpper.
func exprCase(name string, a []any) (any, error) {
	s, err := toStringArg(name, a[0])
	if err != nil {
		return nil, err
	}
	from, to, diff := byte('A'), byte('Z'), byte('a'-'A')
	if name == "$toUpper" {
		from, to, diff = 'a', 'z', -diff
	}
	b := []byte(s) // as in MongoDB, only ASCII letters change their case
	for i, c := range b {
		if c >= from && c <= to {
			b[i] = c + diff
		}
	}
	return string(b), nil
}

// exprSubstr implements $substrCP, which counts in code points.
func exprSubstr(name string, a []any) (any, error) {
	s, err := toStringArg(name, a[0])
	if err != nil {
		return nil, err
	}
	start, ok1 := wholeNumber(a[1])
	count, ok2 := wholeNumber(a[2])
	if !ok1 || !ok2 || start < 0 || count < 0 {
		return nil, mongoerr.New(34455, "$substrCP: starting index and length must be non-negative integers")
	}
	runes := []rune(s)
	n := int64(len(runes))
	start = min(start, n)
	return string(runes[start : start+min(count, n-start)]), nil
}

func exprStrLen(name string, a []any) (any, error) {
	s, ok := a[0].(string)
	if !ok {
		return nil, mongoerr.New(34471, "$strLenCP requires a string argument, found: %s", typeName(a[0]))
	}
	return int32(utf8.RuneCountInString(s)), nil // #nosec G115 -- a document's string
}

func exprSplit(name string, a []any) (any, error) {
	s, ok1 := a[0].(string)
	sep, ok2 := a[1].(string)
	switch {
	case !ok1 || !ok2:
		return nil, mongoerr.New(40085, "$split requires strings, found: %s and %s", typeName(a[0]), typeName(a[1]))
	case sep == "":
		return nil, mongoerr.New(40087, "$split requires a non-empty separator")
	}
	out := bson.A{}
	for _, part := range strings.Split(s, sep) {
		out = append(out, part)
	}
	return out, nil
}
