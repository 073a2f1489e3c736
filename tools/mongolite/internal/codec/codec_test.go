package codec_test

import (
	"bytes"
	"math"
	"reflect"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"

	"boxoffice/tools/mongolite/internal/codec"
)

// allTypes returns a document with a value of every BSON type. Types with
// several encodings appear once in each of them.
func allTypes(t testing.TB) bson.D {
	decimal, err := primitive.ParseDecimal128("-12.34E+5")
	if err != nil {
		t.Fatal(err)
	}
	id := primitive.NewObjectID()
	return bson.D{
		{Key: "double", Value: -1.5}, {Key: "negative zero", Value: math.Copysign(0, -1)}, {Key: "infinity", Value: math.Inf(1)},
		{Key: "string", Value: "Grüße\x00after a zero byte"}, {Key: "", Value: ""},
		{Key: "document", Value: bson.D{{Key: "a", Value: bson.D{}}, {Key: "a", Value: "twice"}}},
		{Key: "array", Value: bson.A{bson.A{}, bson.D{{Key: "x", Value: nil}}, nil, int32(1), "s"}},
		{Key: "binary", Value: primitive.Binary{Subtype: 4, Data: bytes.Repeat([]byte{7}, 16)}},
		{Key: "empty binary", Value: primitive.Binary{Data: []byte{}}},
		{Key: "binary of subtype 2", Value: primitive.Binary{Subtype: 2, Data: []byte("old")}},
		{Key: "undefined", Value: primitive.Undefined{}}, {Key: "id", Value: id},
		{Key: "true", Value: true}, {Key: "false", Value: false},
		{Key: "date", Value: primitive.NewDateTimeFromTime(time.Unix(-1, 0))}, {Key: "null", Value: nil},
		{Key: "regex", Value: primitive.Regex{Pattern: "^a", Options: "imx"}}, {Key: "empty regex", Value: primitive.Regex{}},
		{Key: "DBPointer", Value: primitive.DBPointer{DB: "db", Pointer: id}},
		{Key: "code", Value: primitive.JavaScript("f()")}, {Key: "symbol", Value: primitive.Symbol("s")},
		{Key: "code with scope", Value: primitive.CodeWithScope{Code: "f()", Scope: bson.D{{Key: "x", Value: int32(1)}}}},
		{Key: "int32", Value: int32(math.MinInt32)}, {Key: "timestamp", Value: primitive.Timestamp{T: math.MaxUint32, I: 7}},
		{Key: "int64", Value: int64(math.MinInt64)}, {Key: "decimal", Value: decimal},
		{Key: "MinKey", Value: primitive.MinKey{}}, {Key: "MaxKey", Value: primitive.MaxKey{}},
	}
}

func nested(depth int) bson.D {
	doc := bson.D{}
	for i := range depth {
		doc = bson.D{{Key: "d", Value: doc}}
		if i%2 == 1 {
			doc = bson.D{{Key: "a", Value: bson.A{doc}}}
		}
	}
	return doc
}

// documents returns test documents by name: one with values of all types, two for
// each type (at the top level and nested), an empty one, and two that are deeply
// nested.
func documents(t testing.TB) map[string]bson.D {
	all := allTypes(t)
	docs := map[string]bson.D{"all types": all, "empty document": {}, "nested": nested(100), "nested beyond the limit of the codec": nested(400)}
	for _, e := range all {
		docs[e.Key] = bson.D{e}
		docs[e.Key+", nested"] = bson.D{{Key: "d", Value: bson.D{e, {Key: "l", Value: bson.A{e.Value, e.Value}}}}, {Key: "after", Value: int32(1)}}
	}
	return docs
}

