package query

// Type conversions: https://www.mongodb.com/docs/manual/reference/operator/aggregation/convert/

import (
	"math"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// exprConvert implements $toString, $toInt, $toLong, $toDouble, $toDate and
// $toObjectId. The functions below convert one value each. They return nil if
// the value cannot be converted.
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
