package query

// Functions: expression operators that evaluate all of their arguments first.
// https://www.mongodb.com/docs/manual/reference/operator/aggregation/

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

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

// exprConvert implements the conversions $toString, $toInt, $toLong, $toDouble,
// $toDate and $toObjectId. The functions below convert one value each and return
// nil if they cannot.
func exprConvert(name string, a []any) (any, error) {
	var v any
	switch name {
	case "$toString":
		v = convertToString(a[0])
	case "$toInt":
		v = convertToInteger(a[0], math.MinInt32, math.MaxInt32)
		if n, ok := v.(int64); ok {
			v = int32(n) // #nosec G115 -- bounded
		}
	case "$toLong":
		v = convertToInteger(a[0], math.MinInt64, math.MaxInt64)
	case "$toDouble":
		v = convertToDouble(a[0])
	case "$toDate":
		v = convertToDate(a[0])
	case "$toObjectId":
		v = convertToObjectID(a[0])
	}
	if v == nil {
		return nil, mongoerr.New(mongoerr.ConversionFailure, "Failed to convert from %s in %s with no onError value", typeName(a[0]), name)
	}
	return v, nil
}

func convertToString(v any) any {
	switch v := v.(type) {
	case string, int32, int64, float64, primitive.Decimal128, primitive.DateTime:
		s, _ := toStringArg("", v)
		return s
	case bool:
		return strconv.FormatBool(v)
	case primitive.ObjectID:
		return v.Hex()
	}
	return nil
}

func convertToInteger(v any, least, most int64) any {
	switch n := v.(type) {
	case bool:
		if n {
			return int64(1)
		}
		return int64(0)
	case string:
		if i, err := strconv.ParseInt(n, 10, 64); err == nil && i >= least && i <= most {
			return i
		}
	case primitive.DateTime:
		if most == math.MaxInt64 {
			return int64(n)
		}
	case int32, int64, float64, primitive.Decimal128:
		if i, ok := wholeNumber(roundTo(n, 0, false)); ok && i >= least && i <= most {
			return i
		}
	}
	return nil
}

func convertToDouble(v any) any {
	switch n := v.(type) {
	case bool:
		return map[bool]float64{true: 1}[n]
	case string:
		if f, err := strconv.ParseFloat(n, 64); err == nil && !strings.ContainsAny(n, "xX_") {
			return f
		}
	case primitive.DateTime:
		return float64(n)
	case int32, int64, float64, primitive.Decimal128:
		return toFloat(n)
	}
	return nil
}

func convertToDate(v any) any {
	switch d := v.(type) {
	case primitive.DateTime:
		return d
	case primitive.ObjectID:
		return primitive.NewDateTimeFromTime(d.Timestamp())
	case primitive.Timestamp:
		return primitive.DateTime(int64(d.T) * 1000)
	case int64, float64, primitive.Decimal128:
		if n, ok := wholeNumber(roundTo(d, 0, false)); ok {
			return primitive.DateTime(n)
		}
	case string:
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
			if t, err := time.Parse(layout, d); err == nil {
				return primitive.NewDateTimeFromTime(t)
			}
		}
	}
	return nil
}

func convertToObjectID(v any) any {
	switch id := v.(type) {
	case primitive.ObjectID:
		return id
	case string:
		if parsed, err := primitive.ObjectIDFromHex(id); err == nil {
			return parsed
		}
	}
	return nil
}
