package codec

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/bsontype"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// appendDocument appends the encoding of doc to dst. It reports false if the
// driver must encode doc instead.
func appendDocument(dst []byte, doc bson.D, depth int) ([]byte, bool) {
	if doc == nil || depth > maxDepth {
		return dst, false
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for i := range doc {
		e := &doc[i]
		if strings.IndexByte(e.Key, 0) >= 0 {
			return dst, false
		}
		at := len(dst)
		dst = append(append(append(dst, 0), e.Key...), 0)
		var kind bsontype.Type
		var ok bool
		if dst, kind, ok = appendValue(dst, e.Value, depth); !ok {
			return dst, false
		}
		dst[at] = byte(kind)
	}
	return closeDocument(dst, start)
}

func appendArray(dst []byte, arr bson.A, depth int) ([]byte, bool) {
	if arr == nil || depth > maxDepth {
		return dst, false
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for i, v := range arr {
		at := len(dst)
		dst = append(strconv.AppendInt(append(dst, 0), int64(i), 10), 0)
		var kind bsontype.Type
		var ok bool
		if dst, kind, ok = appendValue(dst, v, depth); !ok {
			return dst, false
		}
		dst[at] = byte(kind)
	}
	return closeDocument(dst, start)
}

// closeDocument terminates the document or array that begins at start and fills
// in its length.
func closeDocument(dst []byte, start int) ([]byte, bool) {
	dst = append(dst, 0)
	n := len(dst) - start
	if n > math.MaxInt32 {
		return dst, false
	}
	binary.LittleEndian.PutUint32(dst[start:], uint32(n))
	return dst, true
}

// appendValue appends the encoding of v to dst and returns the BSON type of v.
// It reports false if the driver must encode v instead.
func appendValue(dst []byte, v any, depth int) ([]byte, bsontype.Type, bool) {
	switch v := v.(type) {
	case nil:
		return dst, bsontype.Null, true
	case bson.D:
		dst, ok := appendDocument(dst, v, depth+1)
		return dst, bsontype.EmbeddedDocument, ok
	case bson.A:
		dst, ok := appendArray(dst, v, depth+1)
		return dst, bsontype.Array, ok
	case bson.Raw:
		return append(dst, v...), bsontype.EmbeddedDocument, hasValidFrame(v)
	case string:
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(v)+1))
		return append(append(dst, v...), 0), bsontype.String, len(v) < math.MaxInt32
	case int32:
		return binary.LittleEndian.AppendUint32(dst, uint32(v)), bsontype.Int32, true
	case int64:
		return binary.LittleEndian.AppendUint64(dst, uint64(v)), bsontype.Int64, true
	case float64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v)), bsontype.Double, true
	case bool:
		if v {
			return append(dst, 1), bsontype.Boolean, true
		}
		return append(dst, 0), bsontype.Boolean, true
	case primitive.ObjectID:
		return append(dst, v[:]...), bsontype.ObjectID, true
	case primitive.DateTime:
		return binary.LittleEndian.AppendUint64(dst, uint64(v)), bsontype.DateTime, true
	case primitive.Timestamp:
		dst = binary.LittleEndian.AppendUint32(dst, v.I)
		return binary.LittleEndian.AppendUint32(dst, v.T), bsontype.Timestamp, true
	case primitive.Decimal128:
		high, low := v.GetBytes()
		dst = binary.LittleEndian.AppendUint64(dst, low)
		return binary.LittleEndian.AppendUint64(dst, high), bsontype.Decimal128, true
	case primitive.Binary:
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(v.Data)))
		dst = append(append(dst, v.Subtype), v.Data...)
		return dst, bsontype.Binary, v.Subtype != bsontype.BinaryBinaryOld && len(v.Data) < math.MaxInt32
	}
	return dst, 0, false
}

// hasValidFrame reports whether the length prefix and the terminating zero of
// raw are valid. The code that produced raw has already checked the contents.
func hasValidFrame(raw bson.Raw) bool {
	return len(raw) >= 5 && binary.LittleEndian.Uint32(raw) == uint32(len(raw)) && raw[len(raw)-1] == 0
}
