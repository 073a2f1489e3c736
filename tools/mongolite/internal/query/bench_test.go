package query_test

import (
	"testing"

	"boxoffice/tools/mongolite/internal/query"
)

func BenchmarkFilterMatch(b *testing.B) {
	f, err := query.CompileFilter(doc(b, "{'event': 'e1', 'price': {'$gte': 100, '$lt': 200}, 'seats.row': 'C'}"), nil)
	if err != nil {
		b.Fatal(err)
	}
	d := doc(b, "{'_id': 1, 'event': 'e1', 'price': 150, 'seats': [{'row': 'A'}, {'row': 'B'}, {'row': 'C'}]}")
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := f.Match(d); !ok || err != nil {
			b.Fatalf("got match %v, error %v, want true and no error", ok, err)
		}
	}
}

func BenchmarkUpdateApply(b *testing.B) {
	u, err := query.CompileUpdate(doc(b, "{'$inc': {'left': -1}, '$set': {'at.by': 'me'}, '$push': {'log': 1}}"), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	d := doc(b, "{'_id': 1, 'left': 10, 'at': {'by': 'you'}, 'log': [], 'other': {'big': ['x', 'y', 'z']}}")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := u.Apply(d, nil, false); err != nil {
			b.Fatal(err)
		}
	}
}
