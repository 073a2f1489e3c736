package query

// The query operator $jsonSchema: https://www.mongodb.com/docs/manual/reference/operator/query/jsonSchema/

import (
	"errors"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

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
		// A schema has an unsynchronized cache, so each match uses a new schema.
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
