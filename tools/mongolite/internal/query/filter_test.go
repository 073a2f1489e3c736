package query_test

import (
	"math"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
)

func TestFilterMatch(t *testing.T) {
	tests := []struct {
		filter          string
		matches, misses string // arrays of documents
	}{
		{"{}", "[{}, {'a': 1}]", "[]"},
		{"{'a': 1}", "[{'a': 1}, {'a': 1.0}, {'a': {'$numberLong': '1'}}, {'a': [2, 1]}]", "[{'a': 2}, {}, {'a': '1'}, {'a': [[1]]}]"},
		{"{'a': null}", "[{'a': null}, {}, {'a': [1, null]}]", "[{'a': 1}, {'a': []}]"},
		{"{'a.b': null}", "[{'a': 5}, {'a': {}}, {'a': [{'b': 1}, {'c': 1}]}]", "[{'a': []}, {'a': [1]}, {'a': [{'b': 1}]}]"},
		{"{'a': [1, 2]}", "[{'a': [1, 2]}, {'a': [[1, 2]]}]", "[{'a': [2, 1]}, {'a': [1, 2, 3]}]"},
		{"{'a.b': [1, 2]}", "[{'a': [{'b': [1, 2]}]}]", "[{'a': [{'b': 1}, {'b': 2}]}]"},
		{"{'a': {'b': 1}}", "[{'a': {'b': 1}}]", "[{'a': {'b': 1, 'c': 2}}, {'a': {}}]"},
		{"{'a.b': 1}", "[{'a': {'b': 1}}, {'a': [{'b': 2}, {'b': [1]}]}]", "[{'a': [[{'b': 1}]]}]"},
		{"{'a.0': 5}", "[{'a': [5]}, {'a': {'0': 5}}, {'a': [{'0': 5}]}]", "[{'a': [6, 5]}, {'a': [[5]]}]"},
		{"{'a.1.b': 5}", "[{'a': [1, {'b': 5}]}]", "[{'a': [{'b': 5}, 1]}]"},
		{"{'a': {'$eq': 1}}", "[{'a': 1}]", "[{'a': 2}]"},
		{"{'a': {'$ne': 1}}", "[{'a': 2}, {}, {'a': [2]}]", "[{'a': 1}, {'a': [1, 2]}]"},
		{"{'a': {'$gt': 1, '$lt': 3}}", "[{'a': 2}, {'a': [0, 5]}]", "[{'a': 1}, {'a': 3}, {'a': 'x'}, {}]"},
		{"{'a': {'$gte': 'b'}}", "[{'a': 'b'}, {'a': 'c'}]", "[{'a': 'a'}, {'a': 9}]"},
		{"{'a': {'$lte': null}}", "[{'a': null}, {}]", "[{'a': 1}]"},
		{"{'a': {'$lt': 5}}", "[{'a': 4}]", "[{'a': {'$numberDouble': 'NaN'}}]"},
		{"{'a': {'$gte': {'$numberDouble': 'NaN'}}}", "[{'a': {'$numberDouble': 'NaN'}}]", "[{'a': 4}]"},
		{"{'a': {'$in': [1, 'x', null]}}", "[{'a': 1}, {'a': 'x'}, {}, {'a': [3, 1]}]", "[{'a': 2}, {'a': 'xy'}]"},
		{"{'a': {'$in': [{'$regularExpression': {'pattern': '^x', 'options': 'i'}}]}}", "[{'a': 'XY'}, {'a': ['z', 'xa']}]", "[{'a': 'ax'}]"},
		{"{'a': {'$nin': [1, {'$regularExpression': {'pattern': '^x', 'options': ''}}]}}", "[{'a': 2}, {}, {'a': 'ax'}]", "[{'a': 1}, {'a': 'xa'}]"},
		{"{'a': {'$in': []}}", "[]", "[{}, {'a': 1}]"},
		{"{'a': {'$not': {'$gt': 1}}}", "[{'a': 1}, {}, {'a': 'x'}]", "[{'a': 2}]"},
		{"{'a': {'$not': {'$regularExpression': {'pattern': 'x', 'options': ''}}}}", "[{'a': 'y'}, {}]", "[{'a': 'axb'}]"},
		{"{'a': {'$exists': true}}", "[{'a': null}, {'a': []}, {'a': 1}]", "[{}, {'b': 1}]"},
		{"{'a.b': {'$exists': 0}}", "[{}, {'a': 1}, {'a': [{'c': 1}]}]", "[{'a': {'b': 1}}, {'a': [{'b': 1}]}]"},
		{"{'a': {'$type': 'number'}}", "[{'a': 1}, {'a': 1.5}, {'a': ['x', 1]}]", "[{'a': 'x'}, {}]"},
		{"{'a': {'$type': ['null', 2]}}", "[{'a': null}, {'a': 'x'}]", "[{}, {'a': 1}]"},
		{"{'a': {'$type': 'array'}}", "[{'a': []}, {'a': [1]}]", "[{'a': 1}]"},
		{"{'a': {'$size': 2}}", "[{'a': [1, 2]}]", "[{'a': [1]}, {'a': 2}, {'a': [[1, 2]]}]"},
		{"{'a': {'$all': [1, 2]}}", "[{'a': [2, 1, 0]}, {'a': [2, 1]}]", "[{'a': [1]}, {'a': 1}]"},
		{"{'a': {'$all': [[1]]}}", "[{'a': [1]}, {'a': [[1]]}]", "[{'a': [2]}]"},
		{"{'a': {'$all': []}}", "[]", "[{'a': []}, {}]"},
		{"{'a': {'$all': [{'$elemMatch': {'x': 1}}, {'$elemMatch': {'x': 2}}]}}", "[{'a': [{'x': 1}, {'x': 2}]}]", "[{'a': [{'x': 1}]}]"},
		{"{'a': {'$elemMatch': {'$gt': 1, '$lt': 3}}}", "[{'a': [0, 2]}]", "[{'a': [0, 5]}, {'a': 2}, {'a': [[2]]}]"},
		{"{'a': {'$elemMatch': {'x': 1, 'y': 2}}}", "[{'a': [{'x': 1, 'y': 2}]}]", "[{'a': [{'x': 1}, {'y': 2}]}, {'a': {'x': 1, 'y': 2}}]"},
		{"{'a': {'$elemMatch': {'$or': [{'x': 1}, {'y': 2}]}}}", "[{'a': [{'y': 2}]}]", "[{'a': [{'y': 1}]}]"},
		{"{'a': {'$elemMatch': {'$not': {'$gt': 1}}}}", "[{'a': [5, 1]}]", "[{'a': [5]}, {'a': []}]"},
		{"{'a': {'$mod': [4, 1]}}", "[{'a': 5}, {'a': [2, 9]}, {'a': 5.5}]", "[{'a': 4}, {'a': 'x'}, {}]"},
		{"{'a': {'$bitsAllSet': 5}}", "[{'a': 7}]", "[{'a': 4}, {'a': 'x'}]"},
		{"{'a': {'$bitsAnySet': [0, 1]}}", "[{'a': 2}]", "[{'a': 4}]"},
		{"{'a': {'$bitsAllClear': 5}}", "[{'a': 2}]", "[{'a': 3}]"},
		{"{'a': {'$bitsAnyClear': 5}}", "[{'a': 1}]", "[{'a': 7}]"},
		{"{'a': {'$regex': '^x.z$', '$options': 'i'}}", "[{'a': 'XyZ'}, {'a': ['q', 'xyz']}]", "[{'a': 'xyzz'}, {'a': 5}]"},
		{"{'a': {'$options': 's', '$regex': 'a.b'}}", "[{'a': 'a\\nb'}]", "[{'a': 'ab'}]"},
		{"{'a': {'$regularExpression': {'pattern': '^b', 'options': 'm'}}}", "[{'a': 'a\\nb'}, {'a': {'$regularExpression': {'pattern': '^b', 'options': 'm'}}}]", "[{'a': 'ab'}]"},
		{"{'$and': [{'a': 1}, {'b': 2}]}", "[{'a': 1, 'b': 2}]", "[{'a': 1}]"},
		{"{'$or': [{'a': 1}, {'b': 2}]}", "[{'b': 2}]", "[{'c': 1}]"},
		{"{'$nor': [{'a': 1}, {'b': 2}]}", "[{}]", "[{'a': 1}, {'b': 2}]"},
		{"{'$comment': 'why', 'a': 1}", "[{'a': 1}]", "[{'a': 2}]"},
		{"{'$expr': {'$gt': ['$a', '$b']}}", "[{'a': 2, 'b': 1}, {'a': 'x', 'b': 1}, {'a': null}]", "[{'a': 1, 'b': 1}, {'b': null}]"},
		{"{'$expr': {'$eq': ['$a', '$$five']}}", "[{'a': 5}]", "[{'a': 4}]"},
		{"{'$jsonSchema': {'required': ['a'], 'properties': {'a': {'bsonType': 'int'}}}}", "[{'a': 5}]", "[{'a': 'x'}, {}]"},
		{"{'a': {'$ref': 'c', '$id': 1}}", "[{'a': {'$ref': 'c', '$id': 1}}]", "[{'a': 1}]"},
		// The filter of Dapr's state store. A document without _ttl does not match,
		// because $eq distinguishes a missing field from null.
		{"{'$and': [{'_id': {'$eq': 'k'}}, {'$expr': {'$or': [{'$eq': ['$_ttl', null]}, {'$gte': ['$_ttl', '$$NOW']}]}}]}",
			"[{'_id': 'k', '_ttl': null}, {'_id': 'k', '_ttl': {'$date': '2026-11-23T10:00:01Z'}}]",
			"[{'_id': 'k'}, {'_id': 'k', '_ttl': {'$date': '2026-11-23T09:59:59Z'}}, {'_id': 'x', '_ttl': null}]"},
	}
	for _, tt := range tests {
		t.Run(tt.filter, func(t *testing.T) {
			f, err := query.CompileFilter(doc(t, tt.filter), vars(t))
			if err != nil {
				t.Fatal(err)
			}
			for want, text := range map[bool]string{true: tt.matches, false: tt.misses} {
				for _, d := range docs(t, text) {
					if got, err := f.Match(d); got != want || err != nil {
						t.Errorf("Match(%v): got %v, error %v, want %v and no error", d, got, err, want)
					}
				}
			}
			checkEqual(t, f.Source(), doc(t, tt.filter))
		})
	}
}

