package indextest_test

import (
	"math"
	"math/rand/v2"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// gen generates random documents and statements. It uses few values, so that
// statements often match documents. The values lie at the edges of types and
// encodings.
type gen struct {
	*rand.Rand
	// scalarFields contains the names of the top-level fields that never hold an
	// array or a document, so that indexes on them are not multikey.
	scalarFields string
}

// pick returns a random element of list.
func pick[T any](g gen, list ...T) T { return list[g.IntN(len(list))] }

// scalar returns a value that is neither an array nor a document.
func (g gen) scalar() any {
	switch g.IntN(16) {
	case 0:
		return nil
	case 1, 2, 3, 4:
		return int32(g.IntN(5) - 1)
	case 5:
		return pick(g, int64(1), int64(2), int64(1<<53-1), int64(1<<53), int64(1<<53+1), int64(math.MaxInt64), int64(math.MinInt64))
	case 6, 7:
		return pick(g, 0.0, math.Copysign(0, -1), 1.0, 1.5, 2.0, 3.0, -0.5)
	case 8:
		return pick(g, math.NaN(), math.Inf(1), math.Inf(-1), float64(1<<53-1), float64(1<<53), float64(1<<53+2), 1e300, 5e-324)
	case 9, 10:
		return pick(g, "", "a", "ab", "b", "a\x00b", "ä")
	case 11:
		return primitive.DateTime(g.IntN(3) - 1)
	case 12:
		return primitive.ObjectID{byte(g.IntN(3))}
	case 13:
		return g.IntN(2) == 0
	case 14:
		return primitive.Timestamp{T: uint32(g.IntN(2)), I: uint32(g.IntN(2))}
	}
	return primitive.Binary{Data: []byte{byte(g.IntN(2))}}
}

// value returns a value whose arrays and documents are nested up to depth levels.
func (g gen) value(depth int) any {
	if depth > 0 {
		switch g.IntN(12) {
		case 0, 1:
			arr := make(bson.A, g.IntN(4))
			for i := range arr {
				arr[i] = g.value(depth - 1)
			}
			return arr
		case 2:
			return g.fields(depth - 1)
		case 3:
			arr := make(bson.A, g.IntN(3))
			for i := range arr {
				arr[i] = g.fields(depth - 1)
			}
			return arr
		}
	}
	return g.scalar()
}

// fields returns a document with some of the fields that path uses.
func (g gen) fields(depth int) bson.D {
	d := bson.D{}
	for _, name := range []string{"b", "c", "0"} {
		if g.IntN(3) > 0 && (name != "0" || g.IntN(6) == 0) {
			d = append(d, bson.E{Key: name, Value: g.value(depth)})
		}
	}
	return d
}

// document returns a document with the given _id.
func (g gen) document(id int32) bson.D {
	d := bson.D{{Key: "_id", Value: id}}
	for _, name := range []string{"a", "b", "c"} {
		if g.IntN(5) > 0 {
			d = append(d, bson.E{Key: name, Value: g.fieldValue(name)})
		}
	}
	return d
}

// fieldValue returns a value for a top-level field.
func (g gen) fieldValue(name string) any {
	if strings.Contains(g.scalarFields, name) {
		return g.scalar()
	}
	return g.value(2)
}

// path returns a path for a filter or a sort. Paths that indexes use are more
// frequent.
func (g gen) path() string {
	return pick(g, "a", "a", "a", "a", "a", "b", "b", "b", "b", "c", "c", "c", "a.b", "a.b", "a.c", "b.c", "c.b", "a.0", "b.1", "a.0.b", "a.b.c", "_id")
}

// operand returns an operand of a comparison, usually a scalar.
func (g gen) operand() any {
	if g.IntN(10) == 0 {
		return g.value(2)
	}
	return g.scalar()
}

// list returns an array of up to three operands.
func (g gen) list() bson.A {
	arr := make(bson.A, g.IntN(4))
	for i := range arr {
		arr[i] = g.operand()
	}
	return arr
}

// condition returns a document of query operators for one path.
func (g gen) condition(depth int) bson.D {
	ops := bson.D{}
	for range 1 + g.IntN(2)*g.IntN(3) {
		op := pick(g, "$eq", "$eq", "$eq", "$gt", "$gte", "$lt", "$lte", "$gt", "$gte", "$lt", "$lte", "$gt", "$gte", "$lt", "$lte", "$in", "$in", "$in", "$in", "$ne", "$nin", "$exists", "$type", "$size", "$all", "$elemMatch", "$not", "$mod")
		var arg any
		switch op {
		case "$in", "$nin", "$all":
			arg = g.list()
		case "$exists":
			arg = g.IntN(3) > 0
		case "$type":
			arg = pick[any](g, "int", "double", "string", "array", "object", "null", "number", int32(16))
		case "$size":
			arg = int32(g.IntN(4))
		case "$mod":
			arg = bson.A{int32(2), int32(g.IntN(2))}
		case "$not":
			if depth == 0 {
				continue
			}
			arg = g.condition(depth - 1)
		case "$elemMatch":
			if depth == 0 {
				continue
			}
			if arg = g.condition(depth - 1); g.IntN(2) == 0 {
				arg = bson.D{{Key: pick(g, "b", "c"), Value: arg}}
			}
		default:
			arg = g.operand()
		}
		if lookup(ops, op) == nil {
			ops = append(ops, bson.E{Key: op, Value: arg})
		}
	}
	if len(ops) == 0 {
		return bson.D{{Key: "$gte", Value: int32(1)}}
	}
	return ops
}

// filter returns a filter whose logical operators are nested up to depth levels.
func (g gen) filter(depth int) bson.D {
	f := bson.D{}
	for range (g.IntN(10) + 5) / 4 {
		if depth > 0 && g.IntN(8) == 0 {
			parts := make(bson.A, 1+g.IntN(2))
			for i := range parts {
				parts[i] = g.filter(depth - 1)
			}
			f = append(f, bson.E{Key: pick(g, "$and", "$or", "$nor"), Value: parts})
			continue
		}
		e := bson.E{Key: g.path(), Value: g.operand()}
		if g.IntN(3) > 0 {
			e.Value = g.condition(1)
		}
		if lookup(f, e.Key) == nil {
			f = append(f, e)
		}
	}
	return f
}

// sort returns a sort by one to three paths.
func (g gen) sort() bson.D {
	s := bson.D{}
	for range 1 + g.IntN(3) {
		if path := g.path(); lookup(s, path) == nil {
			s = append(s, bson.E{Key: path, Value: pick(g, int32(1), int32(-1))})
		}
	}
	return s
}

// index returns the key and the options of an index.
func (g gen) index() (key bson.D, options bson.D) {
	for range 1 + g.IntN(3)*g.IntN(2) {
		path := pick(g, "a", "a", "b", "b", "c", "c", "a.b", "a.c", "b.c", "c.b", "a.0", "a.b.c")
		if lookup(key, path) == nil {
			key = append(key, bson.E{Key: path, Value: pick(g, int32(1), int32(-1))})
		}
	}
	if numbered := lookup(key, "a.0") != nil; g.IntN(4) == 0 && !numbered {
		options = append(options, bson.E{Key: "unique", Value: true})
	}
	switch g.IntN(8) {
	case 0, 1:
		options = append(options, bson.E{Key: "sparse", Value: true})
	case 2, 3:
		partial := bson.D{{Key: pick(g, "a", "b", "c", "a.b"), Value: pick(g,
			bson.D{{Key: "$exists", Value: true}},
			bson.D{{Key: pick(g, "$gt", "$gte", "$lt", "$lte"), Value: g.scalar()}},
			bson.D{{Key: "$eq", Value: g.scalar()}},
			bson.D{{Key: "$gt", Value: int32(-1)}, {Key: "$lte", Value: 2.0}},
			bson.D{{Key: "$in", Value: bson.A{int32(1), "a", nil}}},
			bson.D{{Key: "$type", Value: "number"}})}}
		options = append(options, bson.E{Key: "partialFilterExpression", Value: partial})
	}
	return key, options
}

// update returns a document of update operators. If replace is set, it may
// return a replacement document instead.
func (g gen) update(replace bool) bson.D {
	if replace && g.IntN(4) == 0 {
		return g.document(0)[1:]
	}
	u := bson.D{}
	used := map[string]bool{}
	for range 1 + g.IntN(3) {
		path := pick(g, "a", "b", "c", "d", "a.b", "b.c", "c.b", "a.0", "a.1.b", "b.$[]", "a.$[].b")
		root := path[:1] // changing each field at most once avoids conflicts
		if used[root] {
			continue
		}
		used[root] = true
		if strings.Contains(g.scalarFields, root) && g.IntN(20) > 0 {
			path = root
		}
		op := pick(g, "$set", "$set", "$set", "$unset", "$inc", "$mul", "$min", "$max", "$push", "$addToSet", "$pop", "$pull", "$pullAll", "$setOnInsert", "$bit", "$rename")
		if strings.Contains("$push $addToSet $rename", op) && strings.Contains(g.scalarFields, root) && g.IntN(20) > 0 {
			op = "$set"
		}
		if op == "$setOnInsert" && strings.Contains(path, "$") {
			continue
		}
		var arg any
		switch op {
		case "$unset":
			arg = ""
		case "$inc", "$mul":
			arg = pick[any](g, int32(1), int32(-2), int64(1), 0.5, int64(math.MaxInt64))
		case "$push":
			if arg = g.value(1); g.IntN(2) == 0 {
				each := bson.D{{Key: "$each", Value: g.list()}}
				if g.IntN(2) == 0 {
					each = append(each, bson.E{Key: "$position", Value: int32(g.IntN(4) - 1)})
				}
				if g.IntN(2) == 0 {
					each = append(each, bson.E{Key: "$sort", Value: pick(g, int32(1), int32(-1))})
				}
				if g.IntN(2) == 0 {
					each = append(each, bson.E{Key: "$slice", Value: int32(g.IntN(5) - 2)})
				}
				arg = each
			}
		case "$addToSet":
			if arg = g.value(1); g.IntN(2) == 0 {
				arg = bson.D{{Key: "$each", Value: g.list()}}
			}
		case "$pop":
			arg = pick(g, int32(1), int32(-1))
		case "$pull":
			if arg = g.operand(); g.IntN(2) == 0 {
				arg = bson.D{{Key: pick(g, "$gt", "$lte", "$eq"), Value: g.scalar()}}
			}
		case "$pullAll":
			arg = g.list()
		case "$bit":
			arg = bson.D{{Key: pick(g, "and", "or", "xor"), Value: int32(g.IntN(4))}}
		case "$rename":
			target := pick(g, "a", "b", "c", "d", "e")
			if used[target] || len(path) > 3 || strings.Contains(path, "0") {
				continue
			}
			used[target] = true
			arg = target
		default:
			arg = g.fieldValue(root)
		}
		placed := false
		for i := range u {
			if u[i].Key == op {
				u[i].Value = append(u[i].Value.(bson.D), bson.E{Key: path, Value: arg})
				placed = true
			}
		}
		if !placed {
			u = append(u, bson.E{Key: op, Value: bson.D{{Key: path, Value: arg}}})
		}
	}
	if len(u) == 0 {
		return bson.D{{Key: "$set", Value: bson.D{{Key: "a", Value: g.value(2)}}}}
	}
	return u
}
