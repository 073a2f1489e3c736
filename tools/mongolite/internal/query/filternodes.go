package query

// Nodes of filters that test values:
// https://www.mongodb.com/docs/manual/reference/operator/query-comparison/ and
// https://www.mongodb.com/docs/manual/reference/operator/query-element/

import (
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/256dpi/lungo/mongokit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

func not(n *node) *node { return &node{op: "$nor", children: []*node{n}} }

func equalNode(path []string, arg any) *node {
	return &node{op: "$eq", path: path, arg: arg, test: func(v any) (bool, error) {
		return satisfies(v, "$eq", arg), nil
	}}
}

func comparison(path []string, op string, arg any) (*node, error) {
	if op == "$eq" {
		return equalNode(path, arg), nil
	}
	if _, ok := arg.(primitive.Regex); ok {
		return nil, mongoerr.New(mongoerr.BadValue, "Can't have RegEx as arg to predicate over field '%s'.", strings.Join(path, "."))
	}
	return &node{op: op, path: path, test: func(v any) (bool, error) {
		return satisfies(v, op, arg), nil
	}}, nil
}

// satisfies reports whether v satisfies {op: arg} for a comparison operator.
// Values of different type classes never do. Missing counts as null. NaN equals
// itself but is neither less nor greater than any number.
func satisfies(v any, op string, arg any) bool {
	a, _ := bsonkit.Inspect(v)
	b, _ := bsonkit.Inspect(arg)
	if a != b {
		return false
	}
	c := bsonkit.Compare(v, arg)
	if a == bsonkit.Number && isNaN(v) != isNaN(arg) {
		return false
	}
	switch op {
	case "$gt":
		return c > 0
	case "$gte":
		return c >= 0
	case "$lt":
		return c < 0
	case "$lte":
		return c <= 0
	}
	return c == 0
}

func isNaN(v any) bool {
	f, ok := v.(float64)
	return ok && math.IsNaN(f)
}

// membership compiles $in and $nin.
func membership(path []string, op string, arg any) (*node, error) {
	list, ok := arg.(bson.A)
	if !ok {
		return nil, mongoerr.New(mongoerr.BadValue, "%s needs an array", op)
	}
	var tests []func(any) (bool, error)
	for _, item := range list {
		test := equalNode(path, item).test
		if d, ok := item.(bson.D); ok && isOperators(d) {
			return nil, mongoerr.New(mongoerr.BadValue, "cannot nest $ under %s", op)
		}
		if re, ok := item.(primitive.Regex); ok {
			n, err := regexNode(path, re.Pattern, re.Options)
			if err != nil {
				return nil, err
			}
			test = n.test
		}
		tests = append(tests, test)
	}
	n := &node{op: "$in", path: path, test: func(v any) (bool, error) {
		return slices.ContainsFunc(tests, func(test func(any) (bool, error)) bool {
			ok, _ := test(v) // comparisons do not fail
			return ok
		}), nil
	}}
	switch {
	case op == "$nin":
		return not(n), nil
	case len(list) == 1:
		if _, ok := list[0].(primitive.Regex); !ok {
			return equalNode(path, list[0]), nil // as in MongoDB, an upsert sets the field to this value
		}
	}
	return n, nil
}

// typeNode compiles $type. The $type of mongokit cannot be used, because it
// treats a missing field as null.
func typeNode(path []string, arg any) (*node, error) {
	list, ok := arg.(bson.A)
	if !ok {
		list = bson.A{arg}
	}
	if len(list) == 0 {
		return nil, mongoerr.New(mongoerr.FailedToParse, "$type must match at least one type")
	}
	var want []string
	for _, item := range list {
		alias, err := typeAlias(item)
		if err != nil {
			return nil, err
		}
		want = append(want, alias)
	}
	return &node{op: "$type", path: path, test: func(v any) (bool, error) {
		return slices.Contains(want, typeName(v)) || isNumber(v) && slices.Contains(want, "number"), nil
	}}, nil
}

// typeAlias returns the alias of a type that $type names by alias or number.
func typeAlias(v any) (string, error) {
	if s, ok := v.(string); ok {
		if _, known := bsonkit.Alias2Type[s]; known || s == "number" {
			return s, nil
		}
		return "", mongoerr.New(mongoerr.BadValue, "Unknown type name alias: %s", s)
	}
	if !isNumber(v) {
		return "", mongoerr.New(mongoerr.TypeMismatch, "type must be represented as a number or a string")
	}
	n, ok := wholeNumber(v)
	if n == -1 {
		n = 0xFF // minKey
	}
	if t, known := bsonkit.Number2Type[byte(n)]; ok && known && n >= 0 && n <= 0xFF {
		return bsonkit.Type2Alias[t], nil
	}
	return "", mongoerr.New(mongoerr.BadValue, "Invalid numerical type code: %s", numberText(v))
}

func sizeNode(path []string, arg any) (*node, error) {
	n, ok := wholeNumber(arg)
	if !ok {
		return nil, mongoerr.New(mongoerr.FailedToParse, "Failed to parse $size. Expected an integer")
	}
	if n < 0 {
		return nil, mongoerr.New(mongoerr.BadValue, "Failed to parse $size. Expected a non-negative number in: $size: %d", n)
	}
	return &node{op: "$size", path: path, wholeArray: true, test: func(v any) (bool, error) {
		arr, ok := v.(bson.A)
		return ok && int64(len(arr)) == n, nil
	}}, nil
}

// mongokitNode returns a node that applies an operator of mongokit to each
// value. The node never matches an array or a missing field.
func mongokitNode(path []string, op string, arg any) (*node, error) {
	run := func(v any) error {
		return mongokit.ExpressionQueryOperators[op](mongokit.Context{}, &bson.D{{Key: "v", Value: v}}, op, "v", arg)
	}
	// The operator validates its argument before it looks at the value.
	if err := run(nil); err != nil && !errors.Is(err, mongokit.ErrNotMatched) {
		return nil, mongoerr.New(mongoerr.BadValue, "malformed %s", err)
	}
	return &node{op: op, path: path, test: func(v any) (bool, error) {
		if _, ok := v.(bson.A); ok || v == bsonkit.Missing {
			return false, nil
		}
		return run(v) == nil, nil
	}}, nil
}
