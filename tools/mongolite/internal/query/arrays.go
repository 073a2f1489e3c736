package query

// Expression operators on arrays and objects:
// https://www.mongodb.com/docs/manual/reference/operator/aggregation-array/ and
// https://www.mongodb.com/docs/manual/reference/operator/aggregation-object/

import (
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// arrayFunction returns the function with the given name if it operates on
// arrays or objects.
func arrayFunction(name string) (function, bool) {
	switch name {
	case "$size":
		return function{1, 1, exprSize, true}, true
	case "$isArray":
		return function{1, 1, func(_ string, a []any) (any, error) { _, ok := a[0].(bson.A); return ok, nil }, true}, true
	case "$in":
		return function{2, 2, exprIn, true}, true
	case "$arrayElemAt":
		return function{2, 2, exprElemAt, false}, true
	case "$first":
		return function{1, 1, func(n string, a []any) (any, error) { return exprElemAt(n, []any{a[0], int32(0)}) }, false}, true
	case "$last":
		return function{1, 1, func(n string, a []any) (any, error) { return exprElemAt(n, []any{a[0], int32(-1)}) }, false}, true
	case "$slice":
		return function{2, 3, exprSlice, false}, true
	case "$concatArrays":
		return function{0, unlimited, exprConcatArrays, false}, true
	case "$mergeObjects":
		return function{0, unlimited, exprAccumulate, true}, true
	case "$objectToArray":
		return function{1, 1, exprObjectToArray, false}, true
	case "$arrayToObject":
		return function{1, 1, exprArrayToObject, false}, true
	}
	return function{}, false
}

func exprSize(name string, a []any) (any, error) {
	arr, ok := a[0].(bson.A)
	if !ok {
		return nil, mongoerr.New(17124, "The argument to $size must be an array, but was of type: %s", typeName(a[0]))
	}
	return int32(len(arr)), nil // #nosec G115 -- a document's array
}

func exprIn(name string, a []any) (any, error) {
	arr, ok := a[1].(bson.A)
	if !ok {
		return nil, mongoerr.New(40081, "$in requires an array as a second argument, found: %s", typeName(a[1]))
	}
	return slices.ContainsFunc(arr, func(e any) bool { return compare(e, a[0]) == 0 }), nil
}

func exprElemAt(name string, a []any) (any, error) {
	arr, ok := a[0].(bson.A)
	if !ok {
		return nil, mongoerr.New(28689, "%s's argument must be an array, but is %s", name, typeName(a[0]))
	}
	i, ok := wholeNumber(a[1])
	if !ok {
		return nil, mongoerr.New(28690, "%s's second argument must be an integer, but is %s", name, typeName(a[1]))
	}
	n := int64(len(arr))
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return bsonkit.Missing, nil
	}
	return arr[i], nil
}

func exprSlice(name string, a []any) (any, error) {
	arr, ok := a[0].(bson.A)
	if !ok {
		return nil, mongoerr.New(28724, "First argument to $slice must be an array, but is of type: %s", typeName(a[0]))
	}
	nums := make([]int64, len(a)-1)
	for i, v := range a[1:] {
		if nums[i], ok = wholeNumber(v); !ok {
			return nil, mongoerr.New(28725, "The arguments to $slice must be integers, but one is of type: %s", typeName(v))
		}
	}
	if len(nums) == 1 {
		return sliceOf(arr, nil, nums[0]), nil
	}
	if nums[1] <= 0 {
		return nil, mongoerr.New(28729, "Third argument to $slice must be positive: %d", nums[1])
	}
	return sliceOf(arr, &nums[0], nums[1]), nil
}

// sliceOf returns up to count elements of arr, starting at position. A negative
// position counts from the end. If position is nil, sliceOf returns the first
// count elements or, if count is negative, the last -count elements.
func sliceOf(arr bson.A, position *int64, count int64) bson.A {
	n := int64(len(arr))
	var start int64
	switch {
	case position == nil && count < 0:
		start, count = max(n+max(count, -n), 0), n
	case position != nil && *position < 0:
		start = n + max(*position, -n)
	case position != nil:
		start = min(*position, n)
	}
	return slices.Clone(arr[start : start+min(count, n-start)])
}

func exprConcatArrays(name string, args []any) (any, error) {
	out := bson.A{}
	for _, v := range args {
		arr, ok := v.(bson.A)
		if !ok {
			return nil, mongoerr.New(28664, "$concatArrays only supports arrays, not %s", typeName(v))
		}
		out = append(out, arr...)
	}
	return out, nil
}

func exprObjectToArray(name string, a []any) (any, error) {
	d, ok := a[0].(bson.D)
	if !ok {
		return nil, mongoerr.New(40390, "$objectToArray requires a document input, found: %s", typeName(a[0]))
	}
	out := make(bson.A, len(d))
	for i, e := range d {
		out[i] = bson.D{{Key: "k", Value: e.Key}, {Key: "v", Value: e.Value}}
	}
	return out, nil
}

func exprArrayToObject(name string, a []any) (any, error) {
	arr, ok := a[0].(bson.A)
	if !ok {
		return nil, mongoerr.New(40386, "$arrayToObject requires an array input, found: %s", typeName(a[0]))
	}
	out := bson.D{}
	for _, item := range arr {
		var k, v any
		switch item := item.(type) {
		case bson.A:
			if len(item) == 2 {
				k, v = item[0], item[1]
			}
		case bson.D:
			if len(item) == 2 {
				k, v = field(item, "k"), field(item, "v")
			}
		}
		s, ok := k.(string)
		if !ok || strings.Contains(s, "\x00") || v == bsonkit.Missing {
			return nil, mongoerr.New(40392, "$arrayToObject requires elements [string, value] or {k: string, v: value}, found: %s", typeName(item))
		}
		out = setField(out, s, v)
	}
	return out, nil
}
