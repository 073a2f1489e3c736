package query

// Functions: expression operators that evaluate all of their arguments first.
// https://www.mongodb.com/docs/manual/reference/operator/aggregation/

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// function is an expression operator that operates on evaluated arguments. It
// takes between min and max of them.
type function struct {
	min, max int
	apply    func(name string, args []any) (any, error)
	// acceptsNull reports whether apply handles null and missing arguments. If
	// it is false, a null or missing argument makes the result null.
	acceptsNull bool
}

const unlimited = math.MaxInt // maximum for functions with any number of arguments

func wrongCount(name string, least, most, got int) error {
	return mongoerr.New(16020, "Expression %s takes %s arguments. %d were passed in.", name, countText(least, most), got)
}

func countText(least, most int) string {
	switch most {
	case least:
		return "exactly " + strconv.Itoa(least)
	case unlimited:
		return "at least " + strconv.Itoa(least)
	}
	return "at least " + strconv.Itoa(least) + " and at most " + strconv.Itoa(most)
}

func wrongType(name, want string, got any) error {
	return mongoerr.New(mongoerr.TypeMismatch, "%s requires %s, found: %s", name, want, typeName(got))
}

// call compiles a call of f.
func (c *exprCompiler) call(name string, arg any, f function) (expr, error) {
	items := asList(arg)
	if d, ok := arg.(bson.D); ok && len(d) == 0 && f.max == 0 {
		items = nil // {$rand: {}}
	}
	if len(items) < f.min || len(items) > f.max {
		return nil, wrongCount(name, f.min, f.max, len(items))
	}
	list, err := c.compileAll(items)
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		args, err := evaluate(s, list)
		if err != nil {
			return nil, err
		}
		if !f.acceptsNull && slices.ContainsFunc(args, nullish) {
			return nil, nil
		}
		return f.apply(name, args)
	}, nil
}

// findFunction returns the function with the given name. It reports false if
// there is none.
func findFunction(name string) (function, bool) {
	switch name {
	case "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$cmp":
		return function{2, 2, exprCompare, true}, true
	case "$not":
		return function{1, 1, func(_ string, a []any) (any, error) { return !truthy(a[0]), nil }, true}, true
	case "$type":
		return function{1, 1, func(_ string, a []any) (any, error) { return typeName(a[0]), nil }, true}, true
	case "$rand":
		return function{0, 0, func(string, []any) (any, error) { return rand.Float64(), nil }, true}, true // #nosec G404 -- no secret
	case "$add":
		return function{0, unlimited, exprAdd, false}, true
	case "$subtract":
		return function{2, 2, exprSubtract, false}, true
	case "$multiply":
		return function{0, unlimited, exprMultiply, false}, true
	case "$divide":
		return function{2, 2, exprDivide, false}, true
	case "$mod":
		return function{2, 2, exprMod, false}, true
	case "$abs":
		return function{1, 1, exprAbs, false}, true
	case "$ceil", "$floor":
		return function{1, 1, exprWhole, false}, true
	case "$round", "$trunc":
		return function{1, 2, exprRound, false}, true
	case "$sum", "$avg", "$min", "$max":
		return function{0, unlimited, exprAccumulate, true}, true
	case "$concat":
		return function{0, unlimited, exprConcat, false}, true
	case "$toLower", "$toUpper":
		return function{1, 1, exprCase, true}, true
	case "$substrCP":
		return function{3, 3, exprSubstr, true}, true
	case "$strLenCP":
		return function{1, 1, exprStrLen, true}, true
	case "$split":
		return function{2, 2, exprSplit, false}, true
	case "$toString", "$toInt", "$toLong", "$toDouble", "$toDate", "$toObjectId":
		return function{1, 1, exprConvert, false}, true
	}
	return arrayFunction(name)
}

func exprCompare(name string, a []any) (any, error) {
	c := compare(a[0], a[1])
	switch name {
	case "$eq":
		return c == 0, nil
	case "$ne":
		return c != 0, nil
	case "$gt":
		return c > 0, nil
	case "$gte":
		return c >= 0, nil
	case "$lt":
		return c < 0, nil
	case "$lte":
		return c <= 0, nil
	}
	return int32(c), nil // #nosec G115 -- -1, 0 or 1
}

// exprAccumulate applies the accumulator name to the arguments. If the only
// argument is an array, it applies the accumulator to the elements instead.
func exprAccumulate(name string, args []any) (any, error) {
	if len(args) == 1 {
		if arr, ok := args[0].(bson.A); ok {
			args = arr
		}
	}
	acc := newAccumulator(name)
	for _, v := range args {
		if err := acc.add(v); err != nil {
			return nil, err
		}
	}
	return acc.result(), nil
}
