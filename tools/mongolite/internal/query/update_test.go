package query_test

import (
	"testing"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
)

type updateTest struct {
	on, update   string
	arrayFilters string
	filter       string // the filter that matched the document, for the operator $
	want         string
	inserting    bool
}

func apply(t testing.TB, tt updateTest) (bson.D, error) {
	t.Helper()
	u, err := query.CompileUpdate(value(t, tt.update), list(t, tt.arrayFilters), vars(t))
	if err != nil {
		return nil, err
	}
	if tt.filter == "" {
		tt.filter = "{}"
	}
	f, err := query.CompileFilter(doc(t, tt.filter), nil)
	if err != nil {
		t.Fatal(err)
	}
	in := doc(t, tt.on)
	out, err := u.Apply(in, f, tt.inserting)
	checkEqual(t, in, doc(t, tt.on)) // Apply must not modify its input
	return out, err
}

func TestUpdateApply(t *testing.T) {
	tests := []updateTest{
		{on: "{'_id': 1}", update: "{'$set': {'b': 1, 'a': 2, 'c.d': 3}}", want: "{'_id': 1, 'a': 2, 'b': 1, 'c': {'d': 3}}"},
		{on: "{'_id': 1, 'a': [1, {'b': 1}]}", update: "{'$set': {'a.1.b': 2, 'a.3': 9}}", want: "{'_id': 1, 'a': [1, {'b': 2}, null, 9]}"},
		{on: "{'_id': 1}", update: "{'$set': {'a.0': 1, '_id': 1}}", want: "{'_id': 1, 'a': {'0': 1}}"},
		{on: "{'_id': 1}", update: "{'$set': {'x$y': 1}}", want: "{'_id': 1, 'x$y': 1}"},
		{on: "{'_id': 1}", update: "{'$set': {}}", want: "{'_id': 1}"},
		{on: "{'a': 1}", update: "{'$setOnInsert': {'b': 1}}", want: "{'a': 1}"},
		{on: "{'a': 1}", update: "{'$setOnInsert': {'b': 1, '_id': 7}}", inserting: true, want: "{'_id': 7, 'a': 1, 'b': 1}"},
		{on: "{'a': {'b': 1}, 'c': [1, 2], 'd': 1}", update: "{'$unset': {'a.b': '', 'c.0': '', 'd': '', 'x.y': ''}}", want: "{'a': {}, 'c': [null, 2]}"},
		{on: "{'a': 1}", update: "{'$rename': {'a': 'b.c'}}", want: "{'b': {'c': 1}}"},
		{on: "{'a': 1, 'b': 2}", update: "{'$rename': {'a': 'b', 'x': 'y'}}", want: "{'b': 1}"},
		{on: "{'a': 1}", update: "{'$inc': {'a': 2, 'b': 1.5, 'c': {'$numberLong': '1'}}}", want: "{'a': 3, 'b': 1.5, 'c': {'$numberLong': '1'}}"},
		{on: "{'a': 2147483647}", update: "{'$inc': {'a': 1}}", want: "{'a': {'$numberLong': '2147483648'}}"},
		{on: "{'a': 2147483647}", update: "{'$mul': {'a': 2, 'b': 2.5}}", want: "{'a': {'$numberLong': '4294967294'}, 'b': 0.0}"},
		{on: "{'a': 5, 'b': 5}", update: "{'$min': {'a': 3, 'b': 7, 'c': 1}}", want: "{'a': 3, 'b': 5, 'c': 1}"},
		{on: "{'a': 5, 'b': 5}", update: "{'$max': {'a': 3, 'b': 7, 'c': 1}}", want: "{'a': 5, 'b': 7, 'c': 1}"},
		{on: "{}", update: "{'$currentDate': {'a': true, 'b': {'$type': 'date'}, 'c': {'$type': 'timestamp'}, 'd': false}}",
			want: "{'a': {'$date': '2026-11-23T10:00:00Z'}, 'b': {'$date': '2026-11-23T10:00:00Z'}, 'c': {'$timestamp': {'t': 1795428000, 'i': 1}}, 'd': {'$date': '2026-11-23T10:00:00Z'}}"},
		{on: "{'a': 13, 'b': {'$numberLong': '3'}}", update: "{'$bit': {'a': {'and': 10, 'or': 1}, 'b': {'or': 4}, 'c': {'xor': 5}}}", want: "{'a': 9, 'b': {'$numberLong': '7'}, 'c': 5}"},
		{on: "{'a': [1]}", update: "{'$push': {'a': 2, 'b': {'x': 1}, 'c': [1]}}", want: "{'a': [1, 2], 'b': [{'x': 1}], 'c': [[1]]}"},
		{on: "{'a': [3, 1]}", update: "{'$push': {'a': {'$each': [2, 5], '$sort': -1, '$slice': 3}}}", want: "{'a': [5, 3, 2]}"},
		{on: "{'a': [1, 2]}", update: "{'$push': {'a': {'$each': [9, 8], '$position': 1}}}", want: "{'a': [1, 9, 8, 2]}"},
		{on: "{'a': [1, 2]}", update: "{'$push': {'a': {'$each': [9], '$position': -1, '$slice': -2}}}", want: "{'a': [9, 2]}"},
		{on: "{'a': [1, 2]}", update: "{'$push': {'a': {'$each': [], '$slice': {'$numberLong': '-9223372036854775808'}}}}", want: "{'a': [1, 2]}"},
		{on: "{'a': [{'x': 2}, {'x': 1, 'y': 1}, 7]}", update: "{'$push': {'a': {'$each': [{'x': 0}], '$sort': {'x': 1}}}}", want: "{'a': [7, {'x': 0}, {'x': 1, 'y': 1}, {'x': 2}]}"},
		{on: "{'a': [1]}", update: "{'$addToSet': {'a': 1.0, 'b': {'$each': [1, 1, 2]}}}", want: "{'a': [1], 'b': [1, 2]}"},
		{on: "{'a': [{'x': 1}]}", update: "{'$addToSet': {'a': {'$each': [{'x': 1}, {'x': 2}]}}}", want: "{'a': [{'x': 1}, {'x': 2}]}"},
		{on: "{'a': [1, 2, 3], 'b': [1, 2], 'c': []}", update: "{'$pop': {'a': 1, 'b': -1, 'c': 1, 'd': 1}}", want: "{'a': [1, 2], 'b': [2], 'c': []}"},
		{on: "{'a': [1, 5, 2], 'b': [{'x': 1}, {'x': 1, 'y': 2}, 3], 'c': ['ab', 'b']}",
			update: "{'$pull': {'a': {'$gte': 2}, 'b': {'x': 1, 'y': 2}, 'c': {'$regularExpression': {'pattern': '^a', 'options': ''}}, 'd': 1}}",
			want:   "{'a': [1], 'b': [{'x': 1}, 3], 'c': ['b']}"},
		{on: "{'a': [[1], 1, {'x': [{'y': 5}]}]}", update: "{'$pull': {'a': 1}}", want: "{'a': [[1], {'x': [{'y': 5}]}]}"},
		{on: "{'a': [1, 5, 2]}", update: "{'$pull': {'a': {'$in': [1, 2]}}}", want: "{'a': [5]}"},
		{on: "{'a': [1, 5, 1]}", update: "{'$pullAll': {'a': [1, 7]}}", want: "{'a': [5]}"},
		// positional operators
		{on: "{'a': [1, 2, 3]}", update: "{'$inc': {'a.$[]': 10}}", want: "{'a': [11, 12, 13]}"},
		{on: "{'a': [1, 2, 3]}", update: "{'$set': {'a.$[x]': 0}}", arrayFilters: "[{'x': {'$gte': 2}}]", want: "{'a': [1, 0, 0]}"},
		{on: "{'a': [{'l': [{'n': 1}, {'n': 2}]}, {'l': []}]}", update: "{'$set': {'a.$[].l.$[y].m': 9}}", arrayFilters: "[{'y.n': 2}]",
			want: "{'a': [{'l': [{'n': 1}, {'n': 2, 'm': 9}]}, {'l': []}]}"},
		{on: "{'a': [{'k': 1}, {'k': 2}]}", update: "{'$set': {'a.$[x].p': 1, 'a.$[y].q': 2}}", arrayFilters: "[{'x.k': 1}, {'y.k': {'$ne': 1}}]",
			want: "{'a': [{'k': 1, 'p': 1}, {'k': 2, 'q': 2}]}"},
		{on: "{'a': [5, 8, 9]}", filter: "{'a': {'$gt': 6}}", update: "{'$set': {'a.$': 0}}", want: "{'a': [5, 0, 9]}"},
		{on: "{'i': 1, 'a': [{'k': 1, 'v': 1}, {'k': 2, 'v': 1}]}", filter: "{'i': 1, 'a': {'$elemMatch': {'k': 2, 'v': 1}}}", update: "{'$inc': {'a.$.v': 1}}",
			want: "{'i': 1, 'a': [{'k': 1, 'v': 1}, {'k': 2, 'v': 2}]}"},
		{on: "{'a': [{'k': 1}, {'k': 2}]}", filter: "{'$and': [{'a.k': 2}]}", update: "{'$set': {'a.$.k': 3}}", want: "{'a': [{'k': 1}, {'k': 3}]}"},
		// replacements
		{on: "{'_id': 1, 'a': 1}", update: "{'b': 2}", want: "{'_id': 1, 'b': 2}"},
		{on: "{'_id': 1, 'a': 1}", update: "{'b': 2, '_id': 1}", want: "{'_id': 1, 'b': 2}"},
		{on: "{'_id': 1, 'a': 1}", update: "{}", want: "{'_id': 1}"},
		{on: "{'a': 1}", update: "{'b': 2}", inserting: true, want: "{'b': 2}"},
		// pipelines; the first two are those of Dapr's state store
		{on: "{'_id': 'k', '_etag': 'old', 'value': {'gone': 1}}", update: "[{'$set': {'_id': 'k', 'value': {'x': 1}, '_etag': 'e'}}, {'$addFields': {'_ttl': {'$add': ['$$NOW', 5000]}}}]",
			want: "{'_id': 'k', '_etag': 'e', 'value': {'gone': 1, 'x': 1}, '_ttl': {'$date': '2026-11-23T10:00:05Z'}}"},
		{on: "{'_id': 'k'}", inserting: true, update: "[{'$set': {'_id': 'k', 'value': 'v', '_etag': 'e'}}, {'$addFields': {'_ttl': null}}]",
			want: "{'_id': 'k', 'value': 'v', '_etag': 'e', '_ttl': null}"},
		{on: "{'_id': 1, 'a': 1}", update: "[{'$replaceWith': {'b': '$a'}}]", want: "{'_id': 1, 'b': 1}"},
		{on: "{'_id': 1, 'a': 1, 'b': 2}", update: "[{'$unset': 'a'}, {'$project': {'_id': 0, 'b': 1}}]", want: "{'_id': 1, 'b': 2}"},
	}
	for _, tt := range tests {
		t.Run(subtestName(tt.update, tt.arrayFilters, tt.filter), func(t *testing.T) {
			got, err := apply(t, tt)
			if err != nil {
				t.Fatal(err)
			}
			checkEqual(t, got, doc(t, tt.want))
		})
	}
}

