package query

// Expression operators that evaluate all of their arguments first:
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

// fn is an operator on evaluated arguments, of which there are min to max.
type fn struct {
	min, max int
	apply    func(name string, args []any) (any, error)
	nulls    bool // it sees null and missing arguments; others yield null for them
}

const many = math.MaxInt

func wrongCount(name string, least, most, got int) error {
	return mongoerr.New(16020, "Expression %s takes %s arguments. %d were passed in.", name, countText(least, most), got)
}

func countText(least, most int) string {
	switch most {
	case least:
		return "exactly " + strconv.Itoa(least)
	case many:
		return "at least " + strconv.Itoa(least)
	}
	return "at least " + strconv.Itoa(least) + " and at most " + strconv.Itoa(most)
}

func wrongType(name, want string, got any) error {
	return mongoerr.New(mongoerr.TypeMismatch, "%s requires %s, found: %s", name, want, typeName(got))
}

func (c *exprCompiler) call(name string, arg any, f fn) (expr, error) {
	items := asList(arg)
	if d, ok := arg.(bson.D); ok && len(d) == 0 && f.max == 0 {
		items = nil // {$rand: {}}
	}
	if len(items) < f.min || len(items) > f.max {
		return nil, wrongCount(name, f.min, f.max, len(items))
	}
	list, err := c.list(items)
	if err != nil {
		return nil, err
	}
	return func(s *scope) (any, error) {
		args, err := evaluate(s, list)
		if err != nil {
			return nil, err
		}
		if !f.nulls && slices.ContainsFunc(args, nullish) {
			return nil, nil
		}
		return f.apply(name, args)
	}, nil
}

// function returns the operator of a name.
func function(name string) (fn, bool) {
	switch name {
	case "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$cmp":
		return fn{2, 2, exprCompare, true}, true
	case "$not":
		return fn{1, 1, func(_ string, a []any) (any, error) { return !truthy(a[0]), nil }, true}, true
	case "$type":
		return fn{1, 1, func(_ string, a []any) (any, error) { return typeName(a[0]), nil }, true}, true
	case "$rand":
		return fn{0, 0, func(string, []any) (any, error) { return rand.Float64(), nil }, true}, true // #nosec G404 -- no secret
	case "$add":
		return fn{0, many, exprAdd, false}, true
	case "$subtract":
		return fn{2, 2, exprSubtract, false}, true
	case "$multiply":
		return fn{0, many, exprMultiply, false}, true
	case "$divide":
		return fn{2, 2, exprDivide, false}, true
	case "$mod":
		return fn{2, 2, exprMod, false}, true
	case "$abs":
		return fn{1, 1, exprAbs, false}, true
	case "$ceil", "$floor":
		return fn{1, 1, exprWhole, false}, true
	case "$round", "$trunc":
		return fn{1, 2, exprRound, false}, true
	case "$sum", "$avg", "$min", "$max":
		return fn{0, many, exprAccumulate, true}, true
	case "$concat":
		return fn{0, many, exprConcat, false}, true
	case "$toLower", "$toUpper":
		return fn{1, 1, exprCase, true}, true
	case "$substrCP":
		return fn{3, 3, exprSubstr, true}, true
	case "$strLenCP":
		return fn{1, 1, exprStrLen, true}, true
	case "$split":
		return fn{2, 2, exprSplit, false}, true
	case "$toString", "$toInt", "$toLong", "$toDouble", "$toDate", "$toObjectId":
		return fn{1, 1, exprConvert, false}, true
	}
	return collectionFunction(name)
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

// exprAdd adds numbers, or numbers of milliseconds to one date.
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
		return shift(*date, sum)
	}
	return sum, nil
}

