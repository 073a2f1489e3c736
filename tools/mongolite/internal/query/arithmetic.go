package query

// Arithmetic functions:
// https://www.mongodb.com/docs/manual/reference/operator/aggregation-arithmetic/

import (
	"math"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/shopspring/decimal"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

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
		return nil, mongoerr.New(28680, "can't take $abs of long long min") //nolint:dupword // MongoDB's text
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
// the decimal point. The result has the type of v, except that an int that
// overflows becomes a long. If a long overflows, roundTo returns it unchanged.
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