func TestInvalidFiltersReturnErrors(t *testing.T) {
	tests := []struct {
		filter string
		code   mongoerr.Code
		text   string
	}{
		{"{'a': {'$foo': 1}}", mongoerr.BadValue, "unknown operator: $foo"},
		{"{'$foo': 1}", mongoerr.BadValue, "unknown top level operator: $foo"},
		{"{'a': {'$gt': 1, 'x': 2}}", mongoerr.BadValue, "unknown operator: x"},
		{"{'$or': [{'a': 1}, {'a': {'$foo': 1}}]}", mongoerr.BadValue, "$foo"},
		{"{'$or': []}", mongoerr.BadValue, "nonempty array"},
		{"{'$and': [1]}", mongoerr.BadValue, "full objects"},
		{"{'$where': 'x'}", mongoerr.NotImplemented, "$where"},
		{"{'$text': {'$search': 'x'}}", mongoerr.NotImplemented, "$text"},
		{"{'a': {'$near': [1, 2]}}", mongoerr.NotImplemented, "$near"},
		{"{'a': {'$geoWithin': {}}}", mongoerr.NotImplemented, "$geoWithin"},
		{"{'a': {'$in': 1}}", mongoerr.BadValue, "$in needs an array"},
		{"{'a': {'$in': [{'$gt': 1}]}}", mongoerr.BadValue, "cannot nest $ under $in"},
		{"{'a': {'$not': 1}}", mongoerr.BadValue, "$not needs"},
		{"{'a': {'$not': {}}}", mongoerr.BadValue, "$not cannot be empty"},
		{"{'a': {'$not': {'$foo': 1}}}", mongoerr.BadValue, "$foo"},
		{"{'a': {'$size': -1}}", mongoerr.BadValue, "$size"},
		{"{'a': {'$size': 'x'}}", mongoerr.FailedToParse, "$size"},
		{"{'a': {'$type': 'foo'}}", mongoerr.BadValue, "foo"},
		{"{'a': {'$type': 99}}", mongoerr.BadValue, "99"},
		{"{'a': {'$mod': [0, 1]}}", mongoerr.BadValue, "$mod"},
		{"{'a': {'$mod': [1]}}", mongoerr.BadValue, "$mod"},
		{"{'a': {'$bitsAllSet': -1}}", mongoerr.BadValue, "$bitsAllSet"},
		{"{'a': {'$all': 1}}", mongoerr.BadValue, "$all needs an array"},
		{"{'a': {'$elemMatch': 1}}", mongoerr.BadValue, "$elemMatch"},
		{"{'a': {'$elemMatch': {'$expr': true}}}", mongoerr.BadValue, "$expr"},
		{"{'a': {'$options': 'i'}}", mongoerr.BadValue, "$options needs a $regex"},
		{"{'a': {'$regex': 'x', '$options': 'x'}}", mongoerr.BadValue, "'x'"},
		{"{'a': {'$regularExpression': {'pattern': 'x', 'options': 'u'}}}", mongoerr.BadValue, "'u'"},
		{"{'a': {'$regex': '(?=x)'}}", mongoerr.BadValue, "(?=x)"},
		{"{'a': {'$regex': 5}}", mongoerr.BadValue, "$regex has to be a string"},
		{"{'a': {'$ne': {'$regularExpression': {'pattern': 'x', 'options': ''}}}}", mongoerr.BadValue, "regex"},
		{"{'$expr': {'$foo': 1}}", mongoerr.InvalidPipelineOperator, "$foo"},
		{"{'$expr': '$$nope'}", 17276, "nope"},
		{"{'$jsonSchema': {'propertys': {}}}", mongoerr.FailedToParse, "propertys"},
		{"{'$jsonSchema': {'properties': {'a': {'$ref': 'x'}}}}", mongoerr.FailedToParse, "$ref"},
		{"{'a': {'$minKey': 1}}", mongoerr.NotImplemented, "minKey"},
		{"{'a': [{'b': {'$maxKey': 1}}]}", mongoerr.NotImplemented, "maxKey"},
		{"{'a': {'$undefined': true}}", mongoerr.NotImplemented, "undefined"},
		{"{'a': {'$symbol': 'x'}}", mongoerr.NotImplemented, "symbol"},
		{"{'a': {'$code': 'x'}}", mongoerr.NotImplemented, "javascript"},
		{"{'a': {'$code': 'x', '$scope': {}}}", mongoerr.NotImplemented, "javascriptWithScope"},
		{"{'a': {'$dbPointer': {'$ref': 'a', '$id': {'$oid': '5f5f5f5f5f5f5f5f5f5f5f5f'}}}}", mongoerr.NotImplemented, "dbPointer"},
		{"{'a': {'$numberDecimal': 'NaN'}}", mongoerr.NotImplemented, "NaN"},
		{"{'a': {'$numberDecimal': '-Infinity'}}", mongoerr.NotImplemented, "Infinity"},
	}
	for _, tt := range tests {
		t.Run(tt.filter, func(t *testing.T) {
			_, err := query.CompileFilter(doc(t, tt.filter), vars(t))
			checkError(t, err, tt.code, tt.text)
		})
	}
}

