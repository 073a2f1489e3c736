package query

// The query operators $regex and $jsonSchema:
// https://www.mongodb.com/docs/manual/reference/operator/query/regex/ and
// https://www.mongodb.com/docs/manual/reference/operator/query/jsonSchema/

import (
	"errors"
	"regexp"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// regexOperator compiles $regex with the $options beside it. The argument arg is
// a pattern or a BSON regular expression.
func regexOperator(path []string, ops bson.D, arg any) (*node, error) {
	options := ""
	if v := field(ops, "$options"); v != bsonkit.Missing {
		s, ok := v.(string)
		if !ok {
			return nil, mongoerr.New(mongoerr.BadValue, "$options has to be a string")
		}
		options = s
	}
	switch re := arg.(type) {
	case string:
		return regexNode(path, re, options)
	case primitive.Regex:
		if options != "" && re.Options != "" {
			return nil, mongoerr.New(51075, "options set in both $regex and $options")
		}
		return regexNode(path, re.Pattern, options+re.Options)
	}
	return nil, mongoerr.New(mongoerr.BadValue, "$regex has to be a string")
}

// regexNode returns a node that matches strings against a pattern. It also
// matches a BSON regular expression that equals the pattern and its options.
//
// Patterns use Go's RE2 syntax. regexNode returns an error for features that
// only MongoDB has: lookaround, back references and possessive quantifiers.
func regexNode(path []string, pattern, options string) (*node, error) {
	for _, o := range options {
		if !strings.ContainsRune("ims", o) {
			return nil, mongoerr.New(mongoerr.BadValue, "mongolite does not support the $regex option '%c'", o)
		}
	}
	source := pattern
	if options != "" {
		source = "(?" + options + ")" + pattern
	}
	re, err := regexp.Compile(source)
	if err != nil {
		return nil, mongoerr.New(mongoerr.BadValue, "mongolite does not support the $regex /%s/: %s", pattern, err)
	}
	return &node{op: "$regex", path: path, test: func(v any) (bool, error) {
		switch v := v.(type) {
		case string:
			return re.MatchString(v), nil
		case primitive.Regex:
			return v.Pattern == pattern && v.Options == options, nil
		}
		return false, nil
	}}, nil
}

// jsonSchema compiles $jsonSchema into a schema of bsonkit. It first checks every
// keyword, because bsonkit ignores the keywords that it does not support.
func jsonSchema(arg any) (*node, error) {
	d, ok := arg.(bson.D)
	if !ok {
		return nil, mongoerr.New(mongoerr.TypeMismatch, "$jsonSchema must be an object")
	}
	if err := checkSchema(d); err != nil {
		return nil, err
	}
	return &node{op: "$jsonSchema", test: func(doc any) (bool, error) {
		// A schema has an unsynchronized cache, so each match uses a new one.
		err := bsonkit.NewSchema(d).Evaluate(doc)
		if err != nil && !errors.Is(err, bsonkit.ErrValidationFailed) {
			return false, mongoerr.New(mongoerr.BadValue, "$jsonSchema: %s", err)
		}
		return err == nil, nil
	}}, nil
}

// checkSchema returns an error if d contains an unsupported keyword.
func checkSchema(d bson.D) error {
	for _, e := range d {
		var nested []any
		switch e.Key {
		case "type", "bsonType", "enum", "required", "title", "description", "multipleOf", "minimum", "maximum",
			"exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern", "minItems", "maxItems",
			"uniqueItems", "minProperties", "maxProperties":
		case "not", "additionalProperties", "additionalItems":
			nested = append(nested, e.Value)
		case "allOf", "anyOf", "oneOf":
			arr, _ := e.Value.(bson.A)
			nested = append(nested, arr...)
		case "items":
			if arr, ok := e.Value.(bson.A); ok {
				nested = append(nested, arr...)
			} else {
				nested = append(nested, e.Value)
			}
		case "properties", "patternProperties", "dependencies":
			sub, _ := e.Value.(bson.D)
			for _, p := range sub {
				nested = append(nested, p.Value)
			}
		default:
			return mongoerr.New(mongoerr.FailedToParse, "mongolite does not support the $jsonSchema keyword: %s", e.Key)
		}
		for _, n := range nested {
			if s, ok := n.(bson.D); ok {
				if err := checkSchema(s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
