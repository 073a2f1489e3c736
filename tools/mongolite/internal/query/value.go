package query

// Values and their order:
// https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/

import (
	"slices"
	"strconv"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

const (
	maxDepth   = 200       // maximum nesting depth, as in MongoDB
	maxPadding = 1_500_000 // maximum number of nulls inserted before a new element, as in MongoDB
)

// CheckValue returns an error if v is or contains a value that this server
// cannot compare and therefore cannot store: MinKey, MaxKey, JavaScript, Symbol,
// DBPointer, Undefined, or a Decimal128 that is infinite or not a number. The
// error names the type. CheckValue also returns an error if v is nested more
// deeply than MongoDB allows.
func CheckValue(v any) error { return checkValue(v, 0) }

func checkValue(v any, depth int) error {
	if depth > maxDepth {
		return mongoerr.New(mongoerr.Overflow, "a document must not be nested more than %d levels deep", maxDepth)
	}
	switch v := v.(type) {
	case nil, bool, int32, int64, float64, string, primitive.ObjectID, primitive.DateTime,
		primitive.Timestamp, primitive.Binary, primitive.Regex:
		return nil
	case primitive.Decimal128:
		if _, _, err := v.BigInt(); err != nil {
			return mongoerr.Unsupported("the Decimal128 %s", v)
		}
		return nil
	case bson.D:
		for _, e := range v {
			if err := checkValue(e.Value, depth+1); err != nil {
				return err
			}
		}
		return nil
	case bson.A:
		for _, e := range v {
			if err := checkValue(e, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return mongoerr.Unsupported("values of type %s", unsupportedType(v))
}

func unsupportedType(v any) string {
	switch v.(type) {
	case primitive.MinKey:
		return "minKey"
	case primitive.MaxKey:
		return "maxKey"
	case primitive.JavaScript:
		return "javascript"
	case primitive.CodeWithScope:
		return "javascriptWithScope"
	case primitive.Symbol:
		return "symbol"
	case primitive.DBPointer:
		return "dbPointer"
	case primitive.Undefined:
		return "undefined"
	}
	return "unknown"
}

// typeName returns the alias of v's BSON type, or "missing" for Missing.
func typeName(v any) string {
	if v == bsonkit.Missing {
		return "missing"
	}
	_, t := bsonkit.Inspect(v)
	return bsonkit.Type2Alias[t]
}

// nullish reports whether v is null or Missing.
func nullish(v any) bool { return v == nil || v == bsonkit.Missing }

// truthy converts v to a boolean by MongoDB's rules.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil, bsonkit.MissingType:
		return false
	case bool:
		return v
	case int32, int64, float64, primitive.Decimal128:
		return bsonkit.Compare(v, int32(0)) != 0
	}
	return true
}

// compare compares a and b as expressions and sort keys do. The order extends
// across types. Missing comes before null; bsonkit considers the two equal.
func compare(a, b any) int {
	am, bm := a == bsonkit.Missing, b == bsonkit.Missing
	switch {
	case am && bm:
		return 0
	case am:
		return -1
	case bm:
		return 1
	}
	return bsonkit.Compare(a, b)
}

// wholeNumber returns v as an integer. It reports false unless v is a number
// without a fractional part that fits into an int64.
func wholeNumber(v any) (int64, bool) {
	switch n := v.(type) {
	case int32:
		return int64(n), true
	case int64:
		return n, true
	case float64:
		if n >= -1<<63 && n < 1<<63 && n == float64(int64(n)) {
			return int64(n), true
		}
	case primitive.Decimal128:
		if d := toDecimal(n); d.IsInteger() && d.BigInt().IsInt64() {
			return d.IntPart(), true
		}
	}
	return 0, false
}

// field returns the value of the field with the name key in doc, or Missing.
func field(doc bson.D, key string) any {
	for i := range doc {
		if doc[i].Key == key {
			return doc[i].Value
		}
	}
	return bsonkit.Missing
}

// setField returns doc with the field named key set to v. An existing field keeps
// its position; a new field is appended. If v is Missing, setField removes the
// field. It does not modify doc.
func setField(doc bson.D, key string, v any) bson.D {
	i := slices.IndexFunc(doc, func(e bson.E) bool { return e.Key == key })
	switch {
	case v == bsonkit.Missing && i < 0:
		return doc
	case v == bsonkit.Missing:
		return append(slices.Clone(doc[:i]), doc[i+1:]...)
	case i < 0:
		return append(slices.Clip(doc), bson.E{Key: key, Value: v})
	}
	doc = slices.Clone(doc)
	doc[i].Value = v
	return doc
}

// approxSize returns the approximate size of v in BSON, in bytes. The memory
// limits are based on it.
func approxSize(v any) int {
	switch v := v.(type) {
	case string:
		return len(v) + 5
	case primitive.Binary:
		return len(v.Data) + 5
	case bson.D:
		n := 5
		for _, e := range v {
			n += 2 + len(e.Key) + approxSize(e.Value)
		}
		return n
	case bson.A:
		n := 5
		for _, e := range v {
			n += 4 + approxSize(e)
		}
		return n
	}
	return 16
}

// hashKey returns a string that identifies v in a map. Two values have the same
// string if and only if they are equal. Missing counts as equal to null, although
// compare distinguishes them.
func hashKey(v any) string {
	var b strings.Builder
	writeKey(&b, v)
	return b.String()
}

func writeKey(b *strings.Builder, v any) {
	class, _ := bsonkit.Inspect(v)
	b.WriteByte('a' + byte(class))
	switch v := v.(type) {
	case nil, bsonkit.MissingType:
	case int32, int64, float64, primitive.Decimal128:
		writeCounted(b, numberKey(v))
	case string:
		writeCounted(b, v)
	case bson.D:
		b.WriteString(strconv.Itoa(len(v)))
		for _, e := range v {
			writeCounted(b, e.Key)
			writeKey(b, e.Value)
		}
	case bson.A:
		b.WriteString(strconv.Itoa(len(v)))
		for _, e := range v {
			writeKey(b, e)
		}
	default: // types in which equal values have equal encodings
		raw, _ := bson.Marshal(bson.D{{Value: v}})
		writeCounted(b, string(raw))
	}
}

// writeCounted writes s with its length, so that the end of s is unambiguous.
func writeCounted(b *strings.Builder, s string) {
	b.WriteString(strconv.Itoa(len(s)))
	b.WriteByte(':')
	b.WriteString(s)
}