// checkAgainstDriver fails the test unless this package and the driver return
// equal results and errors for raw.
func checkAgainstDriver(t *testing.T, raw []byte) {
	t.Helper()
	var want bson.D
	wantErr := bson.Unmarshal(raw, &want)
	doc, err := codec.Unmarshal(bytes.Clone(raw))
	if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
		t.Fatalf("Unmarshal(%x): got error %v, want the driver's %v", raw, err, wantErr)
	}
	if err == nil && !equalValues(doc, want) {
		t.Fatalf("Unmarshal(%x):\n got %#v\nwant %#v", raw, doc, want)
	}
	if wantErr != nil {
		return
	}
	wantRaw, wantErr := bson.Marshal(want)
	got, err := codec.Marshal(want)
	if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
		t.Fatalf("Marshal(%#v): got error %v, want the driver's %v", want, err, wantErr)
	}
	if err == nil && !bytes.Equal(got, wantRaw) {
		t.Fatalf("Marshal(%#v):\n got %x\nwant %x", want, got, wantRaw)
	}
}

// equalValues reports whether a and b are deeply equal. Unlike
// reflect.DeepEqual it compares doubles by their bits, so a NaN equals itself.
func equalValues(a, b any) bool {
	if reflect.TypeOf(a) != reflect.TypeOf(b) {
		return false
	}
	switch a := a.(type) {
	case bson.D:
		b := b.(bson.D)
		if len(a) != len(b) || (a == nil) != (b == nil) {
			return false
		}
		for i := range a {
			if a[i].Key != b[i].Key || !equalValues(a[i].Value, b[i].Value) {
				return false
			}
		}
		return true
	case bson.A:
		b := b.(bson.A)
		if len(a) != len(b) || (a == nil) != (b == nil) {
			return false
		}
		for i := range a {
			if !equalValues(a[i], b[i]) {
				return false
			}
		}
		return true
	case primitive.CodeWithScope:
		b := b.(primitive.CodeWithScope)
		return a.Code == b.Code && equalValues(a.Scope, b.Scope)
	case float64:
		return math.Float64bits(a) == math.Float64bits(b.(float64))
	}
	return reflect.DeepEqual(a, b)
}

func TestCodecMatchesDriver(t *testing.T) {
	for name, doc := range documents(t) {
		raw, err := bson.Marshal(doc)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		checkAgainstDriver(t, raw)
		var decoded bson.D
		if decoded, err = codec.Unmarshal(raw); err != nil || !equalValues(decoded, doc) {
			t.Errorf("%s: Unmarshal returned error %v\n got %#v\nwant %#v", name, err, decoded, doc)
		}
	}
}

func TestCodecMatchesDriverOnTruncatedOrCorruptedInput(t *testing.T) {
	// The documents with a single type matter here. The codec passes the document
	// with all types to the driver, because it contains rare types.
	for _, doc := range documents(t) {
		raw, err := bson.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) > 300 { // larger documents would take minutes
			continue
		}
		checkAgainstDriver(t, append(bytes.Clone(raw), 0))
		for n := range raw {
			truncated := bytes.Clone(raw[:n])
			checkAgainstDriver(t, truncated)
			if n >= 5 { // once more with a valid length and terminator
				truncated = bsoncore.UpdateLength(truncated, 0, int32(n))
				truncated[n-1] = 0
				checkAgainstDriver(t, truncated)
			}
			for _, b := range []byte{0, 1, 2, raw[n] + 1, raw[n] - 1, 0x80, 0xFF} {
				corrupted := bytes.Clone(raw)
				corrupted[n] = b
				checkAgainstDriver(t, corrupted)
			}
		}
	}
}

