package query

// Special forms: expression operators that control which of their arguments are
// evaluated, or bind variables.
// https://www.mongodb.com/docs/manual/reference/operator/aggregation/

import (
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// specialForm returns the function that compiles the special form with the given
// name, or nil if there is none. An operator is a special form if it does not
// simply evaluate all of its arguments.
func specialForm(name string) func(*exprCompiler, string, any) (expr, error) {
	switch name {
	case "$literal", "$const":
		return func(_ *exprCompiler, _ string, arg any) (expr, error) { return constant(arg), nil }
	case "$and", "$or":
		return (*exprCompiler).compileLogical
	case "$cond":
		return (*exprCompiler).compileCond
	case "$ifNull":
		return (*exprCompiler).compileIfNull
	case "$switch":
		return (*exprCompiler).compileSwitch
	case "$let":
		return (*exprCompiler).compileLet
	case "$map":
		return (*exprCompiler).compileMap
	case "$filter":
		return (*exprCompiler).compileFilter
	case "$reduce":
		return (*exprCompiler).compileReduce
	case "$getField", "$setField", "$unsetField":
		return (*exprCompiler).compileFieldAccess
	}
	return nil
}

// compileLogical compiles $and and $or.
func (c *exprCompiler) compileLogical(name string, arg any) (expr, error) {
	list, err := c.compileAll(asList(arg))
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		for _, ex := range list {
			v, err := ex(s)
			if err != nil {
				return nil, err
			}
			if truthy(v) != (name == "$and") {
				return name == "$or", nil
			}
		}
		return name == "$and", nil
	}, nil
}

// asList returns the arguments of an operator as a list. If arg is not an array,
// it is the only argument.
func asList(arg any) bson.A {
	if list, ok := arg.(bson.A); ok {
		return list
	}
	return bson.A{arg}
}

func (c *exprCompiler) compileCond(name string, arg any) (expr, error) {
	list, ok := arg.(bson.A)
	if !ok {
		args, err := namedArgs(name, arg, "if then else", "")
		if err != nil {
			return nil, err
		}
		list = bson.A{args["if"], args["then"], args["else"]}
	}
	if len(list) != 3 {
		return nil, wrongCount(name, 3, 3, len(list))
	}
	parts, err := c.compileAll(list)
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		v, err := parts[0](s)
		switch {
		case err != nil:
			return nil, err
		case truthy(v):
			return parts[1](s)
		}
		return parts[2](s)
	}, nil
}

// namedArgs returns the arguments of an operator that takes a document of named
// arguments. The names in required and in optional are separated by spaces.
func namedArgs(op string, arg any, required, optional string) (map[string]any, error) {
	d, ok := arg.(bson.D)
	if !ok {
		return nil, mongoerr.New(mongoerr.FailedToParse, "%s only supports an object as its argument", op)
	}
	args := map[string]any{}
	known := append(strings.Fields(required), strings.Fields(optional)...)
	for _, e := range d {
		if !slices.Contains(known, e.Key) {
			return nil, mongoerr.New(mongoerr.FailedToParse, "Unrecognized parameter to %s: %s", op, e.Key)
		}
		args[e.Key] = e.Value
	}
	for _, key := range strings.Fields(required) {
		if _, ok := args[key]; !ok {
			return nil, mongoerr.New(mongoerr.FailedToParse, "Missing '%s' parameter to %s", key, op)
		}
	}
	return args, nil
}

func (c *exprCompiler) compileIfNull(name string, arg any) (expr, error) {
	list, err := c.compileAll(asList(arg))
	if err != nil {
		return nil, err
	}
	if len(list) < 2 {
		return nil, mongoerr.New(1257300, "$ifNull needs at least two arguments, had: %d", len(list))
	}
	return func(s *scope) (v any, err error) {
		for _, ex := range list {
			if v, err = ex(s); err != nil || !nullish(v) {
				break
			}
		}
		return v, err
	}, nil
}

