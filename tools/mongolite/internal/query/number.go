package query

// Arithmetic on numbers. A result has the widest type of its operands, in the
// order int, long, double, decimal:
// https://www.mongodb.com/docs/manual/reference/operator/aggregation-arithmetic/

import (
	"math"
	"strconv"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/shopspring/decimal"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

const decimalDigits = 34 // maximum number of digits in the coefficient of a Decimal128

func isNumber(v any) bool {
	class, _ := bsonkit.Inspect(v)
	return class == bsonkit.Number
}

func isDecimal(v any) bool {
	_, ok := v.(primitive.Decimal128)
	return ok
}

// integer returns v as an int64. It reports false unless v is an int or a long.
func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int32:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}

// toFloat returns the number v as a double. It returns NaN for any other value.
func toFloat(v any) float64 {
	switch n := v.(type) {
	case int32:
		return float64(n)
	case int64:
		return float64(n)
	case float64:
		return n
	case primitive.Decimal128:
		return toDecimal(n).InexactFloat64()
	}
	return math.NaN()
}

// toDecimal returns the finite number v as a decimal. It returns zero for any
// other value.
func toDecimal(v any) decimal.Decimal {
	switch n := v.(type) {
	case int32:
		return decimal.NewFromInt32(n)
	case int64:
		return decimal.NewFromInt(n)
	case float64:
		if !math.IsNaN(n) && !math.IsInf(n, 0) {
			return decimal.NewFromFloat(n)
		}
	case primitive.Decimal128:
		if b, exp, err := n.BigInt(); err == nil {
			return decimal.NewFromBigInt(b, int32(exp)) // #nosec G115 -- at most 6111
		}
	}
	return decimal.Decimal{}
}

// fromDecimal rounds d to a Decimal128. If d is too large for one, fromDecimal
// returns a double, because this server does not support an infinite Decimal128.
func fromDecimal(d decimal.Decimal) any {
	if digits := d.NumDigits(); digits > decimalDigits {
		d = d.RoundBank(-d.Exponent() - int32(digits-decimalDigits)) // #nosec G115 -- bounded by the operands' digits
	}
	if n, ok := primitive.ParseDecimal128FromBigInt(d.Coefficient(), int(d.Exponent())); ok {
		return n
	}
	return d.InexactFloat64()
}

// add returns a+b. If an int overflows, the sum is a long. If a long overflows,
// the sum is a double, and add reports the overflow.
func add(a, b any) (sum any, overflow bool) {
	x, xi := integer(a)
	y, yi := integer(b)
	if !xi || !yi {
		return inexact(a, b, decimal.Decimal.Add, func(x, y float64) float64 { return x + y }), false
	}
	if n := x + y; (n > x) == (y > 0) {
		return narrow(n, a, b), false
	}
	return float64(x) + float64(y), true
}

// multiply returns a*b. It treats overflow as add does.
func multiply(a, b any) (product any, overflow bool) { //nolint:unparam // $mul uses overflow through a variable
	x, xi := integer(a)
	y, yi := integer(b)
	if !xi || !yi {
		return inexact(a, b, decimal.Decimal.Mul, func(x, y float64) float64 { return x * y }), false
	}
	n := x * y
	if x != 0 && (n/x != y || x == -1 && y == math.MinInt64) {
		return float64(x) * float64(y), true
	}
	return narrow(n, a, b), false
}

// negate returns -v.
func negate(v any) any {
	if f, ok := v.(float64); ok {
		return -f
	}
	n, _ := multiply(v, int32(-1))
	return n
}

// inexact applies dec to a and b if one of them is a decimal and both are
// finite. Otherwise it applies flt to their values as doubles.
func inexact(a, b any, dec func(x, y decimal.Decimal) decimal.Decimal, flt func(x, y float64) float64) any {
	x, y := toFloat(a), toFloat(b)
	if (isDecimal(a) || isDecimal(b)) && !math.IsInf(x, 0) && !math.IsInf(y, 0) && !math.IsNaN(x) && !math.IsNaN(y) {
		return fromDecimal(dec(toDecimal(a), toDecimal(b)))
	}
	return flt(x, y)
}

// narrow returns n as an int if all operands are ints and n fits into one, else
// as a long.
func narrow(n int64, operands ...any) any {
	for _, o := range operands {
		if _, ok := o.(int32); !ok {
			return n
		}
	}
	if n < math.MinInt32 || n > math.MaxInt32 {
		return n
	}
	return int32(n)
}

// numberText formats a number as $toString and error messages show it.
func numberText(v any) string {
	switch n := v.(type) {
	case float64:
		switch abs := math.Abs(n); {
		case math.IsNaN(n):
			return "NaN"
		case math.IsInf(n, 1):
			return "Infinity"
		case math.IsInf(n, -1):
			return "-Infinity"
		case abs != 0 && (abs < 1e-6 || abs >= 1e21):
			return strconv.FormatFloat(n, 'e', -1, 64)
		}
		return strconv.FormatFloat(n, 'f', -1, 64)
	case primitive.Decimal128:
		return n.String()
	}
	n, _ := integer(v)
	return strconv.FormatInt(n, 10)
}

// numberKey returns a text that is the same for equal numbers of any type.
func numberKey(v any) string {
	if n, ok := wholeNumber(v); ok {
		return strconv.FormatInt(n, 10)
	}
	if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return numberText(f)
	}
	return toDecimal(v).String()
}
