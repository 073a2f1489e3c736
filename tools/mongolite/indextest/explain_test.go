package indextest_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/query"
)

// planInfo describes a query plan as explain reports it.
type planInfo struct {
	stage    string // IXSCAN, COLLSCAN or EOF
	index    string
	hasSort  bool // the plan has a SORT stage
	backward bool
	bounds   []string // the columns with bounds
}

// readPlan reads the plan from a reply to explain.
func readPlan(reply bson.D) (p planInfo) {
	stage, _ := lookup(reply, "queryPlanner", "winningPlan").(bson.D)
	for stage != nil {
		switch name, _ := lookup(stage, "stage").(string); name {
		case "SORT":
			p.hasSort = true
		case "FETCH":
		default:
			p.stage = name
			p.index, _ = lookup(stage, "indexName").(string)
			p.backward = lookup(stage, "direction") == "backward"
			bounds, _ := lookup(stage, "indexBounds").(bson.D)
			for _, e := range bounds {
				p.bounds = append(p.bounds, e.Key)
			}
		}
		stage, _ = lookup(stage, "inputStage").(bson.D)
	}
	return p
}

// examined counts what a query examined and returned.
type examined struct{ keys, docs, returned int32 }

// readStats reads the execution statistics from a reply to explain.
func readStats(reply bson.D) (e examined) {
	e.keys, _ = lookup(reply, "executionStats", "totalKeysExamined").(int32)
	e.docs, _ = lookup(reply, "executionStats", "totalDocsExamined").(int32)
	e.returned, _ = lookup(reply, "executionStats", "nReturned").(int32)
	return e
}

type (
	d = bson.D
	a = bson.A
)

// key returns an index key or a sort. A name with a leading minus is descending.
func key(names ...string) (k bson.D) {
	for _, name := range names {
		if name[0] == '-' {
			k = append(k, bson.E{Key: name[1:], Value: int32(-1)})
		} else {
			k = append(k, bson.E{Key: name, Value: int32(1)})
		}
	}
	return k
}

// op returns a document with one field.
func op(name string, v any) bson.D { return d{{Key: name, Value: v}} }

// hundredDocuments returns the documents with the _ids 0 to 99. Their fields are:
//
//   - a: one of 10 values
//   - b: the _id
//   - c: one of 3 values
//   - mixed: a string in every second document, a number in the others
//   - tags: an array of two numbers
//   - items: an array of two documents
//   - s: the _id, in every second document only
func hundredDocuments() (docs []bson.D) {
	for i := range int32(100) {
		doc := d{
			{Key: "_id", Value: i}, {Key: "a", Value: i % 10}, {Key: "b", Value: i}, {Key: "c", Value: i % 3},
			{Key: "mixed", Value: any(i)}, {Key: "tags", Value: a{i, i + 1}},
			{Key: "items", Value: a{d{{Key: "k", Value: i}, {Key: "v", Value: int32(1)}}, d{{Key: "k", Value: int32(-1)}, {Key: "v", Value: i}}}},
		}
		if i%2 == 0 {
			doc = append(doc, bson.E{Key: "s", Value: i})
			doc[4].Value = fmt.Sprint(i)
		}
		docs = append(docs, doc)
	}
	return docs
}

// definition defines an index.
type definition struct {
	name    string
	key     bson.D
	options bson.D
}

