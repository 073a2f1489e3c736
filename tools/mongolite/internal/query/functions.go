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
	"unicode/utf8"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/shopspring/decimal"
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

// exprAdd adds numbers. If one of the arguments is a date, it adds the others
// to the date, in milliseconds.
func exprAdd(name string, args []any) (any, error) {
	sum := any(int32(0))
	var date *primitive.DateTime
	for _, v := range args {
		switch d, isDate := v.(primitive.DateTime); {
		case isDate && date != nil:
			return nil, mongoerr.New(16612, "only one date allowed in an $add expression")
		case isDate:
			date = &d
		case !isNumber(v):
			return nil, wrongType(name, "numeric or date types", v)
		default:
			sum, _ = add(sum, v)
		}
	}
	if date != nil {
		return addMillis(*date, sum)
	}
	return sum, nil
}

// addMillis adds a number of milliseconds, rounded to an integer, to d.
func addMillis(d primitive.DateTime, millis any) (any, error) {
	sum, overflow := add(int64(d), roundTo(millis, 0, true))
	ms, ok := wholeNumber(sum)
	if overflow || !ok {
		return nil, mongoerr.New(mongoerr.Overflow, "date overflow")
	}
	return primitive.DateTime(ms), nil
}

func exprSubtract(name string, a []any) (any, error) {
	x, xd := a[0].(primitive.DateTime)
	y, yd := a[1].(primitive.DateTime)
	switch {
	case xd && yd:
		diff, _ := add(int64(x), negate(int64(y)))
		return diff, nil
	case xd && isNumber(a[1]):
		return addMillis(x, negate(a[1]))
	case !isNumber(a[0]) || !isNumber(a[1]):
		return nil, mongoerr.New(mongoerr.TypeMismatch, "can't $subtract %s from %s", typeName(a[1]), typeName(a[0]))
	}
	// The negative of the least int is a long, but the difference may still be
	// an int.
	if n, ok := a[1].(int32); ok && n == math.MinInt32 {
		diff, _ := add(a[0], -int64(n))
		if d, ok := diff.(int64); ok {
			return narrow(d, a...), nil
		}
		return diff, nil
	}
	diff, _ := add(a[0], negate(a[1]))
	return diff, nil
}

func exprMultiply(name string, args []any) (any, error) {
	product := any(int32(1))
	for _, v := range args {
		if !isNumber(v) {
			return nil, wrongType(name, "numeric types", v)
		}
		product, _ = multiply(product, v)
	}
	return product, nil
}

// checkNumbers returns an error unless all arguments are numbers.
func checkNumbers(name string, args []any) error {
	for _, v := range args {
		if !isNumber(v) {
			return wrongType(name, "numeric types", v)
		}
	}
	return nil
}

func exprDivide(name string, a []any) (any, error) {
	if err := checkNumbers(name, a); err != nil {
		return nil, err
	}
	if bsonkit.Compare(a[1], int32(0)) == 0 {
		return nil, mongoerr.New(mongoerr.BadValue, "can't $divide by zero")
	}
	return inexact(a[0], a[1], func(x, y decimal.Decimal) decimal.Decimal {
		places := int32(decimalDigits) + y.Exponent() + int32(y.NumDigits()) - x.Exponent() - int32(x.NumDigits()) // #nosec G115
		q, _ := decimal.NewFromString(x.DivRound(y, places).String())                                              // removes trailing zeros
		return q
	}, func(x, y float64) float64 { return x / y }), nil
}

func exprMod(name string, a []any) (any, error) {
	if err := checkNumbers(name, a); err != nil {
		return nil, err
	}
	if bsonkit.Compare(a[1], int32(0)) == 0 {
		return nil, mongoerr.New(16610, "can't $mod by zero")
	}
	if x, ok := integer(a[0]); ok {
		if y, ok := integer(a[1]); ok {
			return narrow(x%y, a...), nil
		}
	}
	return inexact(a[0], a[1], decimal.Decimal.Mod, math.Mod), nil
}

func exprAbs(name string, a []any) (any, error) {
	if err := checkNumbers(name, a); err != nil {
		return nil, err
	}
	if a[0] == int64(math.MinInt64) {
		return nil, mongoerr.New(28680, "can't take $abs of long long min")
	}
	if f, ok := a[0].(float64); ok {
		return math.Abs(f), nil
	}
	if bsonkit.Compare(a[0], int32(0)) < 0 {
		return negate(a[0]), nil
	}
	return a[0], nil
}

// exprWhole implements $ceil and $floor.
func exprWhole(name string, a []any) (any, error) {
	if err := checkNumbers(name, a); err != nil {
		return nil, err
	}
	up := name == "$ceil"
	switch n := a[0].(type) {
	case float64:
		if up {
			return math.Ceil(n), nil
		}
		return math.Floor(n), nil
	case primitive.Decimal128:
		if up {
			return fromDecimal(toDecimal(n).Ceil()), nil
		}
		return fromDecimal(toDecimal(n).Floor()), nil
	}
	return a[0], nil
}

