package query

// Compilation of filters: https://www.mongodb.com/docs/manual/reference/operator/query/

import (
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// filterCompiler compiles a filter, or the part of one inside an operator.
type filterCompiler struct {
	vars *Vars
	// inElement is set inside $elemMatch and $pull, where $expr and $jsonSchema
	// are not allowed.
	inElement bool
}

// document compiles a document of field conditions and top-level operators. The
// node matches if all of them match.
func (c *filterCompiler) document(f bson.D) (*node, error) {
	all := &node{op: "$and"}
	for _, e := range f {
		compile := c.fieldCondition
		if strings.HasPrefix(e.Key, "$") {
			compile = c.topLevel
		}
		n, err := compile(e.Key, e.Value)
		if err != nil {
			return nil, err
		}
		if n != nil {
			all.children = append(all.children, n)
		}
	}
	if len(all.children) == 1 {
		return all.children[0], nil
	}
	return all, nil
}

// topLevel compiles an operator that appears in place of a field name. It
// returns a nil node for $comment.
func (c *filterCompiler) topLevel(op string, arg any) (*node, error) {
	switch op {
	case "$comment":
		return nil, nil
	case "$and", "$or", "$nor":
		return c.combination(op, arg)
	case "$where", "$text", "$alwaysTrue", "$alwaysFalse", "$sampleRate":
		return nil, mongoerr.Unsupported("the query operator %s", op)
	case "$expr", "$jsonSchema":
		if c.inElement {
			return nil, mongoerr.New(mongoerr.BadValue, "%s can only be applied to the top-level document", op)
		}
		if op == "$jsonSchema" {
			return jsonSchema(arg)
		}
		ex, err := compileExpr(arg, c.vars)
		if err != nil {
			return nil, err
		}
		return &node{op: op, test: func(doc any) (bool, error) {
			v, err := ex(newScope(doc))
			return truthy(v), err
		}}, nil
	}
	return nil, mongoerr.New(mongoerr.BadValue, "unknown top level operator: %s. If you have a field name that starts with a '$' symbol, consider using $getField or $setField.", op)
}

// combination compiles $and, $or and $nor.
func (c *filterCompiler) combination(op string, arg any) (*node, error) {
	list, _ := arg.(bson.A)
	if len(list) == 0 {
		return nil, mongoerr.New(mongoerr.BadValue, "%s must be a nonempty array", op)
	}
	n := &node{op: op}
	for _, item := range list {
		f, ok := item.(bson.D)
		if !ok {
			return nil, mongoerr.New(mongoerr.BadValue, "$or/$and/$nor entries need to be full objects")
		}
		child, err := c.document(f)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, child)
	}
	return n, nil
}

// fieldCondition compiles {path: value} and {path: {$op: argument, ...}}.
func (c *filterCompiler) fieldCondition(name string, arg any) (*node, error) {
	path := strings.Split(name, ".")
	switch arg := arg.(type) {
	case primitive.Regex:
		return regexNode(path, arg.Pattern, arg.Options)
	case bson.D:
		if isOperators(arg) {
			return c.operators(path, arg)
		}
	}
	return equalNode(path, arg), nil
}

// isOperators reports whether d is a document of operators, such as {$gt: 1}.
// Otherwise d is a value to compare with. A DBRef is such a value, although its
// field names begin with '$'.
func isOperators(d bson.D) bool {
	return len(d) > 0 && strings.HasPrefix(d[0].Key, "$") && !slices.Contains([]string{"$ref", "$id", "$db"}, d[0].Key)
}

// operators compiles the operators on a path. The node matches if all of them
// match.
func (c *filterCompiler) operators(path []string, ops bson.D) (*node, error) {
	all := &node{op: "$and"}
	for _, e := range ops {
		n, err := c.operator(path, ops, e.Key, e.Value)
		if err != nil {
			return nil, err
		}
		if n != nil {
			all.children = append(all.children, n)
		}
	}
	if len(all.children) == 1 {
		return all.children[0], nil
	}
	return all, nil
}

