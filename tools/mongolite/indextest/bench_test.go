package indextest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/plan"
	"boxoffice/tools/mongolite/internal/query"
	"boxoffice/tools/mongolite/internal/storage"
)

// The benchmarks measure the processor time of hot paths, without network and
// disk.

// seat returns a document of about the size that Boxoffice stores.
func seat(i int32) bson.D {
	return d{
		{Key: "_id", Value: fmt.Sprintf("seat-%06d", i)}, {Key: "event", Value: fmt.Sprintf("event-%d", i/100)}, {Key: "row", Value: i % 100},
		{Key: "state", Value: "free"}, {Key: "version", Value: int64(1)}, {Key: "price", Value: d{{Key: "amount", Value: int64(4200)}, {Key: "currency", Value: "EUR"}}},
		{Key: "labels", Value: a{"stalls", "aisle"}}, {Key: "changed", Value: primitive.DateTime(1_700_000_000_000)},
	}
}

// seats returns a collection with the given indexes and n documents.
func seats(b *testing.B, n int32, indexes ...storage.IndexSpec) *storage.Collection {
	b.Helper()
	s, err := storage.Open(storage.Options{Dir: "bench", FS: vfs.NewMem(), CacheBytes: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	coll, _, err := s.Create("t.seats", nil)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := coll.CreateIndexes(indexes, func() error { return nil }); err != nil {
		b.Fatal(err)
	}
	for i := range n {
		if err := coll.Write(func(tx *storage.Tx) error { return tx.Insert(seat(i)) }); err != nil {
			b.Fatal(err)
		}
	}
	return coll
}

var byEvent = storage.IndexSpec{Name: "event", Key: key("event", "row")}

// mustCompile compiles a filter.
func mustCompile(b *testing.B, filter bson.D) *query.Filter {
	b.Helper()
	f, err := compile(filter)
	if err != nil {
		b.Fatal(err)
	}
	return f
}

func BenchmarkFindByID(b *testing.B) {
	coll := seats(b, 10_000, byEvent)
	b.ReportAllocs()
	i := int32(0)
	for b.Loop() {
		i = (i + 7919) % 10_000
		id, err := storage.AppendKey(nil, fmt.Sprintf("seat-%06d", i))
		if err != nil {
			b.Fatal(err)
		}
		if raw, err := coll.Find(id); raw == nil || err != nil {
			b.Fatal(raw, err)
		}
	}
}

// BenchmarkFindByIndex plans a query for the first ten rows of an event and scans
// the index.
func BenchmarkFindByIndex(b *testing.B) {
	coll := seats(b, 10_000, byEvent)
	sort, err := query.CompileSort(key("row"))
	if err != nil {
		b.Fatal(err)
	}
	f := mustCompile(b, d{{Key: "event", Value: "event-42"}, {Key: "row", Value: op("$lt", int32(10))}})
	b.ReportAllocs()
	for b.Loop() {
		view, err := coll.View()
		if err != nil {
			b.Fatal(err)
		}
		p, err := plan.Choose(view.Indexes(), f.Source(), sort, nil)
		if err != nil || !p.Sorted {
			b.Fatal(p, err)
		}
		scan := view.Scan(p.Index, p.Ranges, p.Reverse)
		n := 0
		for scan.Next() {
			n++
		}
		if n != 10 || scan.Err() != nil || scan.Close() != nil || view.Close() != nil {
			b.Fatal(n, scan.Err())
		}
	}
}

// BenchmarkConditionalUpdate runs a find by _id, a match and {$inc: {version: 1}}
// under the write lock.
func BenchmarkConditionalUpdate(b *testing.B) {
	coll := seats(b, 10_000, byEvent)
	vars, err := query.NewVars(time.Unix(0, 0), nil)
	if err != nil {
		b.Fatal(err)
	}
	u, err := query.CompileUpdate(op("$inc", d{{Key: "version", Value: int64(1)}}), nil, vars)
	if err != nil {
		b.Fatal(err)
	}
	f := mustCompile(b, d{{Key: "state", Value: "free"}})
	b.ReportAllocs()
	i := int32(0)
	for b.Loop() {
		i = (i + 7919) % 10_000
		id, err := storage.AppendKey(nil, fmt.Sprintf("seat-%06d", i))
		if err != nil {
			b.Fatal(err)
		}
		err = coll.Write(func(tx *storage.Tx) error {
			raw, err := tx.Find(id)
			if err != nil {
				return err
			}
			var old bson.D
			if err := bson.Unmarshal(raw, &old); err != nil {
				return err
			}
			if ok, err := f.Match(old); !ok || err != nil {
				return fmt.Errorf("match %v: %w", ok, err)
			}
			doc, err := u.Apply(old, f, false)
			if err != nil {
				return err
			}
			_, _, err = tx.Replace(id, old, doc)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInsert(b *testing.B) {
	for name, indexes := range map[string][]storage.IndexSpec{
		"indexes=0": nil,
		"indexes=3": {byEvent, {Name: "state", Key: key("state")}, {Name: "labels", Key: key("labels")}},
	} {
		b.Run(name, func(b *testing.B) {
			coll := seats(b, 0, indexes...)
			b.ReportAllocs()
			i := int32(0)
			for b.Loop() {
				i++
				if err := coll.Write(func(tx *storage.Tx) error { return tx.Insert(seat(i)) }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFilterMatch(b *testing.B) {
	for name, filter := range map[string]bson.D{
		"equality": {{Key: "state", Value: "free"}},
		"three":    {{Key: "event", Value: "event-0"}, {Key: "row", Value: op("$gte", int32(0))}, {Key: "labels", Value: op("$in", a{"box", "aisle"})}},
		"dotted":   {{Key: "price.currency", Value: "EUR"}},
	} {
		b.Run(name, func(b *testing.B) {
			f, doc := mustCompile(b, filter), seat(1)
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := f.Match(doc); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

func BenchmarkIndexKeys(b *testing.B) {
	for name, path := range map[string][]string{"scalar": {"event"}, "array": {"labels"}, "dotted": {"price", "amount"}} {
		b.Run(name, func(b *testing.B) {
			doc := seat(1)
			b.ReportAllocs()
			for b.Loop() {
				if rows, _, err := query.IndexKeys(doc, [][]string{path}); len(rows) == 0 || err != nil {
					b.Fatal(rows, err)
				}
			}
		})
	}
}

func BenchmarkKeyEncoding(b *testing.B) {
	for name, v := range map[string]any{
		"string": "seat-000001", "int64": int64(1<<53 + 1), "double": 1.5, "objectId": primitive.NewObjectID(),
		"date": primitive.DateTime(1), "document": d{{Key: "a", Value: int32(1)}, {Key: "b", Value: "x"}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]byte, 0, 64)
			for b.Loop() {
				if _, err := storage.AppendKey(dst, v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