func shift(d primitive.DateTime, by any) (any, error) {
	sum, overflow := add(int64(d), roundTo(by, 0, true))
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
		return shift(x, negate(a[1]))
	case !isNumber(a[0]) || !isNumber(a[1]):
		return nil, mongoerr.New(mongoerr.TypeMismatch, "can't $subtract %s from %s", typeName(a[1]), typeName(a[0]))
	}
	if n, ok := a[1].(int32); ok && n == math.MinInt32 { // whose negative is no int, though a difference may be one
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

func numbers(name string, args []any) error {
	for _, v := range args {
		if !isNumber(v) {
			return wrongType(name, "numeric types", v)
		}
	}
	return nil
}

func exprDivide(name string, a []any) (any, error) {
	if err := numbers(name, a); err != nil {
		return nil, err
	}
	if bsonkit.Compare(a[1], int32(0)) == 0 {
		return nil, mongoerr.New(mongoerr.BadValue, "can't $divide by zero")
	}
	return inexact(a[0], a[1], func(x, y decimal.Decimal) decimal.Decimal {
		places := int32(decimalDigits) + y.Exponent() + int32(y.NumDigits()) - x.Exponent() - int32(x.NumDigits()) // #nosec G115
		q, _ := decimal.NewFromString(x.DivRound(y, places).String())                                              // without the zeros at its end
		return q
	}, func(x, y float64) float64 { return x / y }), nil
}

func exprMod(name string, a []any) (any, error) {
	if err := numbers(name, a); err != nil {
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
	if err := numbers(name, a); err != nil {
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

func exprWhole(name string, a []any) (any, error) {
	if err := numbers(name, a); err != nil {
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

func exprRound(name string, a []any) (any, error) {
	if err := numbers(name, a); err != nil {
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

// roundTo rounds half to even, or cuts, after a decimal place, which may be
// negative. The type stays.
func roundTo(v any, place int32, half bool) any {
	cut := func(d decimal.Decimal) decimal.Decimal {
		if half {
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
		if d := cut(toDecimal(n)); d.BigInt().IsInt64() {
			return narrow(d.IntPart(), n)
		}
		return n
	case float64:
		switch {
		case math.IsNaN(n) || math.IsInf(n, 0):
			return n
		case place == 0 && half:
			return math.RoundToEven(n)
		case place == 0:
			return math.Trunc(n)
		}
		return cut(toDecimal(n)).InexactFloat64()
	}
	return fromDecimal(cut(toDecimal(v)))
}

// exprAccumulate is an accumulator over its arguments, or over the elements of
// a single array.
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

// text reads what string operators take for a string; null is the empty one.
func text(name string, v any) (string, error) {
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

func exprCase(name string, a []any) (any, error) {
	s, err := text(name, a[0])
	if err != nil {
		return nil, err
	}
	from, to, diff := byte('A'), byte('Z'), byte('a'-'A')
	if name == "$toUpper" {
		from, to, diff = 'a', 'z', -diff
	}
	b := []byte(s) // only ASCII letters have a case here, as in MongoDB
	for i, c := range b {
		if c >= from && c <= to {
			b[i] = c + diff
		}
	}
	return string(b), nil
}

func exprSubstr(name string, a []any) (any, error) {
	s, err := text(name, a[0])
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

func exprConvert(name string, a []any) (any, error) {
	var v any
	switch name {
	case "$toString":
		v = toText(a[0])
	case "$toInt":
		v = toInteger(a[0], math.MinInt32, math.MaxInt32)
		if n, ok := v.(int64); ok {
			v = int32(n) // #nosec G115 -- bounded
		}
	case "$toLong":
		v = toInteger(a[0], math.MinInt64, math.MaxInt64)
	case "$toDouble":
		v = toDouble(a[0])
	case "$toDate":
		v = toDate(a[0])
	case "$toObjectId":
		v = toObjectID(a[0])
	}
	if v == nil {
		return nil, mongoerr.New(mongoerr.ConversionFailure, "Failed to convert from %s in %s with no onError value", typeName(a[0]), name)
	}
	return v, nil
}

// The conversions return nil for what they cannot convert.

func toText(v any) any {
	switch v := v.(type) {
	case string, int32, int64, float64, primitive.Decimal128, primitive.DateTime:
		s, _ := text("", v)
		return s
	case bool:
		return strconv.FormatBool(v)
	case primitive.ObjectID:
		return v.Hex()
	}
	return nil
}

func toInteger(v any, least, most int64) any {
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

func toDouble(v any) any {
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

func toDate(v any) any {
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

func toObjectID(v any) any {
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