// operator compiles {op: arg}, one of the operators ops on a path. It returns a
// nil node for $comment and for $options, which regexOperator reads.
func (c *filterCompiler) operator(path []string, ops bson.D, op string, arg any) (*node, error) {
	switch op {
	case "$eq", "$gt", "$gte", "$lt", "$lte":
		return comparison(path, op, arg)
	case "$ne":
		if _, ok := arg.(primitive.Regex); ok {
			return nil, mongoerr.New(mongoerr.BadValue, "Can't have regex as arg to $ne.")
		}
		return not(equalNode(path, arg)), nil
	case "$in", "$nin":
		return membership(path, op, arg)
	case "$not":
		return c.negation(path, arg)
	case "$exists":
		n := &node{op: op, path: path, wholeArray: true, test: func(v any) (bool, error) { return v != bsonkit.Missing, nil }}
		if !truthy(arg) {
			return not(n), nil
		}
		return n, nil
	case "$type":
		return typeNode(path, arg)
	case "$size":
		return sizeNode(path, arg)
	case "$all":
		return c.all(path, arg)
	case "$elemMatch":
		return c.elemMatch(path, arg)
	case "$regex":
		return regexOperator(path, ops, arg)
	case "$options":
		if field(ops, "$regex") == bsonkit.Missing {
			return nil, mongoerr.New(mongoerr.BadValue, "$options needs a $regex")
		}
		return nil, nil // regexOperator reads the options
	case "$mod", "$bitsAllSet", "$bitsAllClear", "$bitsAnySet", "$bitsAnyClear":
		return mongokitNode(path, op, arg)
	case "$comment":
		return nil, nil
	case "$near", "$nearSphere", "$geoWithin", "$geoIntersects", "$within", "$geoNear", "$maxDistance", "$minDistance":
		return nil, mongoerr.Unsupported("the query operator %s", op)
	}
	return nil, mongoerr.New(mongoerr.BadValue, "unknown operator: %s", op)
}

// negation compiles $not.
func (c *filterCompiler) negation(path []string, arg any) (*node, error) {
	switch arg := arg.(type) {
	case primitive.Regex:
		n, err := regexNode(path, arg.Pattern, arg.Options)
		if err != nil {
			return nil, err
		}
		return not(n), nil
	case bson.D:
		if len(arg) == 0 {
			return nil, mongoerr.New(mongoerr.BadValue, "$not cannot be empty")
		}
		n, err := c.operators(path, arg)
		if err != nil {
			return nil, err
		}
		return not(n), nil
	}
	return nil, mongoerr.New(mongoerr.BadValue, "$not needs a regex or a document")
}

// all compiles $all. Each item of the array is a value, a regex or an
// $elemMatch.
func (c *filterCompiler) all(path []string, arg any) (*node, error) {
	list, ok := arg.(bson.A)
	if !ok {
		return nil, mongoerr.New(mongoerr.BadValue, "$all needs an array")
	}
	if len(list) == 0 {
		return &node{op: "$or"}, nil // matches nothing
	}
	n := &node{op: "$and"}
	for _, item := range list {
		d, _ := item.(bson.D)
		if isOperators(d) && (len(d) != 1 || d[0].Key != "$elemMatch") {
			return nil, mongoerr.New(mongoerr.BadValue, "no $ expressions in $all")
		}
		child, err := c.fieldCondition(strings.Join(path, "."), item)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, child)
	}
	return n, nil
}

// elemMatch compiles $elemMatch.
func (c *filterCompiler) elemMatch(path []string, arg any) (*node, error) {
	f, ok := arg.(bson.D)
	if !ok {
		return nil, mongoerr.New(mongoerr.BadValue, "$elemMatch needs an Object")
	}
	match, err := c.element(f)
	if err != nil {
		return nil, err
	}
	return &node{op: "$elemMatch", path: path, wholeArray: true, test: func(v any) (bool, error) {
		arr, _ := v.(bson.A)
		for _, e := range arr {
			if ok, err := match(e); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	}}, nil
}

// element compiles the condition that $elemMatch or $pull places on one element
// of an array. It is either a document of operators on the element itself, or a
// filter that matches only elements that are documents.
func (c *filterCompiler) element(f bson.D) (func(any) (bool, error), error) {
	inner := &filterCompiler{vars: c.vars, inElement: true}
	if isOperators(f) && !slices.Contains([]string{"$and", "$or", "$nor", "$where", "$expr", "$jsonSchema"}, f[0].Key) {
		n, err := inner.operators([]string{""}, f)
		if err != nil {
			return nil, err
		}
		return n.matchElement, nil
	}
	n, err := inner.document(f)
	if err != nil {
		return nil, err
	}
	return func(e any) (bool, error) {
		if _, ok := e.(bson.D); ok {
			return n.match(e)
		}
		return false, nil
	}, nil
}
