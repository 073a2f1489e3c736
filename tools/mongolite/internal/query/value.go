package query

// Values and paths: the comparison order is that of
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
	maxDepth   = 200       // MongoDB's limit of nesting
	maxPadding = 1_500_000 // MongoDB's limit of nulls put before a new element
)

// CheckValue refuses, by its name, a value that this server cannot compare and
// therefore not hold, alone or anywhere inside v: MinKey, MaxKey, JavaScript,
// Symbol, DBPointer, Undefined, a Decimal128 that is no finite number; also
// documents nested deeper than MongoDB allows.
func CheckValue(v any) error { return checkValue(v, 0) }

func checkValue(v any, depth int) error {
	if depth > maxDepth {
		return mongoerr.New(mongoerr.Overflow, "a document may be nested %d levels deep at most", maxDepth)
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
	return mongoerr.Unsupported("values of type %s", refusedType(v))
}

func refusedType(v any) string {
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

// typeName is the alias of v's BSON type; "missing" for no value.
func typeName(v any) string {
	if v == bsonkit.Missing {
		return "missing"
	}
	_, t := bsonkit.Inspect(v)
	return bsonkit.Type2Alias[t]
}

// nullish reports whether v is null or no value.
func nullish(v any) bool { return v == nil || v == bsonkit.Missing }

// truthy is MongoDB's reading of a value as a boolean.
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

// compare is the order of expressions and of sort keys: across types, no value
// before null. (bsonkit holds the two for equal.)
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

// wholeNumber returns v as an integer if it is a number without a fraction.
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

// field returns the value of a document's field, Missing if it has none.
func field(doc bson.D, key string) any {
	for i := range doc {
		if doc[i].Key == key {
			return doc[i].Value
		}
	}
	return bsonkit.Missing
}

// setField returns doc with the field set, in its place or at the end; with
// Missing, without the field.
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

// index reads a path's part as the index of an array's element.
func index(part string) (int, bool) {
	if part == "" || len(part) > 9 || part[0] < '0' || part[0] > '9' || (part[0] == '0' && len(part) > 1) {
		return 0, false
	}
	n, err := strconv.ParseUint(part, 10, 32)
	return int(n), err == nil
}

// get returns the one value at path, array elements by their index; Missing if
// there is none.
func get(v any, path []string) any {
	for _, part := range path {
		switch t := v.(type) {
		case bson.D:
			v = field(t, part)
		case bson.A:
			i, ok := index(part)
			if !ok || i >= len(t) {
				return bsonkit.Missing
			}
			v = t[i]
		default:
			return bsonkit.Missing
		}
	}
	return v
}

// put returns v with the value at path replaced or created, Missing removes it;
// v itself is left as it is. It returns PathNotViable when the path leads
// through something that is neither document nor array.
func put(v any, path []string, value any) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	switch t := v.(type) {
	case bsonkit.MissingType:
		if value == bsonkit.Missing {
			return v, nil
		}
		return put(bson.D{}, path, value)
	case bson.D:
		child, err := put(field(t, path[0]), path[1:], value)
		if err != nil {
			return nil, err
		}
		return setField(t, path[0], child), nil
	case bson.A:
		return putElement(t, path, value)
	}
	if value == bsonkit.Missing {
		return v, nil
	}
	return nil, mongoerr.New(mongoerr.PathNotViable, "Cannot create field '%s' in an element of type %s", path[0], typeName(v))
}

// putElement is put for an array. An element is never removed, as that would
// move the others, but nulled.
func putElement(arr bson.A, path []string, value any) (any, error) {
	i, ok := index(path[0])
	if value == bsonkit.Missing && (!ok || i >= len(arr)) {
		return arr, nil
	}
	if !ok {
		return nil, mongoerr.New(mongoerr.PathNotViable, "Cannot create field '%s' in an element of type array", path[0])
	}
	if i > len(arr)+maxPadding {
		return nil, mongoerr.New(mongoerr.BadValue, "can't backfill more than %d elements", maxPadding)
	}
	old := any(bsonkit.Missing)
	if i < len(arr) {
		old = arr[i]
	}
	child, err := put(old, path[1:], value)
	if err != nil {
		return nil, err
	}
	if child == bsonkit.Missing {
		child = nil
	}
	arr = slices.Clone(arr)
	for len(arr) <= i {
		arr = append(arr, nil)
	}
	arr[i] = child
	return arr, nil
}

// walk yields the values that a filter's or sort's path names in v, until yield
// returns true, and reports whether it did. On its way it enters the documents
// in arrays and takes numbers for indexes; at its end, with leaves, it yields
// an array's elements and then the array. A document without the field yields
// Missing, an array without documents nothing.
func walk(v any, path []string, leaves bool, yield func(any) bool) bool {
	arr, isArray := v.(bson.A)
	switch {
	case len(path) == 0:
		return leaves && slices.ContainsFunc(arr, yield) || yield(v)
	case !isArray:
		doc, _ := v.(bson.D)
		return walk(field(doc, path[0]), path[1:], leaves, yield)
	}
	at, indexed := index(path[0])
	for i, e := range arr {
		if _, ok := e.(bson.D); ok && walk(e, path, leaves, yield) {
			return true
		}
		if indexed && i == at && walkElement(e, path[1:], leaves, yield) {
			return true
		}
	}
	return false
}

// walkElement goes on inside an element that the path names by its index. At
// the path's end that is the element alone, even if it is an array.
func walkElement(e any, rest []string, leaves bool, yield func(any) bool) bool {
	if len(rest) == 0 {
		return yield(e)
	}
	switch e.(type) {
	case bson.D, bson.A:
		return walk(e, rest, leaves, yield)
	}
	return false
}

// size is about what v takes in BSON, in bytes; it feeds the memory bounds.
func size(v any) int {
	switch v := v.(type) {
	case string:
		return len(v) + 5
	case primitive.Binary:
		return len(v.Data) + 5
	case bson.D:
		n := 5
		for _, e := range v {
			n += 2 + len(e.Key) + size(e.Value)
		}
		return n
	case bson.A:
		n := 5
		for _, e := range v {
			n += 4 + size(e)
		}
		return n
	}
	return 16
}

// key is a string that two values share exactly if they compare as equal.
func key(v any) string {
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
	default: // fixed forms without numbers of more than one type
		raw, _ := bson.Marshal(bson.D{{Value: v}})
		writeCounted(b, string(raw))
	}
}

func writeCounted(b *strings.Builder, s string) {
	b.WriteString(strconv.Itoa(len(s)))
	b.WriteByte(':')
	b.WriteString(s)
}
