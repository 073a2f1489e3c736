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

// planned is what explain says of a plan.
type planned struct {
	stage   string // IXSCAN, COLLSCAN or EOF
	index   string
	sorts   bool // in a stage of its own
	reverse bool
	bounds  []string // the bounded columns
}

func readPlan(reply bson.D) (p planned) {
	stage, _ := at(reply, "queryPlanner", "winningPlan").(bson.D)
	for stage != nil {
		switch name, _ := at(stage, "stage").(string); name {
		case "SORT":
			p.sorts = true
		case "FETCH":
		default:
			p.stage = name
			p.index, _ = at(stage, "indexName").(string)
			p.reverse = at(stage, "direction") == "backward"
			bounds, _ := at(stage, "indexBounds").(bson.D)
			for _, e := range bounds {
				p.bounds = append(p.bounds, e.Key)
			}
		}
		stage, _ = at(stage, "inputStage").(bson.D)
	}
	return p
}

// examined is what explain counted.
type examined struct{ keys, docs, returned int32 }

func readStats(reply bson.D) (e examined) {
	e.keys, _ = at(reply, "executionStats", "totalKeysExamined").(int32)
	e.docs, _ = at(reply, "executionStats", "totalDocsExamined").(int32)
	e.returned, _ = at(reply, "executionStats", "nReturned").(int32)
	return e
}

type (
	d = bson.D
	a = bson.A
)

// key is an index's key or a sort: names, descending ones with a minus.
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

func op(name string, v any) bson.D { return d{{Key: name, Value: v}} }