func TestMarshalMatchesDriverOnValuesThatAreNeverStored(t *testing.T) {
	raw, err := bson.Marshal(allTypes(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, doc := range map[string]bson.D{
		"nil": nil, "nil document": {{Key: "d", Value: bson.D(nil)}}, "nil array": {{Key: "a", Value: bson.A(nil)}},
		"raw documents":      {{Key: "d", Value: bson.Raw(raw)}, {Key: "a", Value: bson.A{bson.Raw(raw)}}},
		"empty raw document": {{Key: "d", Value: bson.Raw{}}}, "nil raw document": {{Key: "d", Value: bson.Raw(nil)}},
		"truncated raw document": {{Key: "d", Value: bson.Raw(raw[:len(raw)-1])}},
		"zero byte in a key":     {{Key: "a\x00b", Value: 1}}, "zero byte in a regex": {{Key: "r", Value: primitive.Regex{Pattern: "a\x00"}}},
		"unsorted regex options":       {{Key: "r", Value: primitive.Regex{Options: "xi"}}},
		"binary without data":          {{Key: "b", Value: primitive.Binary{}}},
		"native Go types":              {{Key: "int", Value: 7}, {Key: "time", Value: time.Unix(1, 0)}, {Key: "list", Value: []string{"a"}}, {Key: "docs", Value: []bson.D{{}}}, {Key: "map", Value: bson.M{"a": 1}}},
		"type without a BSON encoding": {{Key: "c", Value: make(chan int)}},
	} {
		want, wantErr := bson.Marshal(doc)
		got, err := codec.Marshal(doc)
		if !bytes.Equal(got, want) || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Errorf("%s:\n got %x, %v\nwant %x, %v", name, got, err, want, wantErr)
		}
	}
}

func TestUnmarshaledDocumentsShareNoMemory(t *testing.T) {
	want := bson.D{{Key: "s", Value: "text"}, {Key: "b", Value: primitive.Binary{Data: []byte("data")}}, {Key: "d", Value: bson.D{{Key: "x", Value: int32(1)}}}}
	raw, err := bson.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := codec.Unmarshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 9 { // overwrites the buffers that the first call used
		other, err := bson.Marshal(bson.D{{Key: "other", Value: int32(i)}, {Key: "a", Value: bson.A{"b", int32(i)}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := codec.Unmarshal(other); err != nil {
			t.Fatal(err)
		}
	}
	clear(raw)
	if !equalValues(doc, want) {
		t.Errorf("got %v, want %v", doc, want)
	}
}

func FuzzCodecMatchesDriver(f *testing.F) {
	for _, doc := range documents(f) {
		raw, err := bson.Marshal(doc)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) { checkAgainstDriver(t, raw) })
}

// record returns a document of the size and shape that applications store.
func record() bson.D {
	item := bson.D{{Key: "tier", Value: "stalls"}, {Key: "quantity", Value: int32(2)}, {Key: "price", Value: bson.D{{Key: "amount", Value: int64(4500)}, {Key: "currency", Value: "EUR"}}}, {Key: "seats", Value: bson.A{"A1", "A2"}}}
	return bson.D{{Key: "_id", Value: "0192f3c4-7e3b-7c1a-9d2e-000000000001"}, {Key: "version", Value: int64(1 << 40)}, {Key: "status", Value: "pending"},
		{Key: "created", Value: primitive.DateTime(1 << 40)}, {Key: "customer", Value: primitive.NewObjectID()}, {Key: "items", Value: bson.A{item, item, item, item}}}
}

func BenchmarkUnmarshal(b *testing.B) {
	raw, err := bson.Marshal(record())
	if err != nil {
		b.Fatal(err)
	}
	driver := func(raw []byte) (doc bson.D, err error) { return doc, bson.Unmarshal(raw, &doc) }
	for _, by := range []struct {
		name      string
		unmarshal func([]byte) (bson.D, error)
	}{{"driver", driver}, {"Unmarshal", codec.Unmarshal}} {
		b.Run(by.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := by.unmarshal(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMarshal(b *testing.B) {
	doc := record()
	driver := func(doc bson.D) ([]byte, error) { return bson.Marshal(doc) }
	for _, by := range []struct {
		name    string
		marshal func(bson.D) ([]byte, error)
	}{{"driver", driver}, {"Marshal", codec.Marshal}} {
		b.Run(by.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := by.marshal(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