func TestCheckValueRejectsDeepOrUnsupportedValues(t *testing.T) {
	deep := any(int32(1))
	for range 300 {
		deep = bson.A{deep}
	}
	checkError(t, query.CheckValue(deep), mongoerr.Overflow, "deep")
	checkError(t, query.CheckValue(bson.D{{Key: "a", Value: struct{}{}}}), mongoerr.NotImplemented, "unknown")
	supported := bson.D{{Key: "a", Value: bson.A{nil, true, int32(1), int64(1), math.NaN(), "s", primitive.NewObjectID(),
		primitive.DateTime(1), primitive.Timestamp{}, primitive.Binary{}, primitive.Regex{}, primitive.NewDecimal128(1, 1), bson.D{}}}}
	if err := query.CheckValue(supported); err != nil {
		t.Errorf("CheckValue of supported types: got error %v, want none", err)
	}
}

func TestUpsertBaseContainsFieldsComparedForEquality(t *testing.T) {
	tests := []struct{ filter, want string }{
		{"{'a': 1, '_id': 5}", "{'_id': 5, 'a': 1}"},
		{"{'a.b': 1, 'c': {'$gt': 1, '$eq': 3}, 'd': {'$in': [4]}}", "{'a': {'b': 1}, 'c': 3, 'd': 4}"},
		{"{'$and': [{'a': 1}, {'$or': [{'b': 2}]}], '$or': [{'c': 1}, {'d': 2}]}", "{'a': 1, 'b': 2}"},
		{"{'a': {'$regularExpression': {'pattern': 'x', 'options': ''}}, 'b': {'$ne': 1}, 'c': {'$not': {'$eq': 1}}}", "{}"},
		{"{'a': {'b': 1}, '$expr': true}", "{'a': {'b': 1}}"},
	}
	for _, tt := range tests {
		t.Run(tt.filter, func(t *testing.T) {
			f, err := query.CompileFilter(doc(t, tt.filter), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := query.UpsertBase(f)
			if err != nil {
				t.Fatal(err)
			}
			checkEqual(t, got, doc(t, tt.want))
		})
	}
	f, err := query.CompileFilter(doc(t, "{'$and': [{'a': 1}, {'a': 2}]}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = query.UpsertBase(f)
	checkError(t, err, mongoerr.NotSingleValueField, "'a' is matched twice")
}

func TestNewVarsValidatesLet(t *testing.T) {
	_, err := query.NewVars(now, doc(t, "{'A': 1}"))
	checkError(t, err, mongoerr.FailedToParse, "'A'")
	_, err = query.NewVars(now, doc(t, "{'a': {'$foo': 1}}"))
	checkError(t, err, mongoerr.InvalidPipelineOperator, "$foo")
	_, err = query.NewVars(now, doc(t, "{'a': '"+strings.Repeat("x", 3)+"', 'b': '$$a'}"))
	if err != nil {
		t.Errorf("let that refers to an earlier variable: got error %v, want none", err)
	}
}