// rows are a hundred documents: a of ten values, b of a hundred, s in every
// second one, numbers and strings mixed, tags of two values each and items of two documents each.
func rows() (docs []bson.D) {
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

type definition struct {
	name    string
	key     bson.D
	options bson.D
}

func TestPlans(t *testing.T) {
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
	coll, coll100 := planned{stage: "COLLSCAN"}, examined{0, 100, 0}
	sorting := planned{stage: "COLLSCAN", sorts: true}
	ix := planned{stage: "IXSCAN", index: "ix"}
	walked := func(n int32) examined { return examined{n, n, n} }
	on := func(p planned, columns ...string) planned { p.bounds = columns; return p }
	back := func(p planned) planned { p.reverse = true; return p }
	sorts := func(p planned) planned { p.sorts = true; return p }
	found := func(e examined, n int32) examined { e.returned = n; return e }
	id := planned{stage: "IXSCAN", index: "_id_"}

	tests := []struct {
		name    string
		indexes []definition
		filter  bson.D
		sort    bson.D
		hint    any
		limit   int32
		plan    planned
		stats   examined
	}{
		{name: "no index", filter: d{{Key: "a", Value: int32(3)}}, plan: coll, stats: found(coll100, 10)},
		{name: "everything", indexes: []definition{plain("a")}, plan: coll, stats: found(coll100, 100)},
		{name: "equality", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: int32(3)}}, plan: on(ix, "a"), stats: walked(10)},
		{name: "equality of another number type", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: 3.0}}, plan: on(ix, "a"), stats: walked(10)},
		{name: "$eq", indexes: []definition{plain("-a")}, filter: d{{Key: "a", Value: op("$eq", int64(3))}}, plan: on(ix, "a"), stats: walked(10)},
		{name: "null in an index that is not sparse", indexes: []definition{plain("s")}, filter: d{{Key: "s", Value: nil}}, plan: on(ix, "s"), stats: walked(50)},
		{name: "$in, values twice and unknown", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: op("$in", a{int32(1), 2.0, int32(2), int32(77)})}}, plan: on(ix, "a"), stats: walked(20)},
		{name: "$in of nothing", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: op("$in", a{})}}, plan: on(ix, "a")},
		{name: "open range", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: d{{Key: "$gt", Value: int32(3)}, {Key: "$lt", Value: int32(6)}}}}, plan: on(ix, "a"), stats: walked(20)},
		{name: "closed range", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: d{{Key: "$gte", Value: int32(3)}, {Key: "$lte", Value: int32(6)}}}}, plan: on(ix, "a"), stats: walked(40)},
		{name: "open range, descending", indexes: []definition{plain("-a")}, filter: d{{Key: "a", Value: d{{Key: "$gt", Value: int32(3)}, {Key: "$lt", Value: int32(6)}}}}, plan: on(ix, "a"), stats: walked(20)},
		{name: "closed range, descending", indexes: []definition{plain("-a")}, filter: d{{Key: "a", Value: d{{Key: "$gte", Value: int32(3)}, {Key: "$lte", Value: int32(6)}}}}, plan: on(ix, "a"), stats: walked(40)},
		{name: "range within one type, upwards", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: op("$gte", int32(8))}}, plan: on(ix, "a"), stats: walked(20)},
		{name: "range of a type that no value has", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: op("$gte", "")}}, plan: on(ix, "a")},
		{name: "the same, downwards", indexes: []definition{plain("-a")}, filter: d{{Key: "a", Value: op("$lt", "x")}}, plan: on(ix, "a")},
		{name: "range of numbers leaves strings out", indexes: []definition{plain("mixed")}, filter: d{{Key: "mixed", Value: op("$gt", int32(49))}}, plan: on(ix, "mixed"), stats: walked(25)},
		{name: "range of strings leaves numbers out, descending", indexes: []definition{plain("-mixed")}, filter: d{{Key: "mixed", Value: op("$lte", "zz")}}, plan: on(ix, "mixed"), stats: walked(50)},
		{name: "range leaves nulls out", indexes: []definition{plain("s")}, filter: d{{Key: "s", Value: op("$lt", int32(1000))}}, plan: on(ix, "s"), stats: walked(50)},
		{name: "nothing is below NaN", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: op("$lt", math.NaN())}}, plan: on(ix, "a")},
		{name: "conditions that no value meets", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: int32(3)}, {Key: "$and", Value: a{d{{Key: "a", Value: int32(4)}}}}}, plan: on(ix, "a")},
		{name: "ranges of two types", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: d{{Key: "$gt", Value: int32(3)}, {Key: "$lt", Value: "x"}}}}, plan: on(ix, "a")},
		{name: "$and", indexes: []definition{plain("a", "b")}, filter: d{{Key: "$and", Value: a{d{{Key: "a", Value: int32(3)}}, d{{Key: "b", Value: op("$gt", int32(50))}}}}}, plan: on(ix, "a", "b"), stats: walked(5)},
		{name: "compound, both equal", indexes: []definition{plain("a", "b")}, filter: d{{Key: "b", Value: int32(13)}, {Key: "a", Value: int32(3)}}, plan: on(ix, "a", "b"), stats: walked(1)},
		{name: "compound, points of both", indexes: []definition{plain("a", "-b")}, filter: d{{Key: "a", Value: op("$in", a{int32(2), int32(1)})}, {Key: "b", Value: op("$in", a{int32(1), int32(2), int32(11)})}}, plan: on(ix, "a", "b"), stats: walked(3)},
		{name: "compound, the second alone", indexes: []definition{plain("a", "b")}, filter: d{{Key: "b", Value: int32(13)}}, plan: coll, stats: found(coll100, 1)},
		{name: "compound with a gap", indexes: []definition{plain("a", "c", "b")}, filter: d{{Key: "a", Value: int32(3)}, {Key: "b", Value: int32(13)}}, plan: on(ix, "a"), stats: examined{10, 10, 1}},
		{name: "compound, a range ends the bounds", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: op("$gt", int32(7))}, {Key: "b", Value: int32(8)}}, plan: on(ix, "a"), stats: examined{20, 20, 1}},
		{name: "prefix and range", indexes: []definition{plain("a", "-b")}, filter: d{{Key: "a", Value: int32(3)}, {Key: "b", Value: op("$lte", int32(43))}}, plan: on(ix, "a", "b"), stats: walked(5)},

		{name: "sort behind a prefix", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: int32(3)}}, sort: key("b"), plan: on(ix, "a"), stats: walked(10)},
		{name: "sort behind a prefix and a range, backwards", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: int32(3)}, {Key: "b", Value: op("$gte", int32(50))}}, sort: key("-b"), plan: back(on(ix, "a", "b")), stats: walked(5)},
		{name: "sort names the fixed column too", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: int32(3)}}, sort: key("-a", "b"), plan: on(ix, "a"), stats: walked(10)},
		{name: "sort by both", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: op("$gt", int32(7))}}, sort: key("a", "b"), plan: on(ix, "a"), stats: walked(20)},
		{name: "sort by the second behind a range", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: op("$gt", int32(7))}}, sort: key("b"), plan: sorts(on(ix, "a")), stats: walked(20)},
		{name: "sort by the second behind points", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: op("$in", a{int32(1), int32(2)})}}, sort: key("b"), plan: sorts(on(ix, "a")), stats: walked(20)},
		{name: "sort by both behind points", indexes: []definition{plain("a", "b")}, filter: d{{Key: "a", Value: op("$in", a{int32(2), int32(1)})}}, sort: key("-a", "-b"), plan: back(on(ix, "a")), stats: walked(20)},
		{name: "sort alone", indexes: []definition{plain("a", "-b")}, sort: key("a", "-b"), plan: ix, stats: walked(100)},
		{name: "sort alone, backwards", indexes: []definition{plain("a", "-b")}, sort: key("-a", "b"), plan: back(ix), stats: walked(100)},
		{name: "sort that turns once", indexes: []definition{plain("a", "-b")}, sort: key("a", "b"), plan: sorting, stats: found(coll100, 100)},
		{name: "sort by a part", indexes: []definition{plain("a", "b")}, sort: key("-a"), limit: 3, plan: back(ix), stats: walked(3)},
		{name: "sort by more than the index has", indexes: []definition{plain("a")}, sort: key("a", "b"), plan: sorting, stats: found(coll100, 100)},
		{name: "sort by _id", sort: key("-_id"), limit: 4, plan: back(id), stats: walked(4)},
		{name: "limit", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: int32(3)}}, limit: 2, plan: on(ix, "a"), stats: walked(2)},

		{name: "_id", filter: d{{Key: "_id", Value: 7.0}}, plan: on(id, "_id"), stats: walked(1)},
		{name: "_id of another type", filter: d{{Key: "_id", Value: "7"}}, plan: on(id, "_id")},
		{name: "_id in a range", filter: d{{Key: "_id", Value: d{{Key: "$gte", Value: int32(10)}, {Key: "$lt", Value: int32(20)}}}}, plan: on(id, "_id"), stats: walked(10)},
		{name: "_id in a list", filter: d{{Key: "_id", Value: op("$in", a{int32(3), int32(1), int32(300)})}}, plan: on(id, "_id"), stats: walked(2)},
		{name: "unique before others", indexes: []definition{{name: "other", key: key("a", "b")}, with(plain("b"), "unique", true)}, filter: d{{Key: "a", Value: int32(5)}, {Key: "b", Value: int32(5)}}, plan: on(ix, "b"), stats: walked(1)},
		{name: "the longer prefix", indexes: []definition{{name: "other", key: key("a")}, plain("a", "b")}, filter: d{{Key: "a", Value: int32(5)}, {Key: "b", Value: int32(5)}}, plan: on(ix, "a", "b"), stats: walked(1)},

		{name: "multikey, one value", indexes: []definition{plain("tags")}, filter: d{{Key: "tags", Value: int32(50)}}, plan: on(ix, "tags"), stats: walked(2)},
		{name: "multikey, bounds are not intersected", indexes: []definition{plain("tags")}, filter: d{{Key: "tags", Value: d{{Key: "$gt", Value: int32(10)}, {Key: "$lt", Value: int32(13)}}}}, plan: on(ix, "tags"), stats: examined{179, 90, 3}},
		{name: "multikey, two values", indexes: []definition{plain("tags")}, filter: d{{Key: "tags", Value: op("$in", a{int32(50), int32(51)})}}, plan: on(ix, "tags"), stats: examined{4, 3, 3}},
		{name: "multikey serves no sort", indexes: []definition{plain("tags")}, filter: d{{Key: "tags", Value: op("$gte", int32(99))}}, sort: key("tags"), plan: sorts(on(ix, "tags")), stats: examined{3, 2, 2}},
		{name: "multikey does not serve a sort alone", indexes: []definition{plain("tags")}, sort: key("tags"), plan: sorting, stats: found(coll100, 100)},
		{name: "columns of one array are not bounded together", indexes: []definition{plain("items.k", "items.v")}, filter: d{{Key: "items.k", Value: int32(50)}, {Key: "items.v", Value: int32(50)}}, plan: on(ix, "items.k"), stats: walked(1)},
		{name: "a whole array", indexes: []definition{plain("tags")}, filter: d{{Key: "tags", Value: a{int32(5), int32(6)}}}, plan: coll, stats: found(coll100, 1)},

		{name: "sparse", indexes: []definition{with(plain("s"), "sparse", true)}, filter: d{{Key: "s", Value: op("$gte", int32(90))}}, plan: on(ix, "s"), stats: walked(5)},
		{name: "sparse, null", indexes: []definition{with(plain("s"), "sparse", true)}, filter: d{{Key: "s", Value: nil}}, plan: coll, stats: found(coll100, 50)},
		{name: "sparse, null among others", indexes: []definition{with(plain("s"), "sparse", true)}, filter: d{{Key: "s", Value: op("$in", a{int32(2), nil})}}, plan: coll, stats: found(coll100, 51)},
		{name: "sparse, $gte null", indexes: []definition{with(plain("s"), "sparse", true)}, filter: d{{Key: "s", Value: op("$gte", nil)}}, plan: coll, stats: found(coll100, 50)},
		{name: "sparse, sort alone", indexes: []definition{with(plain("s"), "sparse", true)}, sort: key("s"), plan: sorting, stats: found(coll100, 100)},
		{name: "sparse and compound, null in the second", indexes: []definition{with(plain("a", "s"), "sparse", true)}, filter: d{{Key: "a", Value: int32(1)}, {Key: "s", Value: nil}}, plan: on(ix, "a", "s"), stats: walked(10)},

		{name: "partial, implied", indexes: []definition{from50}, filter: d{{Key: "b", Value: op("$gte", int32(60))}}, plan: on(ix, "b"), stats: walked(40)},
		{name: "partial, the same", indexes: []definition{from50}, filter: d{{Key: "b", Value: op("$gte", 50.0)}}, plan: on(ix, "b"), stats: walked(50)},
		{name: "partial, a value within", indexes: []definition{from50}, filter: d{{Key: "b", Value: int32(70)}}, plan: on(ix, "b"), stats: walked(1)},
		{name: "partial, wider", indexes: []definition{from50}, filter: d{{Key: "b", Value: op("$gt", int32(49))}}, plan: coll, stats: found(coll100, 50)},
		{name: "partial, closed where it is open", indexes: []definition{above50}, filter: d{{Key: "b", Value: op("$gte", int32(50))}}, plan: coll, stats: found(coll100, 50)},
		{name: "partial, a value without", indexes: []definition{from50}, filter: d{{Key: "b", Value: op("$in", a{int32(49), int32(70)})}}, plan: coll, stats: found(coll100, 2)},
		{name: "partial, other type", indexes: []definition{from50}, filter: d{{Key: "b", Value: op("$gte", "x")}}, plan: coll, stats: coll100},
		{name: "partial, NaN is not below", indexes: []definition{below50}, filter: d{{Key: "b", Value: math.NaN()}}, plan: coll, stats: coll100},
		{name: "partial, NaN as a range", indexes: []definition{below50}, filter: d{{Key: "b", Value: op("$lte", math.NaN())}}, plan: coll, stats: coll100},
		{name: "partial, sort alone", indexes: []definition{from50}, sort: key("b"), plan: sorting, stats: found(coll100, 100)},
		{name: "partial on a field that exists", indexes: []definition{hasS}, filter: d{{Key: "b", Value: int32(6)}, {Key: "s", Value: op("$gt", int32(0))}}, plan: on(ix, "b"), stats: walked(1)},
		{name: "partial, in the same words", indexes: []definition{hasS}, filter: d{{Key: "b", Value: int32(6)}, {Key: "s", Value: op("$exists", true)}}, plan: on(ix, "b"), stats: walked(1)},
		{name: "partial, null may be missing", indexes: []definition{hasS}, filter: d{{Key: "b", Value: int32(7)}, {Key: "s", Value: nil}}, plan: coll, stats: found(coll100, 1)},
		{name: "partial by type, in the same words", indexes: []definition{numeric}, filter: d{{Key: "b", Value: int32(6)}, {Key: "s", Value: op("$type", "number")}}, plan: on(ix, "b"), stats: walked(1)},

		{name: "$or", indexes: []definition{plain("a")}, filter: d{{Key: "$or", Value: a{d{{Key: "a", Value: int32(1)}}, d{{Key: "a", Value: int32(2)}}}}}, plan: coll, stats: found(coll100, 20)},
		{name: "$or beside a condition", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: int32(1)}, {Key: "$or", Value: a{d{{Key: "b", Value: int32(1)}}, d{{Key: "c", Value: int32(2)}}}}}, plan: on(ix, "a"), stats: examined{10, 10, 4}},
		{name: "$ne", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: op("$ne", int32(1))}}, plan: coll, stats: found(coll100, 90)},
		{name: "$not", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: op("$not", op("$gt", int32(1)))}}, plan: coll, stats: found(coll100, 20)},

		{name: "hint by name", indexes: []definition{plain("a")}, filter: d{{Key: "b", Value: int32(5)}}, hint: "ix", plan: ix, stats: examined{100, 100, 1}},
		{name: "hint by pattern", indexes: []definition{plain("a", "-b"), {name: "other", key: key("b")}}, filter: d{{Key: "b", Value: int32(5)}}, hint: key("a", "-b"), plan: ix, stats: examined{100, 100, 1}},
		{name: "hint at _id", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: int32(5)}}, hint: "_id_", plan: id, stats: examined{100, 100, 10}},
		{name: "hint $natural", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: int32(5)}}, hint: key("$natural"), plan: coll, stats: found(coll100, 10)},
		{name: "hint $natural, backwards", indexes: []definition{plain("a")}, filter: d{{Key: "a", Value: int32(5)}}, hint: key("-$natural"), plan: back(coll), stats: found(coll100, 10)},
	}
	c := dial(t, startServer(t))
	docs := rows()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c.must(t, d{{Key: "create", Value: "plans"}})
			defer c.must(t, d{{Key: "drop", Value: "plans"}})
			for _, def := range test.indexes {
				if err := c.index("plans", def.name, def.key, def.options...); err != nil {
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
				t.Errorf("bounded columns %v, want %v", plan.bounds, test.plan.bounds)
			}
			if plan.bounds = test.plan.bounds; plan.stage != test.plan.stage || plan.index != test.plan.index || plan.sorts != test.plan.sorts || plan.reverse != test.plan.reverse {
				t.Errorf("plan %+v, want %+v", plan, test.plan)
			}
			if got := readStats(reply); got != test.stats {
				t.Errorf("examined %+v, want %+v", got, test.stats)
			}
			found, err := c.documents(find)
			if err != nil || len(found) != int(test.stats.returned) {
				t.Errorf("find returned %d documents and %v, want %d", len(found), err, test.stats.returned)
			}
			order, err := query.CompileSort(test.sort)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.IsSortedFunc(found, order.Compare) {
				t.Errorf("find returned %v, which is not in order", ids(found))
			}
		})
	}
}