// TestPlannerChoosesIndexAndBounds checks the plan of each query, and the number
// of entries and documents that it examines.
func TestPlannerChoosesIndexAndBounds(t *testing.T) {
	plain := func(names ...string) definition { return definition{name: "ix", key: key(names...)} }
	with := func(def definition, option string, v any) definition {
		def.options = append(def.options, bson.E{Key: option, Value: v})
		return def
	}
	partial := func(def definition, filter bson.D) definition { return with(def, "partialFilterExpression", filter) }
	from50 := partial(plain("b"), d{{Key: "b", Value: op("$gte", int32(50))}})
	above50 := partial(plain("b"), d{{Key: "b", Value: op("$gt", int32(50))}})
	below50 := partial(plain("b"), d{{Key: "b", Value: op("$lt", int32(50))}})
	hasS := partial(plain("b"), d{{Key: "s", Value: op("$exists", true)}})
	numeric := partial(plain("b"), d{{Key: "s", Value: op("$type", "number")}})
	collscan, scan100 := planInfo{stage: "COLLSCAN"}, examined{0, 100, 0}
	collscanSorted := planInfo{stage: "COLLSCAN", hasSort: true}
	ixscan := planInfo{stage: "IXSCAN", index: "ix"}
	scanned := func(n int32) examined { return examined{n, n, n} }
	bounded := func(p planInfo, columns ...string) planInfo { p.bounds = columns; return p }
	backward := func(p planInfo) planInfo { p.backward = true; return p }
	withSort := func(p planInfo) planInfo { p.hasSort = true; return p }
	returning := func(e examined, n int32) examined { e.returned = n; return e }
	idscan := planInfo{stage: "IXSCAN", index: "_id_"}

	tests := []struct {
		name    string
		indexes []definition
		filter  bson.D
		sort    bson.D
		hint    any
		limit   int32
		plan    planInfo
		stats   examined
	}{
		{name: "no index", filter: d{{Key: "a", Value: int32(3)}}, plan: collscan, stats: returning(scan100, 10)},
		{name: "everything", indexes: []definition{plain("a")}, plan: collscan, stats: returning(scan100, 100)},
		{name: "equality", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: int32(3)}}, plan: bounded(ixscan, "a"), stats: scanned(10)},
		{name: "equality of another number type", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: 3.0}}, plan: bounded(ixscan, "a"), stats: scanned(10)},
		{name: "$eq", indexes: []definition{plain("-a")}, filter: d{{Key: "a", Value: op("$eq", int64(3))}}, plan: bounded(ixscan, "a"), stats: scanned(10)},
		{name: "null in an index that is not sparse", indexes: []definition{plain("s")}, filter: d{{Key: "s", Value: nil}}, plan: bounded(ixscan, "s"), stats: scanned(50)},
		{name: "$in with duplicate and unknown values", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: op("$in", a{int32(1), 2.0, int32(2), int32(77)})}}, plan: bounded(ixscan, "a"), stats: scanned(20)},
		{name: "$in with an empty list", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: op("$in", a{})}}, plan: bounded(ixscan, "a")},
		{name: "open range", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: d{{Key: "$gt", Value: int32(3)}, {Key: "$lt", Value: int32(6)}}}}, plan: bounded(ixscan, "a"), stats: scanned(20)},
		{name: "closed range", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: d{{Key: "$gte", Value: int32(3)}, {Key: "$lte", Value: int32(6)}}}}, plan: bounded(ixscan, "a"), stats: scanned(40)},
		{name: "open range, descending", indexes: []definition{plain("-a")}, filter: d{{Key: "a", Value: d{{Key: "$gt", Value: int32(3)}, {Key: "$lt", Value: int32(6)}}}}, plan: bounded(ixscan, "a"), stats: scanned(20)},
		{name: "closed range, descending", indexes: []definition{plain("-a")}, filter: d{{Key: "a", Value: d{{Key: "$gte", Value: int32(3)}, {Key: "$lte", Value: int32(6)}}}}, plan: bounded(ixscan, "a"), stats: scanned(40)},
		{name: "range up to the end of a type", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: op("$gte", int32(8))}}, plan: bounded(ixscan, "a"), stats: scanned(20)},
		{name: "range of a type that no value has", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: op("$gte", "")}}, plan: bounded(ixscan, "a")},
		{name: "range of a type that no value has, descending", indexes: []definition{plain("-a")}, filter: d{{Key: "a", Value: op("$lt", "x")}}, plan: bounded(ixscan, "a")},
		{name: "range of numbers excludes strings", indexes: []definition{plain("mixed")}, filter: d{{Key: "mixed", Value: op("$gt", int32(49))}}, plan: bounded(ixscan, "mixed"), stats: scanned(25)},
		{name: "range of strings excludes numbers, descending", indexes: []definition{plain("-mixed")}, filter: d{{Key: "mixed", Value: op("$lte", "zz")}}, plan: bounded(ixscan, "mixed"), stats: scanned(50)},
		{name: "range excludes nulls", indexes: []definition{plain("s")}, filter: d{{Key: "s", Value: op("$lt", int32(1000))}}, plan: bounded(ixscan, "s"), stats: scanned(50)},
		{name: "no value is less than NaN", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: op("$lt", math.NaN())}}, plan: bounded(ixscan, "a")},
		{name: "contradictory equalities", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: int32(3)}, {Key: "$and", Value: a{d{{Key: "a", Value: int32(4)}}}}}, plan: bounded(ixscan, "a")},
		{name: "range between two types", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: d{{Key: "$gt", Value: int32(3)}, {Key: "$lt", Value: "x"}}}}, plan: bounded(ixscan, "a")},
		{name: "$and", indexes: []definition{plain("a", "b")}, filter: d{{Key: "$and", Value: a{d{{Key: "a", Value: int32(3)}}, d{{Key: "b", Value: op("$gt", int32(50))}}}}}, plan: bounded(ixscan, "a", "b"), stats: scanned(5)},
		{name: "compound, both equal", indexes: []definition{plain("a", "b")}, filter: d{{Key: "b", Value: int32(13)}, {Key: "a", Value: int32(3)}}, plan: bounded(ixscan, "a", "b"), stats: scanned(1)},
		{name: "compound, $in on both", indexes: []definition{plain("a", "-b")}, filter: d{{Key: "a", Value: op("$in", a{int32(2), int32(1)})}, {Key: "b", Value: op("$in", a{int32(1), int32(2), int32(11)})}}, plan: bounded(ixscan, "a", "b"), stats: scanned(3)},
		{name: "compound, only the second column", indexes: []definition{plain("a", "b")}, filter: d{{Key: "b", Value: int32(13)}}, plan: collscan, stats: returning(scan100, 1)},
		{name: "compound with a gap", indexes: []definition{plain("a", "c", "b")}, filter: d{{Key: "a", Value: int32(3)}, {Key: "b", Value: int32(13)}}, plan: bounded(ixscan, "a"), stats: examined{10, 10, 1}},
		{name: "compound, no bounds after a range", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: op("$gt", int32(7))}, {Key: "b", Value: int32(8)}}, plan: bounded(ixscan, "a"), stats: examined{20, 20, 1}},
		{name: "compound, equality and range", indexes: []definition{plain("a", "-b")}, filter: d{{Key: "a", Value: int32(3)}, {Key: "b", Value: op("$lte", int32(43))}}, plan: bounded(ixscan, "a", "b"), stats: scanned(5)},

		{name: "sort by the column after an equality", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: int32(3)}}, sort: key("b"), plan: bounded(ixscan, "a"), stats: scanned(10)},
		{name: "sort by the column after an equality, with a range, backward", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: int32(3)}, {Key: "b", Value: op("$gte", int32(50))}}, sort: key("-b"), plan: backward(bounded(ixscan, "a", "b")), stats: scanned(5)},
		{name: "sort by the column of an equality and the next", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: int32(3)}}, sort: key("-a", "b"), plan: bounded(ixscan, "a"), stats: scanned(10)},
		{name: "sort by both columns", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: op("$gt", int32(7))}}, sort: key("a", "b"), plan: bounded(ixscan, "a"), stats: scanned(20)},
		{name: "sort by the column after a range", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: op("$gt", int32(7))}}, sort: key("b"), plan: withSort(bounded(ixscan, "a")), stats: scanned(20)},
		{name: "sort by the column after $in", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: op("$in", a{int32(1), int32(2)})}}, sort: key("b"), plan: withSort(bounded(ixscan, "a")), stats: scanned(20)},
		{name: "sort by both columns with $in", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: op("$in", a{int32(2), int32(1)})}}, sort: key("-a", "-b"), plan: backward(bounded(ixscan, "a")), stats: scanned(20)},
		{name: "sort without a filter", indexes: []definition{plain("a", "-b")}, sort: key("a", "-b"), plan: ixscan, stats: scanned(100)},
		{name: "sort without a filter, backward", indexes: []definition{plain("a", "-b")}, sort: key("-a", "b"), plan: backward(ixscan), stats: scanned(100)},
		{name: "sort with one direction reversed", indexes: []definition{plain("a", "-b")}, sort: key("a", "b"), plan: collscanSorted, stats: returning(scan100, 100)},
		{name: "sort by a prefix of the columns", indexes: []definition{plain("a", "b")}, sort: key("-a"), limit: 3, plan: backward(ixscan), stats: scanned(3)},
		{name: "sort by more columns than the index has", indexes: []definition{plain("a")}, sort: key("a", "b"), plan: collscanSorted, stats: returning(scan100, 100)},
		{name: "sort by _id", sort: key("-_id"), limit: 4, plan: backward(idscan), stats: scanned(4)},
		{name: "limit", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: int32(3)}}, limit: 2, plan: bounded(ixscan, "a"), stats: scanned(2)},

		{name: "_id", filter: d{{Key: "_id", Value: 7.0}}, plan: bounded(idscan, "_id"), stats: scanned(1)},
		{name: "_id of another type", filter: d{{Key: "_id", Value: "7"}}, plan: bounded(idscan, "_id")},
		{name: "_id in a range", filter: d{{Key: "_id", Value: d{{Key: "$gte", Value: int32(10)}, {Key: "$lt", Value: int32(20)}}}}, plan: bounded(idscan, "_id"), stats: scanned(10)},
		{name: "_id in a list", filter: d{{Key: "_id", Value: op("$in", a{int32(3), int32(1), int32(300)})}}, plan: bounded(idscan, "_id"), stats: scanned(2)},
		{name: "a unique index is preferred", indexes: []definition{{name: "other", key: key("a", "b")}, with(plain("b"), "unique", true)}, filter: d{{Key: "a", Value: int32(5)}, {Key: "b", Value: int32(5)}}, plan: bounded(ixscan, "b"), stats: scanned(1)},
		{name: "the longer prefix is preferred", indexes: []definition{{name: "other", key: key("a")}, plain("a", "b")}, filter: d{{Key: "a", Value: int32(5)}, {Key: "b", Value: int32(5)}}, plan: bounded(ixscan, "a", "b"), stats: scanned(1)},

		{name: "multikey, one value", indexes: []definition{plain("tags")}, filter: d{{Key: "tags", Value: int32(50)}}, plan: bounded(ixscan, "tags"), stats: scanned(2)},
		{name: "multikey, bounds are not intersected", indexes: []definition{plain("tags")}, filter: d{{Key: "tags", Value: d{{Key: "$gt", Value: int32(10)}, {Key: "$lt", Value: int32(13)}}}}, plan: bounded(ixscan, "tags"), stats: examined{179, 90, 3}},
		{name: "multikey, two values", indexes: []definition{plain("tags")}, filter: d{{Key: "tags", Value: op("$in", a{int32(50), int32(51)})}}, plan: bounded(ixscan, "tags"), stats: examined{4, 3, 3}},
		{name: "multikey index does not serve a sort", indexes: []definition{plain("tags")}, filter: d{{Key: "tags", Value: op("$gte", int32(99))}}, sort: key("tags"), plan: withSort(bounded(ixscan, "tags")), stats: examined{3, 2, 2}},
		{name: "multikey index does not serve a sort without a filter", indexes: []definition{plain("tags")}, sort: key("tags"), plan: collscanSorted, stats: returning(scan100, 100)},
		{name: "multikey, only one column of an array is bounded", indexes: []definition{plain("items.k", "items.v")}, filter: d{{Key: "items.k", Value: int32(50)}, {Key: "items.v", Value: int32(50)}}, plan: bounded(ixscan, "items.k"), stats: scanned(1)},
		{name: "multikey, equality with an array", indexes: []definition{plain("tags")}, filter: d{{Key: "tags", Value: a{int32(5), int32(6)}}}, plan: collscan, stats: returning(scan100, 1)},
		{name: "multikey, $elemMatch intersects bounds", indexes: []definition{plain("tags")}, filter: d{{Key: "tags", Value: op("$elemMatch", d{{Key: "$gt", Value: int32(10)}, {Key: "$lt", Value: int32(13)}})}}, plan: bounded(ixscan, "tags"), stats: examined{4, 3, 3}},
		{name: "$elemMatch on the fields of an element", indexes: []definition{plain("items")}, filter: d{{Key: "items", Value: op("$elemMatch", d{{Key: "k", Value: int32(5)}})}}, plan: collscan, stats: returning(scan100, 1)},
		{name: "multikey, bounds of a column without arrays are intersected", indexes: []definition{plain("tags", "b")}, filter: d{{Key: "tags", Value: int32(50)}, {Key: "b", Value: d{{Key: "$gt", Value: int32(48)}, {Key: "$lt", Value: int32(50)}}}}, plan: bounded(ixscan, "tags", "b"), stats: scanned(1)},
		{name: "multikey, sort by the column after an equality", indexes: []definition{plain("tags", "b")}, filter: d{{Key: "tags", Value: int32(50)}}, sort: key("-b"), limit: 1, plan: backward(bounded(ixscan, "tags")), stats: scanned(1)},
		{name: "multikey, sort by the column of an equality", indexes: []definition{plain("tags", "b")}, filter: d{{Key: "tags", Value: int32(50)}}, sort: key("tags", "b"), plan: withSort(bounded(ixscan, "tags")), stats: scanned(2)},
		{name: "multikey, sort by a column before the array", indexes: []definition{plain("a", "b", "tags")}, filter: d{{Key: "a", Value: int32(3)}}, sort: key("b"), plan: bounded(ixscan, "a"), stats: examined{20, 10, 10}},
		{name: "multikey, sort by a column after the array", indexes: []definition{plain("a", "tags", "b")}, filter: d{{Key: "a", Value: int32(3)}}, sort: key("b"), plan: withSort(bounded(ixscan, "a")), stats: examined{20, 10, 10}},

		{name: "sparse", indexes: []definition{with(plain("s"), "sparse", true)}, filter: d{{Key: "s", Value: op("$gte", int32(90))}}, plan: bounded(ixscan, "s"), stats: scanned(5)},
		{name: "sparse, null", indexes: []definition{with(plain("s"), "sparse", true)}, filter: d{{Key: "s", Value: nil}}, plan: collscan, stats: returning(scan100, 50)},
		{name: "sparse, null among others", indexes: []definition{with(plain("s"), "sparse", true)}, filter: d{{Key: "s", Value: op("$in", a{int32(2), nil})}}, plan: collscan, stats: returning(scan100, 51)},
		{name: "sparse, $gte null", indexes: []definition{with(plain("s"), "sparse", true)}, filter: d{{Key: "s", Value: op("$gte", nil)}}, plan: collscan, stats: returning(scan100, 50)},
		{name: "sparse, sort without a filter", indexes: []definition{with(plain("s"), "sparse", true)}, sort: key("s"), plan: collscanSorted, stats: returning(scan100, 100)},
		{name: "sparse and compound, null in the second column", indexes: []definition{with(plain("a", "s"), "sparse", true)}, filter: d{{Key: "a", Value: int32(1)}, {Key: "s", Value: nil}}, plan: bounded(ixscan, "a", "s"), stats: scanned(10)},

		{name: "partial, filter implies the partial filter", indexes: []definition{from50}, filter: d{{Key: "b", Value: op("$gte", int32(60))}}, plan: bounded(ixscan, "b"), stats: scanned(40)},
		{name: "partial, filter equals the partial filter", indexes: []definition{from50}, filter: d{{Key: "b", Value: op("$gte", 50.0)}}, plan: bounded(ixscan, "b"), stats: scanned(50)},
		{name: "partial, value inside the range", indexes: []definition{from50}, filter: d{{Key: "b", Value: int32(70)}}, plan: bounded(ixscan, "b"), stats: scanned(1)},
		{name: "partial, filter is wider", indexes: []definition{from50}, filter: d{{Key: "b", Value: op("$gt", int32(49))}}, plan: collscan, stats: returning(scan100, 50)},
		{name: "partial, filter includes the excluded bound", indexes: []definition{above50}, filter: d{{Key: "b", Value: op("$gte", int32(50))}}, plan: collscan, stats: returning(scan100, 50)},
		{name: "partial, one value outside the range", indexes: []definition{from50}, filter: d{{Key: "b", Value: op("$in", a{int32(49), int32(70)})}}, plan: collscan, stats: returning(scan100, 2)},
		{name: "partial, range of another type", indexes: []definition{from50}, filter: d{{Key: "b", Value: op("$gte", "x")}}, plan: collscan, stats: scan100},
		{name: "partial, NaN is not less than the limit", indexes: []definition{below50}, filter: d{{Key: "b", Value: math.NaN()}}, plan: collscan, stats: scan100},
		{name: "partial, range up to NaN", indexes: []definition{below50}, filter: d{{Key: "b", Value: op("$lte", math.NaN())}}, plan: collscan, stats: scan100},
		{name: "partial, sort without a filter", indexes: []definition{from50}, sort: key("b"), plan: collscanSorted, stats: returning(scan100, 100)},
		{name: "partial on $exists, implied by a range", indexes: []definition{hasS}, filter: d{{Key: "b", Value: int32(6)}, {Key: "s", Value: op("$gt", int32(0))}}, plan: bounded(ixscan, "b"), stats: scanned(1)},
		{name: "partial on $exists, repeated in the filter", indexes: []definition{hasS}, filter: d{{Key: "b", Value: int32(6)}, {Key: "s", Value: op("$exists", true)}}, plan: bounded(ixscan, "b"), stats: scanned(1)},
		{name: "partial on $exists, not implied by null", indexes: []definition{hasS}, filter: d{{Key: "b", Value: int32(7)}, {Key: "s", Value: nil}}, plan: collscan, stats: returning(scan100, 1)},
		{name: "partial on $type, repeated in the filter", indexes: []definition{numeric}, filter: d{{Key: "b", Value: int32(6)}, {Key: "s", Value: op("$type", "number")}}, plan: bounded(ixscan, "b"), stats: scanned(1)},

		{name: "$or", indexes: []definition{plain("a")}, filter: d{{Key: "$or", Value: a{d{{Key: "a", Value: int32(1)}}, d{{Key: "a", Value: int32(2)}}}}}, plan: collscan, stats: returning(scan100, 20)},
		{name: "$or and an indexed condition", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: int32(1)}, {Key: "$or", Value: a{d{{Key: "b", Value: int32(1)}}, d{{Key: "c", Value: int32(2)}}}}}, plan: bounded(ixscan, "a"), stats: examined{10, 10, 4}},
		{name: "$ne", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: op("$ne", int32(1))}}, plan: collscan, stats: returning(scan100, 90)},
		{name: "$not", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: op("$not", op("$gt", int32(1)))}}, plan: collscan, stats: returning(scan100, 20)},

		{name: "hint by name", indexes: []definition{plain("a")}, filter: d{{Key: "b", Value: int32(5)}}, hint: "ix", plan: ixscan, stats: examined{100, 100, 1}},
		{name: "hint by pattern", indexes: []definition{plain("a", "-b"), {name: "other", key: key("b")}}, filter: d{{Key: "b", Value: int32(5)}}, hint: key("a", "-b"), plan: ixscan, stats: examined{100, 100, 1}},
		{name: "hint _id", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: int32(5)}}, hint: "_id_", plan: idscan, stats: examined{100, 100, 10}},
		{name: "hint $natural", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: int32(5)}}, hint: key("$natural"), plan: collscan, stats: returning(scan100, 10)},
		{name: "hint $natural, backward", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: int32(5)}}, hint: key("-$natural"), plan: backward(collscan), stats: returning(scan100, 10)},
	}
	c := dial(t, startServer(t))
	docs := hundredDocuments()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c.must(t, d{{Key: "create", Value: "plans"}})
			defer c.must(t, d{{Key: "drop", Value: "plans"}})
			for _, def := range test.indexes {
				if err := c.createIndex("plans", def.name, def.key, def.options...); err != nil {
					t.Fatalf("index: %v", err)
				}
			}
			c.insert(t, "plans", docs...)
			find := d{{Key: "find", Value: "plans"}, {Key: "filter", Value: append(d{}, test.filter...)}, {Key: "sort", Value: append(d{}, test.sort...)}, {Key: "limit", Value: test.limit}}
			if test.hint != nil {
				find = append(find, bson.E{Key: "hint", Value: test.hint})
			}
			reply := c.must(t, d{{Key: "explain", Value: find}})
			plan := readPlan(reply)
			if !slices.Equal(plan.bounds, test.plan.bounds) {
				t.Errorf("got bounds on the columns %v, want %v", plan.bounds, test.plan.bounds)
			}
			if plan.bounds = test.plan.bounds; plan.stage != test.plan.stage || plan.index != test.plan.index || plan.hasSort != test.plan.hasSort || plan.backward != test.plan.backward {
				t.Errorf("got the plan %+v, want %+v", plan, test.plan)
			}
			if got := readStats(reply); got != test.stats {
				t.Errorf("got the statistics %+v, want %+v", got, test.stats)
			}
			found, err := c.documents(find)
			if err != nil || len(found) != int(test.stats.returned) {
				t.Errorf("find: got %d documents and the error %v, want %d", len(found), err, test.stats.returned)
			}
			order, err := query.CompileSort(test.sort)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.IsSortedFunc(found, order.Compare) {
				t.Errorf("find: got %v, want the documents in the order %v", ids(found), test.sort)
			}
		})
	}
}

