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

// indexInfo is an index as listIndexes tells it.
type indexInfo struct {
	Name    string
	Key     bson.D
	Unique  bool
	Sparse  bool
	Partial bson.D `bson:"partialFilterExpression"`
}

// agree checks that every index of a collection holds exactly what the
// documents say. A look at all documents is the truth; from it follow how many
// entries an index has, which documents a walk through it yields, and how many
// it finds under each value.
func agree(t *testing.T, coll *mongo.Collection) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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
		t.Fatalf("%s has no indexes", coll.Name())
	}
	for _, ix := range indexes {
		ix.agree(ctx, t, coll, docs)
	}
}

func (ix indexInfo) agree(ctx context.Context, t *testing.T, coll *mongo.Collection, docs []bson.Raw) {
	t.Helper()
	var ids []string                     // of the documents that the index holds
	under := map[string]map[string]int{} // first column's value -> _ids
	value := map[string]bson.RawValue{}
	whole := map[string]int{} // all columns -> documents
	entries := 0
	for _, doc := range docs {
		if !ix.holds(t, doc) {
			continue
		}
		id := doc.Lookup("_id").String()
		ids = append(ids, id)
		keys := map[string]bool{}
		for _, row := range ix.rows(doc) {
			first := row[0].String()
			value[first] = row[0]
			if under[first] == nil {
				under[first] = map[string]int{}
			}
			under[first][id]++
			keys[fmt.Sprint(row)] = true
		}
		for k := range keys {
			whole[k]++
		}
		entries += len(keys)
	}
	if ix.Unique || ix.Name == "_id_" {
		for k, n := range whole {
			if n > 1 {
				t.Fatalf("%s.%s: %d documents hold the unique %s", coll.Name(), ix.Name, n, k)
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
		t.Fatalf("%s.%s: a walk yields %d documents, its documents are %d\n got %v\nwant %v", coll.Name(), ix.Name, len(got), len(ids), got, ids)
	}

	// The filter is applied to what an entry leads to, so only the number of
	// entries shows one that should be gone.
	stats := explain(ctx, t, coll, bson.D{{"find", coll.Name()}, {"filter", ix.filter()}, {"hint", ix.Name}})
	if stats.Plan.stage() != "IXSCAN" || stats.Stats.Keys != entries {
		t.Fatalf("%s.%s: %s over %d entries, want IXSCAN over %d", coll.Name(), ix.Name, stats.Plan.stage(), stats.Stats.Keys, entries)
	}

	checked := 0
	for first, ids := range under {
		if ix.Sparse && value[first].Type == bson.TypeNull {
			continue // null is also what the documents have that it leaves out
		}
		if checked++; checked > 3 {
			break
		}
		filter := append(bson.D{{ix.Key[0].Key, value[first]}}, ix.filter()...)
		byIndex := count(ctx, t, coll, filter, ix.Name)
		byScan := count(ctx, t, coll, filter, bson.D{{"$natural", 1}})
		if byIndex != byScan || byIndex != len(ids) {
			t.Fatalf("%s.%s: %v is counted %d times by the index, %d by a scan, and stands in %d documents", coll.Name(), ix.Name, filter, byIndex, byScan, len(ids))
		}
	}
}

// filter returns a filter that every document of the index matches.
func (ix indexInfo) filter() bson.D {
	if ix.Partial != nil {
		return ix.Partial
	}
	return bson.D{}
}

// holds tells whether the index holds the document. Of partial indexes it
// knows those on {field: {$gt: number}}.
func (ix indexInfo) holds(t *testing.T, doc bson.Raw) bool {
	for _, e := range ix.Partial {
		v, ok := doc.Lookup(e.Key).AsInt64OK()
		least, known := e.Value.(bson.D)[0].Value.(int32)
		if !known || e.Value.(bson.D)[0].Key != "$gt" {
			t.Fatalf("cannot judge %v", ix.Partial)
		}
		if !ok || v <= int64(least) {
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

// rows returns the values of the columns, a row for each item of an array.
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

func count(ctx context.Context, t *testing.T, coll *mongo.Collection, filter bson.D, hint any) int {
	t.Helper()
	var reply struct{ N int }
	must(t, coll.Database().RunCommand(ctx, bson.D{{"count", coll.Name()}, {"query", filter}, {"hint", hint}}).Decode(&reply))
	return reply.N
}

// explained is what the tests read of explain's answer.
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

// stage returns the innermost stage.
func (p *planStage) stage() string {
	for p.Input != nil {
		p = p.Input
	}
	return p.Stage
}

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