// refusedWith tells how err differs from a refusal with the code.
func refusedWith(t *testing.T, err error, code int32) {
	t.Helper()
	var refused *commandError
	if !errors.As(err, &refused) || refused.Code != code {
		t.Errorf("got %v, want code %d", err, code)
	}
}

func TestHintsThatCannotBe(t *testing.T) {
	c := dial(t, startServer(t))
	c.insert(t, "hints", rows()[:3]...)
	if err := c.index("hints", "part", key("b"), bson.E{Key: "partialFilterExpression", Value: d{{Key: "a", Value: op("$gt", int32(0))}}}); err != nil {
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
			refusedWith(t, err, test.code)
		}
	}
}

func TestExplainOfCommands(t *testing.T) {
	c := dial(t, startServer(t))
	c.insert(t, "all", rows()...)
	if err := c.index("all", "ix", key("a", "b")); err != nil {
		t.Fatal(err)
	}
	filter := d{{Key: "a", Value: int32(3)}}
	set := op("$set", d{{Key: "x", Value: int32(1)}})
	ix := planned{stage: "IXSCAN", index: "ix"}
	for _, test := range []struct {
		cmd   bson.D
		plan  planned
		stats examined
	}{
		{d{{Key: "find", Value: "all"}, {Key: "filter", Value: filter}}, ix, examined{10, 10, 10}},
		{d{{Key: "count", Value: "all"}, {Key: "query", Value: filter}}, ix, examined{10, 10, 10}},
		{d{{Key: "distinct", Value: "all"}, {Key: "key", Value: "c"}, {Key: "query", Value: filter}}, ix, examined{10, 10, 10}},
		{d{{Key: "aggregate", Value: "all"}, {Key: "pipeline", Value: a{op("$match", filter), op("$sort", key("b")), op("$count", "n")}}, {Key: "cursor", Value: d{}}}, ix, examined{10, 10, 10}},
		{d{{Key: "update", Value: "all"}, {Key: "updates", Value: a{d{{Key: "q", Value: filter}, {Key: "u", Value: set}, {Key: "multi", Value: true}}}}}, ix, examined{10, 10, 10}},
		{d{{Key: "delete", Value: "all"}, {Key: "deletes", Value: a{d{{Key: "q", Value: filter}, {Key: "limit", Value: int32(0)}}}}}, ix, examined{10, 10, 10}},
		{d{{Key: "findAndModify", Value: "all"}, {Key: "query", Value: filter}, {Key: "sort", Value: key("-b")}, {Key: "update", Value: set}}, planned{stage: "IXSCAN", index: "ix", reverse: true}, examined{1, 1, 1}},
		{d{{Key: "find", Value: "none"}, {Key: "filter", Value: filter}}, planned{stage: "EOF"}, examined{}},
	} {
		reply := c.must(t, d{{Key: "explain", Value: test.cmd}})
		plan := readPlan(reply)
		if plan.stage != test.plan.stage || plan.index != test.plan.index || plan.reverse != test.plan.reverse || plan.sorts {
			t.Errorf("%s: plan %+v, want %+v", test.cmd[0].Key, plan, test.plan)
		}
		if got := readStats(reply); got != test.stats {
			t.Errorf("%s: examined %+v, want %+v", test.cmd[0].Key, got, test.stats)
		}
		for _, verbosity := range []string{"queryPlanner", "executionStats", "allPlansExecution"} {
			reply := c.must(t, d{{Key: "explain", Value: test.cmd}, {Key: "verbosity", Value: verbosity}})
			if got, want := at(reply, "executionStats") != nil, verbosity != "queryPlanner"; got != want {
				t.Errorf("%s with %s: statistics %v, want %v", test.cmd[0].Key, verbosity, got, want)
			}
		}
	}
	if got, err := c.documents(d{{Key: "find", Value: "all"}, {Key: "filter", Value: d{{Key: "x", Value: op("$exists", false)}}}}); err != nil || len(got) != 100 {
		t.Errorf("after explain %d documents are as they were and %v, want 100", len(got), err)
	}
	_, err := c.run(d{{Key: "explain", Value: d{{Key: "find", Value: "all"}}}, {Key: "verbosity", Value: "all"}})
	refusedWith(t, err, 9)
	_, err = c.run(d{{Key: "explain", Value: d{{Key: "nosuch", Value: "all"}}}})
	refusedWith(t, err, 59)
	_, err = c.run(d{{Key: "explain", Value: d{{Key: "insert", Value: "all"}, {Key: "documents", Value: a{d{}}}}}})
	refusedWith(t, err, 238)
	_, err = c.run(d{{Key: "explain", Value: "find"}})
	refusedWith(t, err, 14)
}