// checkCode fails the test unless err is an error of the server with the given
// code.
func checkCode(t *testing.T, err error, code int32) {
	t.Helper()
	var refused *commandError
	if !errors.As(err, &refused) || refused.Code != code {
		t.Errorf("got %v, want code %d", err, code)
	}
}

// TestUnusableHintIsRefused sends hints of unknown and of partial indexes with
// every command that takes a hint.
func TestUnusableHintIsRefused(t *testing.T) {
	c := dial(t, startServer(t))
	c.insert(t, "hints", hundredDocuments()[:3]...)
	if err := c.createIndex("hints", "part", key("b"), bson.E{Key: "partialFilterExpression", Value: d{{Key: "a", Value: op("$gt", int32(0))}}}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		hint any
		code int32
	}{{"nosuch", 2}, {key("nosuch"), 2}, {key("b", "a"), 2}, {key("-b"), 2}, {"part", 291}, {key("b"), 291}} {
		for _, cmd := range []bson.D{
			{{Key: "find", Value: "hints"}, {Key: "hint", Value: test.hint}},
			{{Key: "count", Value: "hints"}, {Key: "hint", Value: test.hint}},
			{{Key: "aggregate", Value: "hints"}, {Key: "pipeline", Value: a{}}, {Key: "cursor", Value: d{}}, {Key: "hint", Value: test.hint}},
			{{Key: "update", Value: "hints"}, {Key: "updates", Value: a{d{{Key: "q", Value: d{}}, {Key: "u", Value: op("$set", key("x"))}, {Key: "hint", Value: test.hint}}}}},
			{{Key: "delete", Value: "hints"}, {Key: "deletes", Value: a{d{{Key: "q", Value: d{}}, {Key: "limit", Value: int32(1)}, {Key: "hint", Value: test.hint}}}}},
			{{Key: "findAndModify", Value: "hints"}, {Key: "remove", Value: true}, {Key: "hint", Value: test.hint}},
		} {
			_, err := c.run(cmd)
			checkCode(t, err, test.code)
		}
	}
}

