package query

// Special forms that iterate over an array: $map, $filter and $reduce.
// https://www.mongodb.com/docs/manual/reference/operator/aggregation-array/

import (
	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// compileIteration compiles the arguments that $map and $filter share: the
// input array, and the expression args[body], which is evaluated for each
// element. The expression reads the element from a variable, whose name
// compileIteration returns as well.
func (c *exprCompiler) compileIteration(op string, args map[string]any, body string) (func(*scope) (bson.A, bool, error), expr, string, error) {
	as := "this"
	if v, ok := args["as"]; ok {
		as, _ = v.(string)
		if err := checkVariable(as); err != nil {
			return nil, nil, "", err
		}
	}
	input, err := c.arrayInput(op, args["input"])
	if err != nil {
		return nil, nil, "", err
	}
	in, err := c.with(as).compile(args[body])
	return input, in, as, err
}

// arrayInput compiles an argument that must evaluate to an array. The compiled
// function reports false if the value is null or missing.
func (c *exprCompiler) arrayInput(op string, arg any) (func(*scope) (bson.A, bool, error), error) {
	ex, err := c.compile(arg)
	if err != nil {
		return nil, err
	}
	return func(s *scope) (bson.A, bool, error) {
		v, err := ex(s)
		if err != nil || nullish(v) {
			return nil, false, err
		}
		arr, ok := v.(bson.A)
		if !ok {
			return nil, false, wrongType(op, "an array", v)
		}
		return arr, true, nil
	}, nil
}

func (c *exprCompiler) compileMap(name string, arg any) (expr, error) {
	args, err := namedArgs(name, arg, "input in", "as")
	if err != nil {
		return nil, err
	}
	input, in, as, err := c.compileIteration(name, args, "in")
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		arr, ok, err := input(s)
		if !ok {
			return nil, err
		}
		out := make(bson.A, len(arr))
		for i, e := range arr {
			if out[i], err = in(s.bind(as, e)); err != nil {
				return nil, err
			}
			if out[i] == bsonkit.Missing {
				out[i] = nil
			}
		}
		return out, nil
	}, nil
}

func (c *exprCompiler) compileFilter(name string, arg any) (expr, error) {
	args, err := namedArgs(name, arg, "input cond", "as limit")
	if err != nil {
		return nil, err
	}
	input, cond, as, err := c.compileIteration(name, args, "cond")
	if err != nil {
		return nil, err
	}
	limit, err := c.compile(args["limit"])
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		arr, ok, err := input(s)
		if !ok {
			return nil, err
		}
		n := int64(len(arr))
		if v, err := limit(s); err != nil {
			return nil, err
		} else if !nullish(v) {
			if n, ok = wholeNumber(v); !ok || n < 1 {
				return nil, mongoerr.New(327391, "$filter: limit must be a positive integer")
			}
		}
		out := bson.A{}
		for _, e := range arr {
			v, err := cond(s.bind(as, e))
			if err != nil {
				return nil, err
			}
			if truthy(v) && int64(len(out)) < n {
				out = append(out, e)
			}
		}
		return out, nil
	}, nil
}

func (c *exprCompiler) compileReduce(name string, arg any) (expr, error) {
	args, err := namedArgs(name, arg, "input initialValue in", "")
	if err != nil {
		return nil, err
	}
	input, err := c.arrayInput(name, args["input"])
	if err != nil {
		return nil, err
	}
	initial, err := c.compile(args["initialValue"])
	if err != nil {
		return nil, err
	}
	in, err := c.with("this", "value").compile(args["in"])
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		arr, ok, err := input(s)
		if !ok {
			return nil, err
		}
		value, err := initial(s)
		for i := 0; i < len(arr) && err == nil; i++ {
			value, err = in(s.bind("this", arr[i]).bind("value", value))
		}
		return value, err
	}, nil
}
