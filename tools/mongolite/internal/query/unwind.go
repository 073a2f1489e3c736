package query

// Unwinding: https://www.mongodb.com/docs/manual/reference/operator/aggregation/unwind/

import (
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// unwound is a $unwind's specification.
type unwound struct {
	path  []string
	index []string // of the element, nil if not asked for
	empty bool     // keep documents without elements
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

func compileUnwind(spec any) (*unwound, error) {
	u := &unwound{}
	if _, short := spec.(string); short {
		spec = bson.D{{Key: "path", Value: spec}}
	}
	args, err := named("$unwind", spec, "path", "includeArrayIndex preserveNullAndEmptyArrays")
	if err != nil {
		return nil, err
	}
	path, ok := args["path"].(string)
	if !ok || !strings.HasPrefix(path, "$") {
		return nil, mongoerr.New(28818, "path option to $unwind stage should be prefixed with a '$': %v", args["path"])
	}
	if u.path, err = fieldPath(path[1:]); err != nil {
		return nil, err
	}
	if v, ok := args["preserveNullAndEmptyArrays"]; ok {
		if u.empty, ok = v.(bool); !ok {
			return nil, mongoerr.New(28809, "expected a boolean for the preserveNullAndEmptyArrays option to $unwind stage, got %s", typeName(v))
		}
	}
	if v, ok := args["includeArrayIndex"]; ok {
		name, _ := v.(string)
		if u.index, err = fieldPath(name); err != nil || u.index[0] == "" {
			return nil, mongoerr.New(28810, "expected a non-empty string without '$' for the includeArrayIndex option to $unwind stage")
		}
	}
	return u, nil
}

// apply returns a document for each element. A value that is no array counts as
// its own only element.
func (u *unwound) apply(doc bson.D) ([]bson.D, error) {
	v := getInDocs(doc, u.path)
	arr, isArray := v.(bson.A)
	switch {
	case isArray && len(arr) == 0, !isArray && nullish(v):
		if !u.empty {
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

func (u *unwound) element(doc bson.D, v, index any) (bson.D, error) {
	out, err := put(doc, u.path, v)
	if err == nil && u.index != nil {
		out, err = put(out, u.index, index)
	}
	if err != nil {
		return nil, err
	}
	return out.(bson.D), nil
}

// getInDocs returns the value at a path that leads through documents only.
func getInDocs(doc bson.D, path []string) any {
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
