package query

// The stage $unwind: https://www.mongodb.com/docs/manual/reference/operator/aggregation/unwind/

import (
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// unwindSpec is a compiled $unwind.
type unwindSpec struct {
	path       []string
	indexField []string // the field that receives the index of the element, or nil
	keepsEmpty bool     // keeps documents without elements
}

func unwindStage(spec any) (func(Iterator) Iterator, error) {
	u, err := compileUnwind(spec)
	return func(in Iterator) Iterator {
		var pending []bson.D
		return &stream{close: in.Close, next: func() (bson.D, error) {
			for len(pending) == 0 {
				doc, err := in.Next()
				if err != nil {
					return nil, err
				}
				if pending, err = u.apply(doc); err != nil {
					return nil, err
				}
			}
			doc := pending[0]
			pending = pending[1:]
			return doc, nil
		}}
	}, err
}

func compileUnwind(spec any) (*unwindSpec, error) {
	u := &unwindSpec{}
	if _, short := spec.(string); short {
		spec = bson.D{{Key: "path", Value: spec}}
	}
	args, err := namedArgs("$unwind", spec, "path", "includeArrayIndex preserveNullAndEmptyArrays")
	if err != nil {
		return nil, err
	}
	path, ok := args["path"].(string)
	if !ok || !strings.HasPrefix(path, "$") {
		return nil, mongoerr.New(28818, "path option to $unwind stage should be prefixed with a '$': %v", args["path"])
	}
	if u.path, err = parseFieldPath(path[1:]); err != nil {
		return nil, err
	}
	if v, ok := args["preserveNullAndEmptyArrays"]; ok {
		if u.keepsEmpty, ok = v.(bool); !ok {
			return nil, mongoerr.New(28809, "expected a boolean for the preserveNullAndEmptyArrays option to $unwind stage, got %s", typeName(v))
		}
	}
	if v, ok := args["includeArrayIndex"]; ok {
		name, _ := v.(string)
		if u.indexField, err = parseFieldPath(name); err != nil || u.indexField[0] == "" {
			return nil, mongoerr.New(28810, "expected a non-empty string without '$' for the includeArrayIndex option to $unwind stage")
		}
	}
	return u, nil
}

// apply returns one document for each element of the array in doc. For a value
// that is not an array, it returns one document. For an empty array, null or a
// missing field, it returns none unless u.keepsEmpty is set.
func (u *unwindSpec) apply(doc bson.D) ([]bson.D, error) {
	v := getThroughDocs(doc, u.path)
	arr, isArray := v.(bson.A)
	switch {
	case isArray && len(arr) == 0, !isArray && nullish(v):
		if !u.keepsEmpty {
			return nil, nil
		}
		if isArray {
			v = bsonkit.Missing
		}
		out, err := u.element(doc, v, nil)
		return []bson.D{out}, err
	case !isArray:
		out, err := u.element(doc, v, nil)
		return []bson.D{out}, err
	}
	out := make([]bson.D, len(arr))
	for i, e := range arr {
		var err error
		if out[i], err = u.element(doc, e, int64(i)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// element returns doc with the element v in place of the array.
func (u *unwindSpec) element(doc bson.D, v, index any) (bson.D, error) {
	out, err := put(doc, u.path, v)
	if err == nil && u.indexField != nil {
		out, err = put(out, u.indexField, index)
	}
	if err != nil {
		return nil, err
	}
	return out.(bson.D), nil
}

// getThroughDocs returns the value at path in doc. It returns Missing if the path
// leads through anything but documents.
func getThroughDocs(doc bson.D, path []string) any {
	v := any(doc)
	for _, part := range path {
		d, ok := v.(bson.D)
		if !ok {
			return bsonkit.Missing
		}
		v = field(d, part)
	}
	return v
}