// TestExplainReportsPlanWithoutRunningCommand explains every supported command.
// An explained write must not change any document.
func TestExplainReportsPlanWithoutRunningCommand(t *testing.T) {
	c := dial(t, startServer(t))
	c.insert(t, "all", hundredDocuments()...)
	if err := c.createIndex("all", "ix", key("a", "b")); err != nil {
		t.Fatal(err)
	}
	filter := d{{Key: "a", Value: int32(3)}}
	set := op("$set", d{{Key: "x", Value: int32(1)}})
	ixscan := planInfo{stage: "IXSCAN", index: "ix"}
	for _, test := range []struct {
		cmd   bson.D
		plan  planInfo
		stats examined
	}{
		{d{{Key: "find", Value: "all"}, {Key: "filter", Value: filter}}, ixscan, examined{10, 10, 10}},
		{d{{Key: "count", Value: "all"}, {Key: "query", Value: filter}}, ixscan, examined{10, 10, 10}},
		{d{{Key: "distinct", Value: "all"}, {Key: "key", Value: "c"}, {Key: "query", Value: filter}}, ixscan, examined{10, 10, 10}},
		{d{{Key: "aggregate", Value: "all"}, {Key: "pipeline", Value: a{op("$match", filter), op("$sort", key("b")), op("$count", "n")}}, {Key: "cursor", Value: d{}}}, ixscan, examined{10, 10, 10}},
		{d{{Key: "update", Value: "all"}, {Key: "updates", Value: a{d{{Key: "q", Value: filter}, {Key: "u", Value: set}, {Key: "multi", Value: true}}}}}, ixscan, examined{10, 10, 10}},
		{d{{Key: "delete", Value: "all"}, {Key: "deletes", Value: a{d{{Key: "q", Value: filter}, {Key: "limit", Value: int32(0)}}}}}, ixscan, examined{10, 10, 10}},
		{d{{Key: "findAndModify", Value: "all"}, {Key: "query", Value: filter}, {Key: "sort", Value: key("-b")}, {Key: "update", Value: set}}, planInfo{stage: "IXSCAN", index: "ix", backward: true}, examined{1, 1, 1}},
		{d{{Key: "find", Value: "none"}, {Key: "filter", Value: filter}}, planInfo{stage: "EOF"}, examined{}},
	} {
		reply := c.must(t, d{{Key: "explain", Value: test.cmd}})
		plan := readPlan(reply)
		if plan.stage != test.plan.stage || plan.index != test.plan.index || plan.backward != test.plan.backward || plan.hasSort {
			t.Errorf("%s: got the plan %+v, want %+v", test.cmd[0].Key, plan, test.plan)
		}
		if got := readStats(reply); got != test.stats {
			t.Errorf("%s: got the statistics %+v, want %+v", test.cmd[0].Key, got, test.stats)
		}
		for _, verbosity := range []string{"queryPlanner", "executionStats", "allPlansExecution"} {
			reply := c.must(t, d{{Key: "explain", Value: test.cmd}, {Key: "verbosity", Value: verbosity}})
			if got, want := lookup(reply, "executionStats") != nil, verbosity != "queryPlanner"; got != want {
				t.Errorf("%s with %s: got statistics: %v, want: %v", test.cmd[0].Key, verbosity, got, want)
			}
		}
	}
	if got, err := c.documents(d{{Key: "find", Value: "all"}, {Key: "filter", Value: d{{Key: "x", Value: op("$exists", false)}}}}); err != nil || len(got) != 100 {
		t.Errorf("unchanged documents after explain: got %d and the error %v, want 100", len(got), err)
	}
	_, err := c.run(d{{Key: "explain", Value: d{{Key: "find", Value: "all"}}}, {Key: "verbosity", Value: "all"}})
	checkCode(t, err, 9)
	_, err = c.run(d{{Key: "explain", Value: d{{Key: "nosuch", Value: "all"}}}})
	checkCode(t, err, 59)
	_, err = c.run(d{{Key: "explain", Value: d{{Key: "insert", Value: "all"}, {Key: "documents", Value: a{d{}}}}}})
	checkCode(t, err, 238)
	_, err = c.run(d{{Key: "explain", Value: "find"}})
	checkCode(t, err, 14)
}