func (c *exprCompiler) compileSwitch(name string, arg any) (expr, error) {
	args, err := namedArgs(name, arg, "branches", "default")
	if err != nil {
		return nil, err
	}
	list, _ := args["branches"].(bson.A)
	if len(list) == 0 {
		return nil, mongoerr.New(40068, "$switch requires 'branches' to be an array with at least one branch")
	}
	var cases, thens []expr
	for _, b := range list {
		branch, err := namedArgs(name, b, "case then", "")
		if err != nil {
			return nil, err
		}
		parts, err := c.compileAll(bson.A{branch["case"], branch["then"]})
		if err != nil {
			return nil, err
		}
		cases, thens = append(cases, parts[0]), append(thens, parts[1])
	}
	otherwise := func(*scope) (any, error) {
		return nil, mongoerr.New(40066, "$switch could not find a matching branch for an input, and no default was specified.")
	}
	if v, ok := args["default"]; ok {
		if otherwise, err = c.compile(v); err != nil {
			return nil, err
		}
	}
	return func(s *scope) (any, error) {
		for i, when := range cases {
			v, err := when(s)
			if err != nil {
				return nil, err
			}
			if truthy(v) {
				return thens[i](s)
			}
		}
		return otherwise(s)
	}, nil
}

func (c *exprCompiler) compileLet(name string, arg any) (expr, error) {
	args, err := namedArgs(name, arg, "vars in", "")
	if err != nil {
		return nil, err
	}
	bindings, ok := args["vars"].(bson.D)
	if !ok {
		return nil, mongoerr.New(10065, "$let requires 'vars' to be an object")
	}
	names := make([]string, len(bindings))
	values := make(bson.A, len(bindings))
	for i, e := range bindings {
		if err := checkVariable(e.Key); err != nil {
			return nil, err
		}
		names[i], values[i] = e.Key, e.Value
	}
	list, err := c.compileAll(values)
	if err != nil {
		return nil, err
	}
	in, err := c.with(names...).compile(args["in"])
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		inner := s
		for i, ex := range list {
			v, err := ex(s)
			if err != nil {
				return nil, err
			}
			inner = inner.bind(names[i], v)
		}
		return in(inner)
	}, nil
}

// compileFieldAccess compiles $getField, $setField and $unsetField. Their field
// is a plain name, in which dots and dollar signs have no special meaning.
func (c *exprCompiler) compileFieldAccess(op string, arg any) (expr, error) {
	if d, _ := arg.(bson.D); op == "$getField" && field(d, "field") == bsonkit.Missing {
		arg = bson.D{{Key: "field", Value: arg}} // expand the short form
	}
	required, optional := "field input", ""
	switch op {
	case "$getField":
		required, optional = "field", "input"
	case "$setField":
		required = "field input value"
	}
	args, err := namedArgs(op, arg, required, optional)
	if err != nil {
		return nil, err
	}
	if _, ok := args["input"]; !ok {
		args["input"] = "$$CURRENT"
	}
	if d, ok := args["field"].(bson.D); ok && len(d) == 1 && d[0].Key == "$literal" {
		args["field"] = d[0].Value
	}
	name, ok := args["field"].(string)
	if !ok || strings.Contains(name, "\x00") {
		return nil, mongoerr.New(5654602, "%s requires 'field' to evaluate to a constant string", op)
	}
	parts, err := c.compileAll(bson.A{args["input"], args["value"]})
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		v, err := evaluate(s, parts)
		if err != nil {
			return nil, err
		}
		doc, ok := v[0].(bson.D)
		switch {
		case !ok && op == "$getField":
			return bsonkit.Missing, nil
		case !ok && nullish(v[0]):
			return nil, nil
		case !ok:
			return nil, wrongType(op, "an object", v[0])
		case op == "$getField":
			return field(doc, name), nil
		case op == "$unsetField":
			return setField(doc, name, bsonkit.Missing), nil
		}
		return setField(doc, name, v[1]), nil
	}, nil
}
