package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// indexInfo is an index as listIndexes describes it.
type indexInfo struct {
	Name    string
	Key     bson.D
	Unique  bool
	Sparse  bool
	Partial bson.D `bson:"partialFilterExpression"`
}

// checkIndexes checks that every index of a collection agrees with the
// collection's documents. It reads all documents by a collection scan and derives
// from them, for each index, the number of entries, the documents that a scan of
// the index returns, and the number of documents under a value. It compares
// these with the server's answers.
func checkIndexes(t *testing.T, coll *mongo.Collection) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	var docs []bson.Raw
	cur, err := coll.Find(ctx, bson.D{}, options.Find().SetHint(bson.D{{"$natural", 1}}))
	must(t, err)
	must(t, cur.All(ctx, &docs))
	var indexes []indexInfo
	cur, err = coll.Indexes().List(ctx)
	must(t, err)
	must(t, cur.All(ctx, &indexes))
	if len(indexes) == 0 {
		t.Fatalf("%s: got no indexes, want at least _id_", coll.Name())
	}
	for _, ix := range indexes {
		ix.check(ctx, t, coll, docs)
	}
}

// check compares one index with docs, the documents of its collection.
func (ix indexInfo) check(ctx context.Context, t *testing.T, coll *mongo.Collection, docs []bson.Raw) {
	t.Helper()
	var ids []string                          // _ids of the documents in the index
	idsByFirst := map[string]map[string]int{} // _ids by the value of the first column
	value := map[string]bson.RawValue{}       // the values whose text is a key of idsByFirst
	docsByKey := map[string]int{}             // number of documents by complete key
	entries := 0
	for _, doc := range docs {
		if !ix.contains(t, doc) {
			continue
		}
		id := doc.Lookup("_id").String()
		ids = append(ids, id)
		keys := map[string]bool{}
		for _, row := range ix.rows(doc) {
			first := row[0].String()
			value[first] = row[0]
			if idsByFirst[first] == nil {
				idsByFirst[first] = map[string]int{}
			}
			idsByFirst[first][id]++
			keys[fmt.Sprint(row)] = true
		}
		for k := range keys {
			docsByKey[k]++
		}
		entries += len(keys)
	}
	if ix.Unique || ix.Name == "_id_" {
		for k, n := range docsByKey {
			if n > 1 {
				t.Fatalf("%s.%s: %d documents have the unique key %s, want 1", coll.Name(), ix.Name, n, k)
			}
		}
	}

	var walked []bson.Raw
	cur, err := coll.Find(ctx, ix.filter(), options.Find().SetHint(ix.Name).SetProjection(bson.D{{"_id", 1}}))
	must(t, err)
	must(t, cur.All(ctx, &walked))
	var got []string
	for _, doc := range walked {
		got = append(got, doc.Lookup("_id").String())
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		t.Fatalf("%s.%s: an index scan returns %d documents, want %d\n got %v\nwant %v", coll.Name(), ix.Name, len(got), len(ids), got, ids)
	}

	// The server applies the filter to the document of each entry. A stale entry
	// is therefore invisible in the results; only the number of examined entries
	// reveals it.
	stats := explain(ctx, t, coll, bson.D{{"find", coll.Name()}, {"filter", ix.filter()}, {"hint", ix.Name}})
	if stats.Plan.stage() != "IXSCAN" || stats.Stats.Keys != entries {
		t.Fatalf("%s.%s: got %s over %d entries, want IXSCAN over %d", coll.Name(), ix.Name, stats.Plan.stage(), stats.Stats.Keys, entries)
	}

	checked := 0
	for first, ids := range idsByFirst {
		if ix.Sparse && value[first].Type == bson.TypeNull {
			continue // documents without the field match null too, but are not in the index
		}
		if checked++; checked > 3 {
			break
		}
		filter := append(bson.D{{ix.Key[0].Key, value[first]}}, ix.filter()...)
		byIndex := count(ctx, t, coll, filter, ix.Name)
		byScan := count(ctx, t, coll, filter, bson.D{{"$natural", 1}})
		if byIndex != byScan || byIndex != len(ids) {
			t.Fatalf("%s.%s: count of %v: got %d by the index and %d by a collection scan, want %d", coll.Name(), ix.Name, filter, byIndex, byScan, len(ids))
		}
	}
}

// filter returns a filter that matches exactly the documents that a partial index
// holds. For other indexes it matches every document.
func (ix indexInfo) filter() bson.D {
	if ix.Partial != nil {
		return ix.Partial
	}
	return bson.D{}
}

// contains reports whether the index must hold the document. The only partial
// filter that it supports is {field: {$gt: number}}.
func (ix indexInfo) contains(t *testing.T, doc bson.Raw) bool {
	for _, e := range ix.Partial {
		v, ok := doc.Lookup(e.Key).AsInt64OK()
		limit, isNumber := e.Value.(bson.D)[0].Value.(int32)
		if !isNumber || e.Value.(bson.D)[0].Key != "$gt" {
			t.Fatalf("unsupported partial filter %v", ix.Partial)
		}
		if !ok || v <= int64(limit) {
			return false
		}
	}
	if !ix.Sparse {
		return true
	}
	for _, e := range ix.Key {
		if _, err := doc.LookupErr(e.Key); err == nil {
			return true
		}
	}
	return false
}

// rows returns the values of the index's columns in doc. If a column holds an
// array, there is one row for each of its elements.
func (ix indexInfo) rows(doc bson.Raw) [][]bson.RawValue {
	rows := [][]bson.RawValue{nil}
	for _, e := range ix.Key {
		v, err := doc.LookupErr(e.Key)
		if err != nil {
			v = bson.RawValue{Type: bson.TypeNull}
		}
		values := []bson.RawValue{v}
		if array, ok := v.ArrayOK(); ok {
			if items, _ := array.Values(); len(items) > 0 {
				values = items
			}
		}
		var next [][]bson.RawValue
		for _, row := range rows {
			for _, v := range values {
				next = append(next, append(slices.Clone(row), v))
			}
		}
		rows = next
	}
	return rows
}

// count returns the number of documents that match filter, counted with the
// hinted index.
func count(ctx context.Context, t *testing.T, coll *mongo.Collection, filter bson.D, hint any) int {
	t.Helper()
	var reply struct{ N int }
	must(t, coll.Database().RunCommand(ctx, bson.D{{"count", coll.Name()}, {"query", filter}, {"hint", hint}}).Decode(&reply))
	return reply.N
}

// explained is the part of explain's reply that the tests use.
type explained struct {
	Plan  planStage
	Stats struct {
		Returned int `bson:"nReturned"`
		Keys     int `bson:"totalKeysExamined"`
		Docs     int `bson:"totalDocsExamined"`
	}
}

type planStage struct {
	Stage string
	Input *planStage `bson:"inputStage"`
}

// stage returns the name of the innermost stage.
func (p *planStage) stage() string {
	for p.Input != nil {
		p = p.Input
	}
	return p.Stage
}

// explain runs explain with the verbosity executionStats.
func explain(ctx context.Context, t *testing.T, coll *mongo.Collection, cmd bson.D) explained {
	t.Helper()
	var reply struct {
		Planner struct {
			Plan planStage `bson:"winningPlan"`
		} `bson:"queryPlanner"`
		Stats bson.Raw `bson:"executionStats"`
	}
	must(t, coll.Database().RunCommand(ctx, bson.D{{"explain", cmd}, {"verbosity", "executionStats"}}).Decode(&reply))
	e := explained{Plan: reply.Planner.Plan}
	must(t, bson.Unmarshal(reply.Stats, &e.Stats))
	return e
}
