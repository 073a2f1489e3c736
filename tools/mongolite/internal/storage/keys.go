package storage

import (
	"encoding/binary"
	"math"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// A key is an order-preserving encoding of a BSON value, like MongoDB's
// KeyString. It sorts under bytes.Compare as the value does under
// bsonkit.Compare, which uses the order of
// https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/
//
// Values that compare equal, such as the int32 1 and the double 1.0, have the
// same key. No key is a prefix of another, so compound keys are concatenations
// of keys. The first byte of a key identifies the class of its value. It is
// never 0x00 or 0xFF.
const (
	classBase  = 0x10 // the first byte of a key of class c is classBase + c
	endOfItems = 0x00 // ends a document or array; sorts before any item
	nextItem   = 0x01 // precedes each item of a document
	escape     = 0xFF // a string encodes 0x00 as 0x00 0xFF and ends with 0x00 0x00
)

// AppendKey appends the key of v to dst. It returns an error if v is or contains
// a Decimal128, because the matcher has no total order of decimals and doubles.
func AppendKey(dst []byte, v any) ([]byte, error) {
	if _, ok := v.(primitive.Decimal128); ok {
		return nil, mongoerr.Unsupported("Decimal128 in _id or an indexed field")
	}
	class, _ := bsonkit.Inspect(v)
	dst = append(dst, classBase+byte(class))
	var err error
	switch v := v.(type) {
	case nil, primitive.Null, bsonkit.MissingType:
	case int32:
		dst = appendDouble(dst, float64(v), 0)
	case int64:
		dst = appendInt64(dst, v)
	case float64:
		dst = appendDouble(dst, v, 0)
	case string:
		dst = appendString(dst, v)
	case bson.D:
		for _, e := range v {
			dst = appendString(append(dst, nextItem), e.Key)
			if dst, err = AppendKey(dst, e.Value); err != nil {
				return nil, err
			}
		}
		dst = append(dst, endOfItems)
	case bson.A:
		for _, item := range v {
			if dst, err = AppendKey(dst, item); err != nil {
				return nil, err
			}
		}
		dst = append(dst, endOfItems)
	case primitive.Binary:
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(v.Data)))
		dst = append(append(dst, v.Subtype), v.Data...)
	case primitive.ObjectID:
		dst = append(dst, v[:]...)
	case bool:
		if v {
			dst = append(dst, 1)
		} else {
			dst = append(dst, 0)
		}
	case primitive.DateTime:
		dst = binary.BigEndian.AppendUint64(dst, uint64(v)^(1<<63))
	case primitive.Timestamp:
		dst = binary.BigEndian.AppendUint32(dst, v.T)
		dst = binary.BigEndian.AppendUint32(dst, v.I)
	case primitive.Regex:
		dst = appendString(appendString(dst, v.Pattern), v.Options)
	}
	return dst, nil
}

func appendString(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		dst = append(dst, s[i])
		if s[i] == 0 {
			dst = append(dst, escape)
		}
	}
	return append(dst, 0, 0)
}

// appendDouble appends the encoding of the number f + excess. The excess is zero
// for a double. For an int64, it makes the encoding exact: every int64 is less than
// 2^10 above the greatest double that does not exceed it.
func appendDouble(dst []byte, f float64, excess uint16) []byte {
	var bits uint64
	switch {
	case math.IsNaN(f): // NaN sorts before all numbers and equals itself
	case f == 0: // -0 equals 0
		bits = 1 << 63
	default:
		if bits = math.Float64bits(f); bits>>63 == 1 {
			bits = ^bits
		} else {
			bits |= 1 << 63
		}
	}
	dst = binary.BigEndian.AppendUint64(dst, bits)
	return binary.BigEndian.AppendUint16(dst, excess)
}

func appendInt64(dst []byte, n int64) []byte {
	f := float64(n)
	if f >= 1<<63 || int64(f) > n { // rounded up
		f = math.Nextafter(f, math.Inf(-1))
	}
	return appendDouble(dst, f, uint16(n-int64(f)))
}

// invert flips all bits of key in place, which reverses its sort order. Columns
// in descending order use inverted keys.
func invert(key []byte) {
	for i := range key {
		key[i] = ^key[i]
	}
}
