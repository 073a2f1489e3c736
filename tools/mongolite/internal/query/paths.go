package query

// Paths to values in documents.

import (
	"slices"
	"strconv"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// parseIndex parses a part of a path as an array index.
func parseIndex(part string) (int, bool) {
	if part == "" || len(part) > 9 || part[0] < '0' || part[0] > '9' || (part[0] == '0' && len(part) > 1) {
		return 0, false
	}
	n, err := strconv.ParseUint(part, 10, 32)
	return int(n), err == nil
}

// get returns the value at path in v, or Missing. Within an array, the path must
// name an element by its index.
func get(v any, path []string) any {
	for _, part := range path {
		switch t := v.(type) {
		case bson.D:
			v = field(t, part)
		case bson.A:
			i, ok := parseIndex(part)
			if !ok || i >= len(t) {
				return bsonkit.Missing
			}
			v = t[i]
		default:
			return bsonkit.Missing
		}
	}
	return v
}

// put returns v with the value at path set to value. If value is Missing, put
// removes the value at path. It does not modify v. It returns PathNotViable if
// the path leads through a value that is neither a document nor an array.
func put(v any, path []string, value any) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	switch t := v.(type) {
	case bsonkit.MissingType:
		if value == bsonkit.Missing {
			return v, nil
		}
		return put(bson.D{}, path, value)
	case bson.D:
		child, err := put(field(t, path[0]), path[1:], value)
		if err != nil {
			return nil, err
		}
		return setField(t, path[0], child), nil
	case bson.A:
		return putElement(t, path, value)
	}
	if value == bsonkit.Missing {
		return v, nil
	}
	return nil, mongoerr.New(mongoerr.PathNotViable, "Cannot create field '%s' in an element of type %s", path[0], typeName(v))
}

// putElement implements put for an array. It sets an element to null instead of
// removing it, because the other elements must keep their indexes.
func putElement(arr bson.A, path []string, value any) (any, error) {
	i, ok := parseIndex(path[0])
	if value == bsonkit.Missing && (!ok || i >= len(arr)) {
		return arr, nil
	}
	if !ok {
		return nil, mongoerr.New(mongoerr.PathNotViable, "Cannot create field '%s' in an element of type array", path[0])
	}
	if i > len(arr)+maxPadding {
		return nil, mongoerr.New(mongoerr.BadValue, "can't backfill more than %d elements", maxPadding)
	}
	old := any(bsonkit.Missing)
	if i < len(arr) {
		old = arr[i]
	}
	child, err := put(old, path[1:], value)
	if err != nil {
		return nil, err
	}
	if child == bsonkit.Missing {
		child = nil
	}
	arr = slices.Clone(arr)
	for len(arr) <= i {
		arr = append(arr, nil)
	}
	arr[i] = child
	return arr, nil
}

// walk calls yield with each value in v that path selects for a filter or sort.
// It stops when yield returns true, and reports whether that happened.
//
// Within an array, walk descends into every element that is a document, and a
// numeric part of the path also selects the element with that index. If the
// path ends at an array and elements is set, walk yields the elements of the
// array and then the array itself. It yields Missing if a field does not exist, and
// nothing for an array in which the path selects no element.
func walk(v any, path []string, elements bool, yield func(any) bool) bool {
	arr, isArray := v.(bson.A)
	switch {
	case len(path) == 0:
		return elements && slices.ContainsFunc(arr, yield) || yield(v)
	case !isArray:
		doc, _ := v.(bson.D)
		return walk(field(doc, path[0]), path[1:], elements, yield)
	}
	at, isIndex := parseIndex(path[0])
	for i, e := range arr {
		if _, ok := e.(bson.D); ok && walk(e, path, elements, yield) {
			return true
		}
		if isIndex && i == at && walkElement(e, path[1:], elements, yield) {
			return true
		}
	}
	return false
}

// walkElement continues walk in an element that the path selects by its index.
// If the path ends there, walkElement yields only the element itself, even if
// the element is an array.
func walkElement(e any, rest []string, elements bool, yield func(any) bool) bool {
	if len(rest) == 0 {
		return yield(e)
	}
	switch e.(type) {
	case bson.D, bson.A:
		return walk(e, rest, elements, yield)
	}
	return false
}
