package query_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/query"
)

// words are what a maker's keys and strings are drawn from: fields, paths,
// variables, operators of all kinds, and nonsense.
var words = []string{
	"a", "b", "_id", "a.b", "a.0", "a.1.b", "b.a.b", "", ".", "a.", "x$y", "$", "$a", "$b.a", "$$NOW", "$$ROOT.a", "$$this", "$$value", "$$REMOVE",
	"a.$", "a.$[]", "a.$[x]", "a.$[].b", "x", "x.a", "as", "in", "input", "cond", "vars", "if", "then", "else", "field", "value", "k", "v", "path",
	"case", "branches", "default", "initialValue", "newRoot", "limit", "and", "or", "xor", "includeArrayIndex", "preserveNullAndEmptyArrays",
	"$and", "$or", "$nor", "$expr", "$comment", "$jsonSchema", "$eq", "$gt", "$gte", "$lt", "$lte", "$ne", "$in", "$nin", "$not", "$exists", "$type",
	"$size", "$all", "$elemMatch", "$regex", "$options", "$mod", "$bitsAllSet", "$bitsAnyClear", "$set", "$setOnInsert", "$unset", "$rename", "$inc",
	"$mul", "$min", "$max", "$currentDate", "$bit", "$push", "$each", "$position", "$slice", "$sort", "$addToSet", "$pop", "$pull", "$pullAll",
	"$literal", "$cmp", "$cond", "$ifNull", "$switch", "$add", "$subtract", "$multiply", "$divide", "$abs", "$ceil", "$floor", "$round", "$trunc",
	"$sum", "$avg", "$concat", "$toLower", "$toUpper", "$toString", "$toInt", "$toLong", "$toDouble", "$toDate", "$toObjectId", "$substrCP", "$strLenCP",
	"$split", "$arrayElemAt", "$first", "$last", "$concatArrays", "$isArray", "$filter", "$map", "$reduce", "$let", "$mergeObjects", "$objectToArray",
	"$arrayToObject", "$setField", "$unsetField", "$getField", "$rand", "$match", "$skip", "$limit", "$project", "$group", "$count", "$unwind",
	"$addFields", "$replaceRoot", "$replaceWith", "$sortByCount", "$documents", "$out", "$merge", "on", "into", "bsonType", "items", "multipleOf",
	"required", "properties", "pattern", "minimum", "$nonsense", "a\x00b", "^a", "(",
}

// stageWords and updateWords start most stages and updates, so that they get
// past their first check.
var (
	stageWords = []string{"$match", "$sort", "$project", "$addFields", "$group", "$unwind", "$unset", "$replaceWith", "$sortByCount", "$limit", "$skip"}
	setWords   = []string{"$set", "$setOnInsert", "$unset", "$rename", "$inc", "$mul", "$min", "$max", "$currentDate", "$bit", "$push", "$addToSet", "$pop", "$pull", "$pullAll"}
)

// maker turns bytes into values; without bytes left it makes small ones.
type maker struct{ data []byte }

func (m *maker) pick(n int) int {
	if len(m.data) == 0 {
		return 0
	}
	b := int(m.data[0])
	m.data = m.data[1:]
	return b % n
}

func (m *maker) word(from []string) string { return from[m.pick(len(from))] }

func (m *maker) doc(depth int) bson.D {
	d := bson.D{}
	for range m.pick(4) {
		d = append(d, bson.E{Key: m.word(words), Value: m.value(depth - 1)})
	}
	return d
}

func (m *maker) array(depth int) bson.A {
	a := bson.A{}
	for range m.pick(4) {
		a = append(a, m.value(depth-1))
	}
	return a
}

func (m *maker) value(depth int) any {
	numbers := []any{int32(0), int32(1), int32(-1), int32(math.MinInt32), int64(math.MinInt64), int64(math.MaxInt64), 0.5, math.NaN(), math.Inf(-1), 1e300, -9.3e18}
	switch kind := m.pick(14); {
	case kind < 4 && depth > 0:
		return m.doc(depth)
	case kind < 7 && depth > 0:
		return m.array(depth)
	case kind < 9:
		return m.word(words)
	case kind < 11:
		return numbers[m.pick(len(numbers))]
	}
	decimals := []string{"0", "1E+6111", "-9.999999999999999999999999999999999E+6144", "1E-6176", "0.1", "NaN", "Infinity"}
	decimal, _ := primitive.ParseDecimal128(decimals[m.pick(len(decimals))])
	others := []any{nil, true, false, decimal, primitive.DateTime(math.MaxInt64), primitive.Timestamp{T: 1}, primitive.Binary{Data: []byte{7}},
		primitive.ObjectID{1}, primitive.Regex{Pattern: "^a", Options: "i"}, primitive.MinKey{}, primitive.Undefined{}, primitive.JavaScript("x")}
	return others[m.pick(len(others))]
}

