package query_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/query"
)

// words holds the keys and strings that a generator uses: fields, paths,
// variables, operators of all kinds, and invalid words.
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

// stageWords and updateWords are the first words of most generated stages and
// updates. They make it likely that a statement passes the first checks.
var (
	stageWords  = []string{"$match", "$sort", "$project", "$addFields", "$group", "$unwind", "$unset", "$replaceWith", "$sortByCount", "$limit", "$skip"}
	updateWords = []string{"$set", "$setOnInsert", "$unset", "$rename", "$inc", "$mul", "$min", "$max", "$currentDate", "$bit", "$push", "$addToSet", "$pop", "$pull", "$pullAll"}
)

// generator generates values from bytes. When it has used up all bytes, it
// generates small values.
type generator struct{ data []byte }

// pick returns a number in [0, n).
func (g *generator) pick(n int) int {
	if len(g.data) == 0 {
		return 0
	}
	b := int(g.data[0])
	g.data = g.data[1:]
	return b % n
}

func (g *generator) word(from []string) string { return from[g.pick(len(from))] }

func (g *generator) doc(depth int) bson.D {
	d := bson.D{}
	for range g.pick(4) {
		d = append(d, bson.E{Key: g.word(words), Value: g.value(depth - 1)})
	}
	return d
}

func (g *generator) array(depth int) bson.A {
	a := bson.A{}
	for range g.pick(4) {
		a = append(a, g.value(depth-1))
	}
	return a
}

func (g *generator) value(depth int) any {
	numbers := []any{int32(0), int32(1), int32(-1), int32(math.MinInt32), int64(math.MinInt64), int64(math.MaxInt64), 0.5, math.NaN(), math.Inf(-1), 1e300, -9.3e18}
	switch kind := g.pick(14); {
	case kind < 4 && depth > 0:
		return g.doc(depth)
	case kind < 7 && depth > 0:
		return g.array(depth)
	case kind < 9:
		return g.word(words)
	case kind < 11:
		return numbers[g.pick(len(numbers))]
	}
	decimals := []string{"0", "1E+6111", "-9.999999999999999999999999999999999E+6144", "1E-6176", "0.1", "NaN", "Infinity"}
	decimal, _ := primitive.ParseDecimal128(decimals[g.pick(len(decimals))])
	others := []any{nil, true, false, decimal, primitive.DateTime(math.MaxInt64), primitive.Timestamp{T: 1}, primitive.Binary{Data: []byte{7}},
		primitive.ObjectID{1}, primitive.Regex{Pattern: "^a", Options: "i"}, primitive.MinKey{}, primitive.Undefined{}, primitive.JavaScript("x")}
	return others[g.pick(len(others))]
}

// stored generates a document that the server can store.
func (g *generator) stored() bson.D {
	d := append(bson.D{{Key: "_id", Value: int32(1)}}, bson.E{Key: "a", Value: g.value(3)}, bson.E{Key: "b", Value: g.value(3)})
	if query.CheckValue(d) != nil {
		return bson.D{{Key: "_id", Value: int32(1)}, {Key: "a", Value: bson.A{int32(1), bson.D{{Key: "b", Value: "x"}}}}}
	}
	return d
}

func (g *generator) pipeline() bson.A {
	stages := bson.A{}
	for range g.pick(3) + 1 {
		stages = append(stages, bson.D{{Key: g.word(stageWords), Value: g.value(4)}})
	}
	return stages
}

func (g *generator) update() any {
	switch g.pick(4) {
	case 0:
		return g.pipeline()
	case 1:
		return g.value(3)
	}
	fields := bson.D{{Key: g.word(words), Value: g.value(3)}, {Key: g.word(words), Value: g.value(3)}}
	return bson.D{{Key: g.word(updateWords), Value: fields}}
}

// exercise compiles and runs statements of all kinds that are generated from
// data. It returns how many of them compiled.
func exercise(t testing.TB, data []byte) int {
	g := &generator{data}
	vars, err := query.NewVars(now, bson.D{{Key: "x", Value: g.value(2)}})
	if err != nil {
		vars = nil
	}
	doc, other, compiled := g.stored(), g.stored(), 0
	before := canonicalJSON(t, doc)
	filter, err := query.CompileFilter(g.doc(4), vars)
	if err == nil {
		compiled++
		_, _ = filter.Match(doc)
		_, _ = query.UpsertBase(filter)
	}
	if update, err := query.CompileUpdate(g.update(), g.array(2), vars); err == nil {
		compiled++
		if out, err := update.Apply(doc, filter, g.pick(2) == 0); err == nil {
			if err := query.CheckValue(out); err != nil {
				t.Errorf("CheckValue of an updated document: got error %v, want none", err)
			}
		}
	}
	if projection, err := query.CompileProjection(g.doc(4), vars); err == nil {
		compiled++
		_, _ = projection.Apply(doc)
	}
	if sort, err := query.CompileSort(bson.D{{Key: g.word(words), Value: int32(1)}}); err == nil {
		if sort.Compare(doc, other) != -sort.Compare(other, doc) {
			t.Errorf("comparing %v with %v and the reverse: got results that are not opposite", doc, other)
		}
	}
	if pipeline, err := query.CompilePipeline(g.pipeline(), vars); err == nil {
		compiled++
		_, _, rest := pipeline.Head()
		_, _ = drain(t, pipeline.Run(query.Documents([]bson.D{doc, other})))
		_, _ = drain(t, rest.Run(query.Documents([]bson.D{doc, other})))
	}
	if after := canonicalJSON(t, doc); after != before {
		t.Errorf("input document after the statements: got %s, want %s", after, before)
	}
	return compiled
}

func FuzzStatements(f *testing.F) {
	f.Add([]byte("seed"))
	f.Fuzz(func(t *testing.T, data []byte) {
		exercise(t, data)
		// Use the data as a filter and as an update, too, if it is valid BSON.
		var raw bson.D
		if bson.Unmarshal(data, &raw) == nil {
			if filter, err := query.CompileFilter(raw, nil); err == nil {
				_, _ = filter.Match(raw)
			}
			_, _ = query.CompileUpdate(raw, nil, nil)
		}
	})
}

func TestRandomStatementsRunSafely(t *testing.T) {
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
		t.Errorf("got %d statements that compile, want at least 5000 for the test to be meaningful", compiled)
	}
}
