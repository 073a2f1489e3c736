package codec

import (
	"bytes"
	"encoding/binary"
	"math"
	"sync"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/bsontype"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// decoder decodes one document. It collects the contents of unfinished
// documents and arrays on two stacks, so that each document and array is
// allocated once, in its final size.
type decoder struct {
	src   []byte
	at    int      // offset of the next byte in src
	elems []bson.E // stack of document elements
	items []any    // stack of array items
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// decode decodes raw. It reports false if the driver must decode raw instead.
func decode(raw []byte) (bson.D, bool) {
	d := decoders.Get().(*decoder)
	d.src, d.at = raw, 0
	doc, ok := d.document(len(raw), 0)
	ok = ok && d.at == len(raw)
	if cap(d.elems)+cap(d.items) < 1<<12 {
		*d = decoder{elems: truncate(d.elems, 0), items: truncate(d.items, 0)}
		decoders.Put(d)
	}
	return doc, ok
}

// truncate removes all but the first n entries from stack. It clears the
// removed entries so that the stack does not keep their values alive.
func truncate[T any](stack []T, n int) []T {
	clear(stack[n:])
	return stack[:n]
}

// readHeader reads the length of the document or array at the current offset
// and returns the offset of its last byte. It reports false if the document or
// array extends beyond limit, lacks its terminating zero, or is nested too
// deeply.
func (d *decoder) readHeader(limit, depth int) (last int, ok bool) {
	if depth > maxDepth || limit-d.at < 5 {
		return 0, false
	}
	n := int(int32(binary.LittleEndian.Uint32(d.src[d.at:])))
	if n < 5 || n > limit-d.at || d.src[d.at+n-1] != 0 {
		return 0, false
	}
	last = d.at + n - 1
	d.at += 4
	return last, true
}

func (d *decoder) document(limit, depth int) (bson.D, bool) {
	last, ok := d.readHeader(limit, depth)
	if !ok {
		return nil, false
	}
	first := len(d.elems)
	for d.at < last {
		kind := bsontype.Type(d.src[d.at])
		d.at++
		key, ok := d.cstring(last)
		if !ok {
			return nil, false
		}
		v, ok := d.value(kind, last, depth)
		if !ok {
			return nil, false
		}
		d.elems = append(d.elems, bson.E{Key: key, Value: v})
	}
	d.at++
	doc := make(bson.D, len(d.elems)-first)
	copy(doc, d.elems[first:])
	d.elems = truncate(d.elems, first)
	return doc, true
}

func (d *decoder) array(limit, depth int) (bson.A, bool) {
	last, ok := d.readHeader(limit, depth)
	if !ok {
		return nil, false
	}
	first := len(d.items)
	for d.at < last {
		kind := bsontype.Type(d.src[d.at])
		n := bytes.IndexByte(d.src[d.at+1:last], 0) // the key is the index in decimal
		if n < 0 {
			return nil, false
		}
		d.at += n + 2
		v, ok := d.value(kind, last, depth)
		if !ok {
			return nil, false
		}
		d.items = append(d.items, v)
	}
	d.at++
	arr := make(bson.A, len(d.items)-first)
	copy(arr, d.items[first:])
	d.items = truncate(d.items, first)
	return arr, true
}

// value reads a value of type kind. It reports false if the value is malformed
// or extends beyond limit, or if only the driver handles its type.
func (d *decoder) value(kind bsontype.Type, limit, depth int) (any, bool) {
	switch kind {
	case bsontype.EmbeddedDocument:
		return valueOrNil(d.document(limit, depth+1))
	case bsontype.Array:
		return valueOrNil(d.array(limit, depth+1))
	case bsontype.String:
		return valueOrNil(d.string(limit))
	case bsontype.Binary:
		return valueOrNil(d.binary(limit))
	case bsontype.Regex:
		pattern, ok := d.cstring(limit)
		if !ok {
			return nil, false
		}
		options, ok := d.cstring(limit)
		return primitive.Regex{Pattern: pattern, Options: options}, ok
	case bsontype.Null:
		return nil, true
	default: // of a fixed size, or not supported
	}
	size := fixedSizes[kind]
	if size == 0 || size > limit-d.at {
		return nil, false
	}
	b := d.src[d.at : d.at+size]
	d.at += size
	switch kind {
	case bsontype.Double:
		return math.Float64frombits(binary.LittleEndian.Uint64(b)), true
	case bsontype.ObjectID:
		return primitive.ObjectID(b), true
	case bsontype.Boolean:
		return b[0] == 1, b[0] <= 1
	case bsontype.DateTime:
		return primitive.DateTime(binary.LittleEndian.Uint64(b)), true
	case bsontype.Int32:
		return int32(binary.LittleEndian.Uint32(b)), true
	case bsontype.Timestamp:
		return primitive.Timestamp{I: binary.LittleEndian.Uint32(b), T: binary.LittleEndian.Uint32(b[4:])}, true
	case bsontype.Int64:
		return int64(binary.LittleEndian.Uint64(b)), true
	default: // Decimal128, the last type of a fixed size
	}
	return primitive.NewDecimal128(binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b)), true
}

// fixedSizes holds the size in bytes of each fixed-size type. It is zero for
// all other types.
var fixedSizes = [256]int{
	bsontype.Double: 8, bsontype.ObjectID: 12, bsontype.Boolean: 1, bsontype.DateTime: 8,
	bsontype.Int32: 4, bsontype.Timestamp: 8, bsontype.Int64: 8, bsontype.Decimal128: 16,
}

// valueOrNil returns v as an interface value. If ok is false it returns nil,
// not an interface that holds the zero value of T.
func valueOrNil[T any](v T, ok bool) (any, bool) {
	if !ok {
		return nil, false
	}
	return v, true
}

func (d *decoder) cstring(limit int) (string, bool) {
	n := bytes.IndexByte(d.src[d.at:limit], 0)
	if n < 0 {
		return "", false
	}
	s := string(d.src[d.at : d.at+n])
	d.at += n + 1
	return s, true
}

// length reads the length prefix of a string or binary. It reports false unless
// that many bytes plus extra fit before limit.
func (d *decoder) length(limit, extra int) (int, bool) {
	if limit-d.at < 4 {
		return 0, false
	}
	n := int(int32(binary.LittleEndian.Uint32(d.src[d.at:])))
	if n < 0 || n+extra > limit-d.at-4 {
		return 0, false
	}
	d.at += 4
	return n, true
}

func (d *decoder) string(limit int) (string, bool) {
	n, ok := d.length(limit, 0)
	if !ok || n == 0 || d.src[d.at+n-1] != 0 {
		return "", false
	}
	s := string(d.src[d.at : d.at+n-1])
	d.at += n
	return s, true
}

// binary reads a binary value. It leaves the deprecated subtype 2, whose data
// begins with a second length, to the driver.
func (d *decoder) binary(limit int) (b primitive.Binary, ok bool) {
	n, ok := d.length(limit, 1)
	if !ok || d.src[d.at] == bsontype.BinaryBinaryOld {
		return b, false
	}
	b.Subtype, b.Data = d.src[d.at], make([]byte, n)
	copy(b.Data, d.src[d.at+1:])
	d.at += 1 + n
	return b, true
}