// stored makes a document that the server would hold.
func (m *maker) stored() bson.D {
	d := append(bson.D{{Key: "_id", Value: int32(1)}}, bson.E{Key: "a", Value: m.value(3)}, bson.E{Key: "b", Value: m.value(3)})
	if query.CheckValue(d) != nil {
		return bson.D{{Key: "_id", Value: int32(1)}, {Key: "a", Value: bson.A{int32(1), bson.D{{Key: "b", Value: "x"}}}}}
	}
	return d
}

func (m *maker) pipeline() bson.A {
	stages := bson.A{}
	for range m.pick(3) + 1 {
		stages = append(stages, bson.D{{Key: m.word(stageWords), Value: m.value(4)}})
	}
	return stages
}

func (m *maker) update() any {
	switch m.pick(4) {
	case 0:
		return m.pipeline()
	case 1:
		return m.value(3)
	}
	fields := bson.D{{Key: m.word(words), Value: m.value(3)}, {Key: m.word(words), Value: m.value(3)}}
	return bson.D{{Key: m.word(setWords), Value: fields}}
}

// exercise runs everything on what the bytes make, and returns how much of it
// got past compilation.
func exercise(t testing.TB, data []byte) int {
	m := &maker{data}
	vars, err := query.NewVars(now, bson.D{{Key: "x", Value: m.value(2)}})
	if err != nil {
		vars = nil
	}
	doc, other, compiled := m.stored(), m.stored(), 0
	before := text(t, doc)
	filter, err := query.CompileFilter(m.doc(4), vars)
	if err == nil {
		compiled++
		_, _ = filter.Match(doc)
		_, _ = query.UpsertBase(filter)
	}
	if update, err := query.CompileUpdate(m.update(), m.array(2), vars); err == nil {
		compiled++
		if out, err := update.Apply(doc, filter, m.pick(2) == 0); err == nil {
			if err := query.CheckValue(out); err != nil {
				t.Errorf("an update made what may not be stored: %v", err)
			}
		}
	}
	if projection, err := query.CompileProjection(m.doc(4), vars); err == nil {
		compiled++
		_, _ = projection.Apply(doc)
	}
	if sort, err := query.CompileSort(bson.D{{Key: m.word(words), Value: int32(1)}}); err == nil {
		if sort.Compare(doc, other) != -sort.Compare(other, doc) {
			t.Errorf("no order between %v and %v", doc, other)
		}
	}
	if pipeline, err := query.CompilePipeline(m.pipeline(), vars); err == nil {
		compiled++
		_, _, rest := pipeline.Head()
		_, _ = drain(t, pipeline.Run(query.Documents([]bson.D{doc, other})))
		_, _ = drain(t, rest.Run(query.Documents([]bson.D{doc, other})))
	}
	if after := text(t, doc); after != before {
		t.Errorf("the document changed from %s to %s", before, after)
	}
	return compiled
}

func FuzzFilterAndUpdate(f *testing.F) {
	f.Add([]byte("seed"))
	f.Fuzz(func(t *testing.T, data []byte) {
		exercise(t, data)
		var raw bson.D // and the bytes as BSON, should they be some
		if bson.Unmarshal(data, &raw) == nil {
			if filter, err := query.CompileFilter(raw, nil); err == nil {
				_, _ = filter.Match(raw)
			}
			_, _ = query.CompileUpdate(raw, nil, nil)
		}
	})
}

func TestRandomStatements(t *testing.T) {
	source := rand.New(rand.NewPCG(1, 2))
	compiled := 0
	for range 20_000 {
		data := make([]byte, 40+source.IntN(120))
		for i := range data {
			data[i] = byte(source.Uint32())
		}
		compiled += exercise(t, data)
	}
	if compiled < 5_000 {
		t.Errorf("only %d statements compiled: the makers are too wild to prove anything", compiled)
	}
}