// exprRound implements $round and $trunc.
func exprRound(name string, a []any) (any, error) {
	if err := checkNumbers(name, a); err != nil {
		return nil, err
	}
	place := int64(0)
	if len(a) == 2 {
		var ok bool
		if place, ok = wholeNumber(a[1]); !ok || place < -20 || place > 100 {
			return nil, mongoerr.New(51083, "cannot apply %s with precision value %s, must be an integer in [-20, 100]", name, numberText(a[1]))
		}
	}
	return roundTo(a[0], int32(place), name == "$round"), nil // #nosec G115 -- checked
}

// roundTo reduces v to place decimal places. It rounds half to even, or
// truncates if halfEven is false. A negative place counts digits to the left of
// the decimal point. The result has the type of v.
func roundTo(v any, place int32, halfEven bool) any {
	round := func(d decimal.Decimal) decimal.Decimal {
		if halfEven {
			return d.RoundBank(place)
		}
		if place < 0 {
			unit := decimal.New(1, -place)
			return d.Sub(d.Mod(unit))
		}
		return d.Truncate(place)
	}
	switch n := v.(type) {
	case int32, int64:
		if place >= 0 {
			return n
		}
		if d := round(toDecimal(n)); d.BigInt().IsInt64() {
			return narrow(d.IntPart(), n)
		}
		return n
	case float64:
		switch {
		case math.IsNaN(n) || math.IsInf(n, 0):
			return n
		case place == 0 && halfEven:
			return math.RoundToEven(n)
		case place == 0:
			return math.Trunc(n)
		}
		return round(toDecimal(n)).InexactFloat64()
	}
	return fromDecimal(round(toDecimal(v)))
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

func exprConcat(name string, args []any) (any, error) {
	var b strings.Builder
	for _, v := range args {
		s, ok := v.(string)
		if !ok {
			return nil, mongoerr.New(16702, "$concat only supports strings, not %s", typeName(v))
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// toStringArg converts an argument of a string operator to a string. Null and
// Missing become the empty string.
func toStringArg(name string, v any) (string, error) {
	switch v := v.(type) {
	case nil, bsonkit.MissingType:
		return "", nil
	case string:
		return v, nil
	case int32, int64, float64, primitive.Decimal128:
		return numberText(v), nil
	case primitive.DateTime:
		return dateText(v), nil
	}
	return "", mongoerr.New(16007, "can't convert from BSON type %s to String in %s", typeName(v), name)
}

func dateText(d primitive.DateTime) string { return d.Time().UTC().Format("2006-01-02T15:04:05.000Z") }

// exprCase implements $toLower and $toUpper.
func exprCase(name string, a []any) (any, error) {
	s, err := toStringArg(name, a[0])
	if err != nil {
		return nil, err
	}
	from, to, diff := byte('A'), byte('Z'), byte('a'-'A')
	if name == "$toUpper" {
		from, to, diff = 'a', 'z', -diff
	}
	b := []byte(s) // as in MongoDB, only ASCII letters change their case
	for i, c := range b {
		if c >= from && c <= to {
			b[i] = c + diff
		}
	}
	return string(b), nil
}

// exprSubstr implements $substrCP, which counts in code points.
func exprSubstr(name string, a []any) (any, error) {
	s, err := toStringArg(name, a[0])
	if err != nil {
		return nil, err
	}
	start, ok1 := wholeNumber(a[1])
	count, ok2 := wholeNumber(a[2])
	if !ok1 || !ok2 || start < 0 || count < 0 {
		return nil, mongoerr.New(34455, "$substrCP: starting index and length must be non-negative integers")
	}
	runes := []rune(s)
	n := int64(len(runes))
	start = min(start, n)
	return string(runes[start : start+min(count, n-start)]), nil
}

func exprStrLen(name string, a []any) (any, error) {
	s, ok := a[0].(string)
	if !ok {
		return nil, mongoerr.New(34471, "$strLenCP requires a string argument, found: %s", typeName(a[0]))
	}
	return int32(utf8.RuneCountInString(s)), nil // #nosec G115 -- a document's string
}

func exprSplit(name string, a []any) (any, error) {
	s, ok1 := a[0].(string)
	sep, ok2 := a[1].(string)
	switch {
	case !ok1 || !ok2:
		return nil, mongoerr.New(40085, "$split requires strings, found: %s and %s", typeName(a[0]), typeName(a[1]))
	case sep == "":
		return nil, mongoerr.New(40087, "$split requires a non-empty separator")
	}
	out := bson.A{}
	for _, part := range strings.Split(s, sep) {
		out = append(out, part)
	}
	return out, nil
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
