package indextest_test

import (
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/query"
)

// statement is a random find, update, insert or delete.
type statement struct {
	kind          string // find, update, findAndModify, insert or delete
	filter, sort  bson.D
	update        bson.D // for an insert, the document
	hint          string
	skip, limit   int64
	multi, upsert bool
}

// command returns the command that runs the statement on coll. The statement's
// hint is included only if hint is set, because only the indexed collection has
// the index.
func (s statement) command(coll string, hint bool) bson.D {
	d := bson.D{{Key: s.kind, Value: coll}}
	add := func(key string, v any) { d = append(d, bson.E{Key: key, Value: v}) }
	switch s.kind {
	case "find":
		add("filter", s.filter)
		if len(s.sort) > 0 {
			add("sort", s.sort)
		}
		add("skip", s.skip)
		add("limit", s.limit)
		if s.hint != "" && hint {
			add("hint", s.hint)
		}
	case "update":
		add("updates", bson.A{bson.D{{Key: "q", Value: s.filter}, {Key: "u", Value: s.update}, {Key: "multi", Value: s.multi}, {Key: "upsert", Value: s.upsert}}})
	case "findAndModify":
		add("query", s.filter)
		add("sort", s.sort)
		add("update", s.update)
		add("new", true)
	case "insert":
		add("documents", bson.A{s.update})
	case "delete":
		add("deletes", bson.A{bson.D{{Key: "q", Value: s.filter}, {Key: "limit", Value: int32(0)}}})
	}
	return d
}

// randomStatement returns a statement that suits the current documents. A document
// that it inserts has the _id newID.
func (cs *collections) randomStatement(g gen, newID int32) statement {
	switch n := g.IntN(20); {
	case n < 11:
		s := statement{kind: "find", filter: g.filter(2)}
		if g.IntN(2) == 0 {
			s.filter = cs.indexFilter(g)
		}
		if g.IntN(2) == 0 {
			if s.sort = g.sort(); len(cs.indexes) > 0 && g.IntN(2) == 0 {
				s.sort = cs.indexSort(g)
			}
			s.skip, s.limit = int64(g.IntN(2)*g.IntN(4)), int64(g.IntN(2)*g.IntN(8))
		}
		if ix := cs.randomIndex(g); ix != nil && !ix.sparse && ix.partial == nil && g.IntN(4) == 0 {
			s.hint = ix.name
		}
		return s
	case n < 12:
		return statement{kind: "delete", filter: bson.D{{Key: "_id", Value: int32(g.IntN(40))}}}
	case n < 14:
		return statement{kind: "insert", update: g.document(newID)}
	}
	s := statement{kind: "update", filter: g.filter(1), update: g.update(true), upsert: g.IntN(3) == 0}
	if g.IntN(3) == 0 {
		s.filter = cs.indexFilter(g)
	}
	found, err := matching(s.filter, cs.docs, tally{})
	operators := len(s.update) > 0 && strings.HasPrefix(s.update[0].Key, "$")
	switch {
	case err != nil:
	case len(found) == 0 && s.upsert:
		s.fixUpsertID(newID)
	case len(found) > 1 && (g.IntN(2) == 0 || !operators):
		// An update may pick any of several matching documents. With a sort, the
		// document is determined.
		s.kind, s.upsert = "findAndModify", false
		s.sort = append(slices.DeleteFunc(g.sort(), func(e bson.E) bool { return e.Key == "_id" }), bson.E{Key: "_id", Value: int32(1)})
	case len(found) > 1 || operators && g.IntN(2) == 0:
		s.multi = true
	}
	return s
}

// fixUpsertID makes an upsert set the _id of the document that it inserts, unless
// the filter does. Otherwise the server would generate a different _id for each
// collection.
func (s *statement) fixUpsertID(id int32) {
	f, err := compile(s.filter)
	if err != nil {
		return
	}
	base, err := query.UpsertBase(f)
	if err != nil || slices.ContainsFunc(base, func(e bson.E) bool { return e.Key == "_id" }) {
		return
	}
	e := bson.E{Key: "_id", Value: id}
	if len(s.update) == 0 || !strings.HasPrefix(s.update[0].Key, "$") {
		s.update = append(bson.D{e}, s.update...)
		return
	}
	for i, op := range s.update {
		if op.Key == "$setOnInsert" {
			s.update[i].Value = append(op.Value.(bson.D), e)
			return
		}
	}
	s.update = append(s.update, bson.E{Key: "$setOnInsert", Value: bson.D{e}})
}

// indexSort returns a sort by some columns of an index, forward or backward.
// Sometimes the direction changes between two columns.
func (cs *collections) indexSort(g gen) bson.D {
	key, turn := slices.Clone(cs.randomIndex(g).key), pick(g, int32(1), int32(-1))
	from := g.IntN(len(key))
	key = key[from : from+1+g.IntN(len(key)-from)]
	for i := range key {
		if key[i].Value = key[i].Value.(int32) * turn; g.IntN(5) == 0 {
			turn = -turn
		}
	}
	return key
}

// indexFilter returns a filter on the first columns of an index, with values from
// the documents.
func (cs *collections) indexFilter(g gen) bson.D {
	ix := cs.randomIndex(g)
	if ix == nil {
		return g.filter(1)
	}
	f := bson.D{}
	for _, e := range ix.key[:1+g.IntN(len(ix.key))] {
		v := func() any { return cs.sampleValue(g, e.Key) }
		low, high := pick(g, "$gt", "$gte"), pick(g, "$lt", "$lte")
		f = append(f, bson.E{Key: e.Key, Value: pick(g,
			bson.D{{Key: "$eq", Value: v()}},
			bson.D{{Key: "$in", Value: bson.A{v(), v(), v()}}},
			bson.D{{Key: low, Value: v()}},
			bson.D{{Key: high, Value: v()}},
			bson.D{{Key: low, Value: v()}, {Key: high, Value: v()}},
			bson.D{{Key: low, Value: v()}, {Key: high, Value: v()}},
			bson.D{{Key: low, Value: v()}, {Key: "$in", Value: bson.A{v(), v(), v()}}},
		)})
	}
	if ix.partial != nil && g.IntN(3) > 0 {
		f = append(f, bson.E{Key: "$and", Value: bson.A{ix.partial.Source()}})
	}
	return f
}

// sampleValue returns a value that a document has at path, or sometimes a random
// scalar.
func (cs *collections) sampleValue(g gen, path string) any {
	if len(cs.docs) == 0 || g.IntN(5) == 0 {
		return g.scalar()
	}
	v, _ := bsonkit.All(&cs.docs[g.IntN(len(cs.docs))], path, true, true)
	if arr, ok := v.(bson.A); ok && len(arr) > 0 && g.IntN(10) > 0 {
		v = arr[g.IntN(len(arr))]
	}
	if v == bsonkit.Missing {
		return g.scalar()
	}
	return v
}

// randomIndex returns one of the indexes, or nil if there are none.
func (cs *collections) randomIndex(g gen) *index {
	if len(cs.indexes) == 0 {
		return nil
	}
	return cs.indexes[g.IntN(len(cs.indexes))]
}
