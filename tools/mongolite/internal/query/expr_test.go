package query_test

import (
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
)

// eval evaluates an expression on a document and returns the result as the field
// v of a document. The document is empty if the expression has no value.
func eval(t testing.TB, expression, on string) (bson.D, error) {
	t.Helper()
	p, err := query.CompilePipeline(bson.A{bson.D{{Key: "$project", Value: bson.D{
		{Key: "_id", Value: false}, {Key: "v", Value: value(t, expression)}}}}}, vars(t))
	if err != nil {
		return nil, err
	}
	out, err := drain(t, p.Run(query.Documents([]bson.D{doc(t, on)})))
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

func TestExpressionValues(t *testing.T) {
	const missing = ""
	tests := []struct{ on, expression, want string }{
		// paths and variables
		{"{'a': {'b': 1}}", "'$a.b'", "1"},
		{"{'a': [{'b': 1}, 5, {'c': 1}, {'b': [2]}, [{'b': 3}]]}", "'$a.b'", "[1, [2], [3]]"},
		{"{'a': [1, 2]}", "'$a.0'", "[]"},
		{"{}", "'$a'", missing},
		{"{}", "'$$NOW'", "{'$date': '2026-11-23T10:00:00Z'}"},
		{"{'a': 1}", "'$$ROOT'", "{'a': 1}"},
		{"{'a': 1}", "'$$CURRENT.a'", "1"},
		{"{'a': 1}", "'$$REMOVE'", missing},
		{"{}", "'$$five'", "5"},
		{"{}", "'$$obj.a.b'", "7"},
		{"{}", "{'$literal': '$a'}", "'$a'"},
		{"{'a': 1}", "['$a', '$b', 'x']", "[1, null, 'x']"},
		{"{'a': 1}", "{'$cond': [true, {'x': '$a', 'y': '$b', 'z': {'w': ['$a']}}, 0]}", "{'x': 1, 'z': {'w': [1]}}"},
		// comparison
		{"{'a': 1}", "{'$eq': ['$a', 1.0]}", "true"},
		{"{}", "{'$eq': ['$a', null]}", "false"},
		{"{}", "{'$lt': ['$a', null]}", "true"},
		{"{}", "{'$gt': ['x', 5]}", "true"},
		{"{}", "{'$gte': [5, 5]}", "true"},
		{"{}", "{'$lte': [6, 5]}", "false"},
		{"{}", "{'$ne': [6, 5]}", "true"},
		{"{}", "{'$cmp': [6, 5]}", "1"},
		// logic
		{"{'a': 0}", "{'$and': ['$a', {'$divide': [1, 0]}]}", "false"},
		{"{'a': 1}", "{'$or': ['$a', {'$divide': [1, 0]}]}", "true"},
		{"{}", "{'$and': []}", "true"},
		{"{}", "{'$or': []}", "false"},
		{"{}", "{'$not': [false]}", "true"},
		{"{}", "{'$not': '$a'}", "true"},
		{"{'a': 5}", "{'$cond': {'if': {'$gt': ['$a', 3]}, 'then': 'big', 'else': 'small'}}", "'big'"},
		{"{'a': null}", "{'$ifNull': ['$a', '$b', 7]}", "7"},
		{"{'a': 5}", "{'$switch': {'branches': [{'case': {'$eq': ['$a', 4]}, 'then': 'x'}, {'case': {'$eq': ['$a', 5]}, 'then': 'y'}]}}", "'y'"},
		{"{}", "{'$switch': {'branches': [{'case': false, 'then': 'x'}], 'default': 'd'}}", "'d'"},
		// arithmetic
		{"{}", "{'$add': [1, 2]}", "3"},
		{"{}", "{'$add': [2147483647, 1]}", "{'$numberLong': '2147483648'}"},
		{"{}", "{'$add': [{'$numberLong': '9223372036854775807'}, 1]}", "9223372036854775808.0"},
		{"{}", "{'$add': ['$$NOW', 1500]}", "{'$date': '2026-11-23T10:00:01.5Z'}"},
		{"{}", "{'$add': [1, null]}", "null"},
		{"{}", "{'$add': [{'$numberDecimal': '0.1'}, 1]}", "{'$numberDecimal': '1.1'}"},
		{"{}", "{'$subtract': [1, 2.5]}", "-1.5"},
		{"{}", "{'$subtract': [-1, -2147483648]}", "2147483647"},
		{"{}", "{'$subtract': ['$$NOW', {'$date': '2026-11-23T09:59:59Z'}]}", "{'$numberLong': '1000'}"},
		{"{}", "{'$subtract': ['$$NOW', 1000]}", "{'$date': '2026-11-23T09:59:59Z'}"},
		{"{}", "{'$multiply': [65536, 65536]}", "{'$numberLong': '4294967296'}"},
		{"{}", "{'$multiply': [{'$numberLong': '4294967296'}, {'$numberLong': '4294967296'}]}", "18446744073709551616.0"},
		{"{}", "{'$divide': [1, 4]}", "0.25"},
		{"{}", "{'$divide': [{'$numberDecimal': '1'}, 8]}", "{'$numberDecimal': '0.125'}"},
		{"{}", "{'$mod': [-7, 4]}", "-3"},
		{"{}", "{'$mod': [7.5, 2]}", "1.5"},
		{"{}", "{'$abs': -5}", "5"},
		{"{}", "{'$abs': -2147483648}", "{'$numberLong': '2147483648'}"},
		{"{}", "{'$ceil': 1.2}", "2.0"},
		{"{}", "{'$floor': -1.2}", "-2.0"},
		{"{}", "{'$round': [2.5]}", "2.0"},
		{"{}", "{'$round': [19.25, 1]}", "19.2"},
		{"{}", "{'$round': [1234, -2]}", "1200"},
		{"{}", "{'$trunc': [-1.9]}", "-1.0"},
		{"{}", "{'$trunc': [1289, -2]}", "1200"},
		{"{'a': [1, 2, 'x', 3.5]}", "{'$sum': '$a'}", "6.5"},
		{"{'a': 4}", "{'$avg': ['$a', 2, null]}", "3.0"},
		{"{'a': [3, 1, null]}", "{'$min': '$a'}", "1"},
		{"{'a': [3, 1, 'x']}", "{'$max': '$a'}", "'x'"},
		{"{}", "{'$avg': []}", "null"},
		// strings
		{"{'a': 'x'}", "{'$concat': ['$a', 'y']}", "'xy'"},
		{"{}", "{'$concat': ['x', '$a']}", "null"},
		{"{}", "{'$toLower': 'ABcÄ'}", "'abcÄ'"},
		{"{}", "{'$toUpper': 'abcz'}", "'ABCZ'"},
		{"{}", "{'$toUpper': null}", "''"},
		{"{}", "{'$substrCP': ['größe', 2, 2]}", "'öß'"},
		{"{}", "{'$substrCP': ['abc', 5, 2]}", "''"},
		{"{}", "{'$strLenCP': 'größe'}", "5"},
		{"{}", "{'$split': ['a-b-c', '-']}", "['a', 'b', 'c']"},
		// conversion
		{"{}", "{'$toString': 2.5}", "'2.5'"},
		{"{}", "{'$toString': true}", "'true'"},
		{"{}", "{'$toString': '$$NOW'}", "'2026-11-23T10:00:00.000Z'"},
		{"{}", "{'$toString': {'$literal': {'$oid': '5f5f5f5f5f5f5f5f5f5f5f5f'}}}", "'5f5f5f5f5f5f5f5f5f5f5f5f'"},
		{"{}", "{'$toInt': '42'}", "42"},
		{"{}", "{'$toInt': 1.9}", "1"},
		{"{}", "{'$toLong': true}", "{'$numberLong': '1'}"},
		{"{}", "{'$toLong': '$$NOW'}", "{'$numberLong': '1795428000000'}"},
		{"{}", "{'$toDouble': '2.5'}", "2.5"},
		{"{}", "{'$toDate': '2026-11-23'}", "{'$date': '2026-11-23T00:00:00Z'}"},
		{"{}", "{'$toDate': {'$numberLong': '0'}}", "{'$date': '1970-01-01T00:00:00Z'}"},
		{"{}", "{'$toObjectId': '5f5f5f5f5f5f5f5f5f5f5f5f'}", "{'$oid': '5f5f5f5f5f5f5f5f5f5f5f5f'}"},
		{"{}", "{'$toInt': null}", "null"},
		{"{'a': 1}", "{'$type': '$a'}", "'int'"},
		{"{}", "{'$type': '$a'}", "'missing'"},
		// arrays
		{"{'a': [1, 2]}", "{'$size': '$a'}", "2"},
		{"{'a': [1, 2]}", "{'$in': [2.0, '$a']}", "true"},
		{"{'a': [1, 2]}", "{'$arrayElemAt': ['$a', -1]}", "2"},
		{"{'a': [1, 2]}", "{'$arrayElemAt': ['$a', 9]}", missing},
		{"{'a': [1, 2]}", "{'$first': '$a'}", "1"},
		{"{'a': [1, 2]}", "{'$last': '$a'}", "2"},
		{"{'a': [1, 2, 3]}", "{'$slice': ['$a', 2]}", "[1, 2]"},
		{"{'a': [1, 2, 3]}", "{'$slice': ['$a', -2]}", "[2, 3]"},
		{"{'a': [1, 2, 3]}", "{'$slice': ['$a', 1, 5]}", "[2, 3]"},
		{"{'a': [1, 2, 3]}", "{'$slice': ['$a', -2, 1]}", "[2]"},
		{"{'a': [1]}", "{'$concatArrays': ['$a', [2]]}", "[1, 2]"},
		{"{'a': [1]}", "{'$isArray': '$a'}", "true"},
		{"{'a': [1, 2, 3]}", "{'$filter': {'input': '$a', 'as': 'x', 'cond': {'$gt': ['$$x', 1]}, 'limit': 1}}", "[2]"},
		{"{'a': [{'b': 1}, {'b': 2}]}", "{'$map': {'input': '$a', 'in': {'$add': ['$$this.b', '$$five']}}}", "[6, 7]"},
		{"{'a': [1, 2, 3]}", "{'$reduce': {'input': '$a', 'initialValue': 0, 'in': {'$add': ['$$value', '$$this']}}}", "6"},
		{"{'a': 3}", "{'$let': {'vars': {'x': '$a'}, 'in': {'$multiply': ['$$x', '$$x']}}}", "9"},
		// objects
		{"{'a': {'x': 1, 'y': 1}}", "{'$mergeObjects': ['$a', {'y': 2}, null]}", "{'x': 1, 'y': 2}"},
		{"{'a': {'x': 1}}", "{'$objectToArray': '$a'}", "[{'k': 'x', 'v': 1}]"},
		{"{}", "{'$arrayToObject': [[['x', 1], ['y', 2]]]}", "{'x': 1, 'y': 2}"},
		{"{'a': [{'k': 'x', 'v': 1}]}", "{'$arrayToObject': '$a'}", "{'x': 1}"},
		{"{'a.b': 1}", "{'$getField': 'a.b'}", "1"},
		{"{'a': {'$x': 1}}", "{'$getField': {'field': {'$literal': '$x'}, 'input': '$a'}}", "1"},
		{"{'a': {}}", "{'$setField': {'field': 'x.y', 'input': '$a', 'value': 1}}", "{'x.y': 1}"},
		{"{'a': {'x': 1, 'y': 2}}", "{'$unsetField': {'field': 'x', 'input': '$a'}}", "{'y': 2}"},
	}
	for _, tt := range tests {
		t.Run(subtestName(tt.expression, "on", tt.on), func(t *testing.T) {
			got, err := eval(t, tt.expression, tt.on)
			if err != nil {
				t.Fatal(err)
			}
			want := doc(t, "{}")
			if tt.want != missing {
				want = doc(t, "{'v': "+tt.want+"}")
			}
			checkEqual(t, got, want)
		})
	}
}

func TestRandReturnsNumberBetweenZeroAndOne(t *testing.T) {
	got, err := eval(t, "{'$rand': {}}", "{}")
	if err != nil {
		t.Fatal(err)
	}
	if f := got[0].Value.(float64); f < 0 || f >= 1 {
		t.Errorf("got %v, want a number in [0, 1)", f)
	}
}

func TestInvalidExpressionsReturnErrors(t *testing.T) {
	tests := []struct {
		expression string
		code       mongoerr.Code
		text       string
	}{
		{"{'$foo': 1}", mongoerr.InvalidPipelineOperator, "Unrecognized expression '$foo'"},
		{"{'$dateTrunc': {}}", mongoerr.NotImplemented, "$dateTrunc"},
		{"{'$function': {}}", mongoerr.NotImplemented, "$function"},
		{"'$$CLUSTER_TIME'", mongoerr.NotImplemented, "CLUSTER_TIME"},
		{"'$$x'", 17276, "undefined variable: x"},
		{"'$'", 16872, "FieldPath"},
		{"'$a..b'", 15998, "empty"},
		{"'$a.$b'", 16410, "'$'"},
		{"{'$add': [1], '$eq': [1, 1]}", 15983, "exactly one field"},
		{"{'$eq': [1]}", 16020, "exactly 2"},
		{"{'$substrCP': [1]}", 16020, "exactly 3"},
		{"{'$add': ['x']}", mongoerr.TypeMismatch, "$add"},
		{"{'$add': ['$$NOW', '$$NOW']}", 16612, "only one date"},
		{"{'$add': ['$$NOW', 1e300]}", mongoerr.Overflow, "date"},
		{"{'$subtract': ['x', 1]}", mongoerr.TypeMismatch, "$subtract"},
		{"{'$multiply': ['x']}", mongoerr.TypeMismatch, "$multiply"},
		{"{'$divide': [1, 0]}", mongoerr.BadValue, "zero"},
		{"{'$mod': [1, 0]}", 16610, "zero"},
		{"{'$abs': 'x'}", mongoerr.TypeMismatch, "$abs"},
		{"{'$abs': {'$numberLong': '-9223372036854775808'}}", 28680, "$abs"},
		{"{'$round': [1, 1000]}", 51083, "precision"},
		{"{'$concat': [1]}", 16702, "$concat"},
		{"{'$toLower': [[1]]}", 16007, "array"},
		{"{'$substrCP': ['x', -1, 1]}", 34455, "$substrCP"},
		{"{'$strLenCP': 1}", 34471, "$strLenCP"},
		{"{'$split': ['x', '']}", 40087, "separator"},
		{"{'$split': [1, '-']}", 40085, "$split"},
		{"{'$toInt': 'x'}", mongoerr.ConversionFailure, "$toInt"},
		{"{'$toInt': {'$numberLong': '2147483648'}}", mongoerr.ConversionFailure, "$toInt"},
		{"{'$toDate': 'x'}", mongoerr.ConversionFailure, "$toDate"},
		{"{'$toObjectId': 'x'}", mongoerr.ConversionFailure, "$toObjectId"},
		{"{'$size': 1}", 17124, "$size"},
		{"{'$in': [1, 1]}", 40081, "$in"},
		{"{'$arrayElemAt': [1, 1]}", 28689, "array"},
		{"{'$slice': [1, 1]}", 28724, "$slice"},
		{"{'$slice': [[1], 0, 0]}", 28729, "$slice"},
		{"{'$concatArrays': [1]}", 28664, "$concatArrays"},
		{"{'$cond': [1, 2]}", 16020, "$cond"},
		{"{'$cond': {'if': 1, 'then': 2}}", mongoerr.FailedToParse, "else"},
		{"{'$cond': {'if': 1, 'then': 2, 'else': 3, 'foo': 4}}", mongoerr.FailedToParse, "foo"},
		{"{'$ifNull': [1]}", 1257300, "$ifNull"},
		{"{'$switch': {'branches': []}}", 40068, "branch"},
		{"{'$switch': {'branches': [{'case': false, 'then': 1}]}}", 40066, "branch"},
		{"{'$let': {'vars': {'X': 1}, 'in': 1}}", mongoerr.FailedToParse, "X"},
		{"{'$map': {'input': 5, 'in': 1}}", mongoerr.TypeMismatch, "$map"},
		{"{'$filter': {'input': [], 'cond': true, 'limit': 0}}", 327391, "limit"},
		{"{'$mergeObjects': [1]}", 40400, "$mergeObjects"},
		{"{'$objectToArray': 1}", 40390, "$objectToArray"},
		{"{'$arrayToObject': 1}", 40386, "$arrayToObject"},
		{"{'$arrayToObject': [[1]]}", 40392, "$arrayToObject"},
		{"{'$getField': 5}", 5654602, "$getField"},
		{"{'$cond': [true, {'a.b': 1}, 0]}", 16410, "a.b"},
	}
	for _, tt := range tests {
		t.Run(tt.expression, func(t *testing.T) {
			_, err := eval(t, tt.expression, "{}")
			checkError(t, err, tt.code, tt.text)
		})
	}
}

func TestProjectionApply(t *testing.T) {
	const on = "{'_id': 1, 'a': {'b': 1, 'c': 2}, 'l': [{'x': 1, 'y': 2}, 5, {'x': 3}], 'n': [1, 2, 3], 's': 'q'}"
	tests := []struct{ projection, want string }{
		{"{}", on},
		{"{'s': 1, 'a': true}", "{'_id': 1, 'a': {'b': 1, 'c': 2}, 's': 'q'}"},
		{"{'a.b': 1, '_id': 0}", "{'a': {'b': 1}}"},
		{"{'a': {'c': 1}, '_id': 0}", "{'a': {'c': 2}}"},
		{"{'l.x': 1, '_id': 0}", "{'l': [{'x': 1}, {'x': 3}]}"},
		{"{'l.x': 0, 'a': 0, 'n': 0}", "{'_id': 1, 'l': [{'y': 2}, 5, {}], 's': 'q'}"},
		{"{'s.x': 1}", "{'_id': 1}"},
		{"{'_id': 0}", "{'a': {'b': 1, 'c': 2}, 'l': [{'x': 1, 'y': 2}, 5, {'x': 3}], 'n': [1, 2, 3], 's': 'q'}"},
		{"{'_id': 1}", "{'_id': 1}"},
		{"{'_id': 1, 'a': 0, 'l': 0, 'n': 0}", "{'_id': 1, 's': 'q'}"},
		{"{'t': '$s', 'n': 1}", "{'_id': 1, 'n': [1, 2, 3], 't': 'q'}"},
		{"{'a.z': {'$add': ['$a.b', 5]}, 's': 1}", "{'_id': 1, 'a': {'z': 6}, 's': 'q'}"},
		{"{'a.z': '$s', 'a.b': 1}", "{'_id': 1, 'a': {'b': 1, 'z': 'q'}}"},
		{"{'_id': '$s'}", "{'_id': 'q'}"},
		{"{'n': {'$slice': 2}, 's': 1}", "{'_id': 1, 'n': [1, 2], 's': 'q'}"},
		{"{'n': {'$slice': -1}, 'a': 0, 'l': 0}", "{'_id': 1, 'n': [3], 's': 'q'}"},
		{"{'n': {'$slice': [1, 1]}, '_id': 0, 'a': 0, 'l': 0, 's': 0}", "{'n': [2]}"},
		{"{'n': {'$slice': ['$n', 1]}, '_id': 0}", "{'n': [1]}"},
		{"{'n': {'$elemMatch': {'$gt': 1}}}", "{'_id': 1, 'n': [2]}"},
		{"{'l': {'$elemMatch': {'x': 3}}, 's': 1}", "{'_id': 1, 'l': [{'x': 3}], 's': 'q'}"},
		{"{'n': {'$elemMatch': {'$gt': 9}}}", "{'_id': 1}"},
	}
	for _, tt := range tests {
		t.Run(tt.projection, func(t *testing.T) {
			p, err := query.CompileProjection(doc(t, tt.projection), vars(t))
			if err != nil {
				t.Fatal(err)
			}
			in := doc(t, on)
			got, err := p.Apply(in)
			if err != nil {
				t.Fatal(err)
			}
			checkEqual(t, got, doc(t, tt.want))
			checkEqual(t, in, doc(t, on))
		})
	}
}

func TestInvalidProjectionsReturnErrors(t *testing.T) {
	tests := []struct {
		projection string
		code       mongoerr.Code
		text       string
	}{
		{"{'a': 1, 'b': 0}", 31254, "Cannot do exclusion on field b in inclusion projection"},
		{"{'a': 0, 'b': 1}", 31253, "Cannot do inclusion on field b in exclusion projection"},
		{"{'a': 0, 'b': '$x'}", 31252, "expression"},
		{"{'a': 1, 'a.b': 1}", 31249, "a.b"},
		{"{'a.b': 1, 'a': 1}", 31249, "a"},
		{"{'a.$': 1}", mongoerr.NotImplemented, "a.$"},
		{"{'a': {'$meta': 'textScore'}}", mongoerr.NotImplemented, "$meta"},
		{"{'a': {}}", 40180, "empty object"},
		{"{'$a': 1}", 16410, "$a"},
		{"{'a..b': 1}", 15998, "a..b"},
		{"{'a': {'$foo': 1}}", mongoerr.InvalidPipelineOperator, "$foo"},
		{"{'a': {'$slice': [1, 0]}}", 28724, "positive"},
		{"{'a': {'$elemMatch': 1}}", mongoerr.BadValue, "elemMatch"},
		{"{'a.b': {'$elemMatch': {'x': 1}}}", mongoerr.BadValue, "a.b"},
	}
	for _, tt := range tests {
		t.Run(tt.projection, func(t *testing.T) {
			_, err := query.CompileProjection(doc(t, tt.projection), vars(t))
			checkError(t, err, tt.code, tt.text)
		})
	}
	_, err := query.CompilePipeline(list(t, "[{'$project': {'a': {'$slice': 1}}}]"), nil)
	checkError(t, err, 16020, "$slice")
}

func TestSortDocsWithAndWithoutLimit(t *testing.T) {
	tests := []struct{ sort, in, want string }{
		{"{'a': 1}", "[{'a': 2}, {'a': 'x'}, {'a': 1}, {}, {'a': []}, {'a': null}]", "[{'a': []}, {}, {'a': null}, {'a': 1}, {'a': 2}, {'a': 'x'}]"},
		{"{'a': -1}", "[{'a': 1}, {'a': [0, 3]}, {'a': 2}]", "[{'a': [0, 3]}, {'a': 2}, {'a': 1}]"},
		{"{'a': 1}", "[{'a': 1}, {'a': [0, 3]}, {'a': 2}]", "[{'a': [0, 3]}, {'a': 1}, {'a': 2}]"},
		{"{'a.b': 1}", "[{'a': {'b': 2}}, {'a': [{'b': 3}, {'b': 1}]}]", "[{'a': [{'b': 3}, {'b': 1}]}, {'a': {'b': 2}}]"},
		{"{'a': 1.0, 'b': -1}", "[{'a': 1, 'b': 1}, {'a': 1, 'b': 2}, {'a': 0}]", "[{'a': 0}, {'a': 1, 'b': 2}, {'a': 1, 'b': 1}]"},
	}
	for _, tt := range tests {
		t.Run(subtestName(tt.sort, tt.in), func(t *testing.T) {
			s, err := query.CompileSort(doc(t, tt.sort))
			if err != nil {
				t.Fatal(err)
			}
			for limit := range 8 {
				got, err := drain(t, query.SortDocs(query.Documents(docs(t, tt.in)), s, limit))
				if err != nil {
					t.Fatal(err)
				}
				want := docs(t, tt.want)
				if limit > 0 {
					want = want[:min(limit, len(want))]
				}
				checkEqual(t, got, want)
			}
		})
	}
}

func TestInvalidSortsReturnErrors(t *testing.T) {
	for sort, code := range map[string]mongoerr.Code{
		"{'$natural': 1}": mongoerr.NotImplemented, "{'a': {'$meta': 'textScore'}}": mongoerr.NotImplemented,
		"{'a': 2}": 15975, "{'a': 'x'}": 15975, "{'a': 0}": 15975, "{'$a': 1}": 16410, "{'a': 1, 'a': 1}": 7472500,
	} {
		_, err := query.CompileSort(doc(t, sort))
		checkError(t, err, code, "")
	}
}

func TestSortAndGroupRespectMemoryLimit(t *testing.T) {
	big := make([]bson.D, 11)
	for i := range big {
		big[i] = bson.D{{Key: "a", Value: int32(i)}, {Key: "b", Value: strings.Repeat("x", 10<<20)}}
	}
	for _, stages := range []string{"[{'$sort': {'a': 1}}]", "[{'$group': {'_id': null, 'l': {'$push': '$b'}}}]", "[{'$group': {'_id': '$$ROOT'}}]"} {
		p, err := query.CompilePipeline(list(t, stages), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = drain(t, p.Run(query.Documents(big)))
		checkError(t, err, 292, "memory limit")
	}
	p, err := query.CompilePipeline(list(t, "[{'$sort': {'a': 1}}, {'$limit': 2}]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := drain(t, p.Run(query.Documents(big))); err != nil || len(got) != 2 {
		t.Errorf("sort with a limit: got %d documents, error %v, want 2 and no error", len(got), err)
	}
}
