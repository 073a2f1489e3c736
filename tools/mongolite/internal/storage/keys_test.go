package storage_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/storage"
)

// edgeCases holds values for which an order-preserving encoding is easily wrong.
var edgeCases = []any{
	nil, math.NaN(), math.Inf(-1), math.Inf(1), 0.0, math.Copysign(0, -1), 1.5, -1.5, 1e300, -1e300,
	5e-324, -5e-324, math.MaxFloat64, -math.MaxFloat64,
	int32(0), int32(1), int32(-1), int32(math.MaxInt32), int32(math.MinInt32),
	int64(math.MaxInt64), int64(math.MaxInt64 - 1), int64(math.MaxInt64 - 1023), int64(math.MaxInt64 - 1024),
	int64(math.MinInt64), int64(math.MinInt64 + 1), int64(1<<53 + 1), int64(1<<53 - 1), int64(1 << 53),
	int64(-1<<53 - 1), int64(-1<<53 + 1), float64(1 << 53), float64(-1 << 53), float64(1 << 62), int64(1<<62 + 1), float64(1 << 63),
	"", "a", "a\x00", "a\x00b", "a\x00\xff", "ab", "\xff", "ä",
	bson.D{}, bson.D{{Key: "a", Value: int32(1)}}, bson.D{{Key: "a", Value: 1.0}, {Key: "b", Value: nil}},
	bson.D{{Key: "a\x00", Value: "x"}}, bson.D{{Key: "", Value: "x"}}, bson.D{{Key: "b", Value: int32(0)}},
	bson.A{}, bson.A{nil}, bson.A{int32(1)}, bson.A{int32(1), "x"}, bson.A{bson.A{}},
	primitive.Binary{Data: []byte{}}, primitive.Binary{Data: []byte{0xff}}, primitive.Binary{Data: []byte{0, 0}}, primitive.Binary{Subtype: 4, Data: []byte{0xff}},
	primitive.ObjectID{}, primitive.ObjectID{1}, primitive.ObjectID{0xff},
	true, false, primitive.DateTime(0), primitive.DateTime(-1), primitive.DateTime(time.Now().UnixMilli()), primitive.DateTime(math.MinInt64),
	primitive.Timestamp{T: 1}, primitive.Timestamp{T: 1, I: 1}, primitive.Timestamp{T: math.MaxUint32},
	primitive.Regex{Pattern: "a"}, primitive.Regex{Pattern: "a", Options: "i"},
}

func TestKeysSortLikeTheirValues(t *testing.T) {
	values := append([]any{}, edgeCases...)
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := int64(r.Uint64()) >> r.IntN(63)
		values = append(values, n, float64(n), math.Float64frombits(r.Uint64()), int32(n))
	}
	keys := make([][]byte, len(values))
	for i, v := range values {
		key, err := storage.AppendKey(nil, v)
		if err != nil {
			t.Fatalf("key of %#v: %v", v, err)
		}
		keys[i] = key
	}
	for i, a := range values {
		for j, b := range values {
			want := bsonkit.Compare(a, b)
			if got := bytes.Compare(keys[i], keys[j]); got != want {
				t.Errorf("comparing the keys of %#v and %#v: got %d, want %d", a, b, got, want)
			}
			if want != 0 && bytes.HasPrefix(keys[j], keys[i]) {
				t.Errorf("the key of %#v is a prefix of the key of %#v", a, b)
			}
		}
	}
}

func TestAppendKeyRejectsDecimal128(t *testing.T) {
	if _, err := storage.AppendKey(nil, bson.A{primitive.NewDecimal128(1, 1)}); err == nil {
		t.Fatal("key of an array with a Decimal128: got no error, want one")
	}
}