func TestInvalidUpdatesReturnErrors(t *testing.T) {
	tests := []struct {
		updateTest
		code mongoerr.Code
		text string
	}{
		{updateTest{update: "{'$foo': {'a': 1}}"}, mongoerr.FailedToParse, "Unknown modifier: $foo. Expected a valid update modifier or pipeline-style update specified as an array"},
		{updateTest{update: "{'$set': {'a': 1}, 'b': 2}"}, mongoerr.FailedToParse, "Unknown modifier: b"},
		{updateTest{update: "{'b': 2, '$set': {'a': 1}}"}, mongoerr.DollarPrefixedFieldName, "$set"},
		{updateTest{update: "{'$set': 1}"}, mongoerr.FailedToParse, "Modifiers operate on fields"},
		{updateTest{update: "5"}, mongoerr.FailedToParse, "object or an array"},
		{updateTest{update: "{'$set': {'a': {'$minKey': 1}}}"}, mongoerr.NotImplemented, "minKey"},
		{updateTest{update: "{'$set': {'a': 1}, '$inc': {'a': 1}}"}, mongoerr.ConflictingUpdateOperators, "Updating the path 'a' would create a conflict at 'a'"},
		{updateTest{update: "{'$set': {'a': 1, 'a.b': 1}}"}, mongoerr.ConflictingUpdateOperators, "Updating the path 'a.b' would create a conflict at 'a'"},
		{updateTest{update: "{'$set': {'a': 1}, '$unset': {'a.b': 1}}"}, mongoerr.ConflictingUpdateOperators, "conflict at 'a'"},
		{updateTest{update: "{'$rename': {'a': 'b'}, '$set': {'b': 1}}"}, mongoerr.ConflictingUpdateOperators, "'b'"},
		{updateTest{update: "{'$set': {'a..b': 1}}"}, mongoerr.EmptyFieldName, "a..b"},
		{updateTest{update: "{'$set': {'$a': 1}}"}, mongoerr.DollarPrefixedFieldName, "$a"},
		{updateTest{update: "{'$set': {'$[]': 1}}"}, mongoerr.BadValue, "first position"},
		{updateTest{update: "{'$set': {'_id': 2}}"}, mongoerr.ImmutableField, "would modify the immutable field '_id'"},
		{updateTest{update: "{'$unset': {'_id': 1}}"}, mongoerr.ImmutableField, "_id"},
		{updateTest{update: "{'_id': 2}"}, mongoerr.ImmutableField, "found to have been altered to _id: 2"},
		{updateTest{update: "[{'$set': {'_id': 2}}]"}, mongoerr.ImmutableField, "altered to _id: 2"},
		{updateTest{update: "[{'$match': {}}]"}, mongoerr.InvalidOptions, "$match is not allowed to be used within an update"},
		{updateTest{update: "[{'$foo': {}}]"}, 40324, "$foo"},
		{updateTest{update: "[{'$out': 'x'}]"}, 40324, "$out"},
		{updateTest{update: "{'$set': {'s.x': 1}}"}, mongoerr.PathNotViable, "Cannot create field 'x'"},
		{updateTest{update: "{'$set': {'l.x': 1}}"}, mongoerr.PathNotViable, "Cannot create field 'x'"},
		{updateTest{update: "{'$set': {'l.900000000': 1}}"}, mongoerr.BadValue, "backfill"},
		{updateTest{update: "{'$inc': {'s': 1}}"}, mongoerr.TypeMismatch, "non-numeric type string"},
		{updateTest{update: "{'$inc': {'a': 'x'}}"}, mongoerr.TypeMismatch, "non-numeric argument"},
		{updateTest{update: "{'$inc': {'n': null}}"}, mongoerr.TypeMismatch, "non-numeric"},
		{updateTest{update: "{'$inc': {'big': 1}}"}, mongoerr.BadValue, "$inc"},
		{updateTest{update: "{'$mul': {'big': 2}}"}, mongoerr.BadValue, "$mul"},
		{updateTest{update: "{'$bit': {'a': {'nand': 1}}}"}, mongoerr.BadValue, "nand"},
		{updateTest{update: "{'$bit': {'a': {'and': 1.5}}}"}, mongoerr.BadValue, "Integer"},
		{updateTest{update: "{'$bit': {'s': {'and': 1}}}"}, mongoerr.BadValue, "non-integral"},
		{updateTest{update: "{'$currentDate': {'a': 1}}"}, mongoerr.BadValue, "$currentDate"},
		{updateTest{update: "{'$currentDate': {'a': {'$type': 'x'}}}"}, mongoerr.BadValue, "$type"},
		{updateTest{update: "{'$push': {'s': 1}}"}, mongoerr.BadValue, "non-array"},
		{updateTest{update: "{'$push': {'a': {'$each': 1}}}"}, mongoerr.BadValue, "$each"},
		{updateTest{update: "{'$push': {'a': {'$each': [], '$foo': 1}}}"}, mongoerr.BadValue, "$foo"},
		{updateTest{update: "{'$push': {'a': {'$slice': 1}}}"}, mongoerr.BadValue, "$each"},
		{updateTest{update: "{'$push': {'a': {'$each': [], '$slice': 1.5}}}"}, mongoerr.BadValue, "$slice"},
		{updateTest{update: "{'$push': {'a': {'$each': [], '$sort': 2}}}"}, mongoerr.BadValue, "$sort"},
		{updateTest{update: "{'$addToSet': {'s': 1}}"}, mongoerr.BadValue, "non-array"},
		{updateTest{update: "{'$addToSet': {'a': {'$each': [], '$slice': 1}}}"}, mongoerr.BadValue, "$slice"},
		{updateTest{update: "{'$pop': {'l': 2}}"}, mongoerr.FailedToParse, "1 or -1"},
		{updateTest{update: "{'$pop': {'s': 1}}"}, mongoerr.TypeMismatch, "non-array"},
		{updateTest{update: "{'$pull': {'s': 1}}"}, mongoerr.BadValue, "non-array"},
		{updateTest{update: "{'$pull': {'l': {'$foo': 1}}}"}, mongoerr.BadValue, "$foo"},
		{updateTest{update: "{'$pullAll': {'l': 1}}"}, mongoerr.BadValue, "$pullAll"},
		{updateTest{update: "{'$rename': {'s': 's'}}"}, mongoerr.BadValue, "differ"},
		{updateTest{update: "{'$rename': {'s': 's.x'}}"}, mongoerr.BadValue, "same path"},
		{updateTest{update: "{'$rename': {'s': 5}}"}, mongoerr.BadValue, "string"},
		{updateTest{update: "{'$rename': {'l.0': 'x'}}"}, mongoerr.BadValue, "array"},
		{updateTest{update: "{'$rename': {'_id': 'x'}}"}, mongoerr.ImmutableField, "_id"},
		{updateTest{update: "{'$set': {'l.$[x]': 1}}"}, mongoerr.BadValue, "No array filter found for identifier 'x'"},
		{updateTest{update: "{'$set': {'l.0': 1}}", arrayFilters: "[{'x': 1}]"}, mongoerr.FailedToParse, "The array filter for identifier 'x' was not used in the update"},
		{updateTest{update: "{'$set': {'l.$[x]': 1}}", arrayFilters: "[{'x': 1}, {'x': 2}]"}, mongoerr.FailedToParse, "same top-level field name x"},
		{updateTest{update: "{'$set': {'l.$[x]': 1}}", arrayFilters: "[{'x': 1, 'y': 2}]"}, mongoerr.FailedToParse, "single top-level field name"},
		{updateTest{update: "{'$set': {'l.$[X]': 1}}", arrayFilters: "[{'X': 1}]"}, mongoerr.BadValue, "'X'"},
		{updateTest{update: "{'$set': {'l.$[x]': 1}}", arrayFilters: "[{}]"}, mongoerr.FailedToParse, "top-level field name"},
		{updateTest{update: "{'$set': {'l.$[x]': 1}}", arrayFilters: "[1]"}, mongoerr.TypeMismatch, "array filter"},
		{updateTest{update: "{'x': 1}", arrayFilters: "[{'x': 1}]"}, mongoerr.FailedToParse, "arrayFilters"},
		{updateTest{update: "{'$set': {'s.$[]': 1}}"}, mongoerr.BadValue, "must exist"},
		{updateTest{update: "{'$set': {'l.$': 1}}"}, mongoerr.BadValue, "positional operator did not find"},
		{updateTest{update: "{'$set': {'l.$.m.$': 1}}"}, mongoerr.BadValue, "Too many positional"},
	}
	for _, tt := range tests {
		t.Run(subtestName(tt.update, tt.arrayFilters), func(t *testing.T) {
			tt.on = "{'_id': 1, 's': 'x', 'l': [1], 'n': null, 'big': {'$numberLong': '9223372036854775807'}}"
			_, err := apply(t, tt.updateTest)
			checkError(t, err, tt.code, tt.text)
		})
	}
}

func TestUpdateKindDependsOnForm(t *testing.T) {
	for text, want := range map[string]query.UpdateKind{
		"{'$set': {'a': 1}}": query.OperatorUpdate, "{'a': 1}": query.ReplacementUpdate, "{}": query.ReplacementUpdate, "[]": query.PipelineUpdate,
	} {
		u, err := query.CompileUpdate(value(t, text), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if u.Kind() != want {
			t.Errorf("kind of %s: got %v, want %v", text, u.Kind(), want)
		}
	}
}
