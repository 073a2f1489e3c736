package query_test

import (
	"testing"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
)

func TestPipelineResults(t *testing.T) {
	const sales = "[{'_id': 1, 'k': 'a', 'n': 1}, {'_id': 2, 'k': 'b', 'n': 2}, {'_id': 3, 'k': 'a', 'n': 3.5}, {'_id': 4, 'n': null}]"
	tests := []struct{ in, stages, want string }{
		{sales, "[]", sales},
		{sales, "[{'$match': {'k': 'a'}}, {'$project': {'n': 1}}]", "[{'_id': 1, 'n': 1}, {'_id': 3, 'n': 3.5}]"},
		{sales, "[{'$sort': {'n': -1}}, {'$skip': 1}, {'$limit': 1}, {'$project': {'_id': 1}}]", "[{'_id': 2}]"},
		{sales, "[{'$skip': 9}]", "[]"},
		{sales, "[{'$limit': 1}, {'$limit': 5}, {'$unset': ['k', 'n']}]", "[{'_id': 1}]"},
		{sales, "[{'$count': 'all'}]", "[{'all': 4}]"},
		{"[]", "[{'$count': 'all'}]", "[]"},
		{sales, "[{'$group': {'_id': '$k', 'sum': {'$sum': '$n'}, 'avg': {'$avg': '$n'}, 'c': {'$count': {}}, 'min': {'$min': '$n'}, 'max': {'$max': '$n'}}}]",
			"[{'_id': 'a', 'sum': 4.5, 'avg': 2.25, 'c': 2, 'min': 1, 'max': 3.5}, {'_id': 'b', 'sum': 2, 'avg': 2.0, 'c': 1, 'min': 2, 'max': 2}, {'_id': null, 'sum': 0, 'avg': null, 'c': 1, 'min': null, 'max': null}]"},
		{sales, "[{'$group': {'_id': null, 'first': {'$first': '$k'}, 'last': {'$last': '$k'}, 'push': {'$push': '$k'}, 'set': {'$addToSet': '$k'}}}]",
			"[{'_id': null, 'first': 'a', 'last': null, 'push': ['a', 'b', 'a'], 'set': ['a', 'b']}]"},
		{"[{'g': 1, 'o': {'x': 1}}, {'g': 1.0, 'o': {'y': 2}}, {'g': {'$numberLong': '1'}}]", "[{'$group': {'_id': '$g', 'o': {'$mergeObjects': '$o'}}}]", "[{'_id': 1, 'o': {'x': 1, 'y': 2}}]"},
		{sales, "[{'$group': {'_id': {'k': '$k'}}}]", "[{'_id': {'k': 'a'}}, {'_id': {'k': 'b'}}, {'_id': {}}]"},
		{sales, "[{'$sortByCount': '$k'}]", "[{'_id': 'a', 'count': 2}, {'_id': 'b', 'count': 1}, {'_id': null, 'count': 1}]"},
		{"[{'a': [1, 2], 'b': 1}, {'a': []}, {'a': null}, {}, {'a': 5}]", "[{'$unwind': '$a'}]", "[{'a': 1, 'b': 1}, {'a': 2, 'b': 1}, {'a': 5}]"},
		{"[{'a': [1, 2]}, {'a': []}, {'a': null}, {}, {'a': 5}]", "[{'$unwind': {'path': '$a', 'preserveNullAndEmptyArrays': true, 'includeArrayIndex': 'i'}}]",
			"[{'a': 1, 'i': {'$numberLong': '0'}}, {'a': 2, 'i': {'$numberLong': '1'}}, {'i': null}, {'a': null, 'i': null}, {'i': null}, {'a': 5, 'i': null}]"},
		{"[{'a': {'b': [1, 2]}}]", "[{'$unwind': '$a.b'}]", "[{'a': {'b': 1}}, {'a': {'b': 2}}]"},
		{"[{'_id': 1, 'a': {'x': 1}, 'l': [{'x': 1}, 2]}]", "[{'$addFields': {'a': {'y': '$_id'}, 'l.z': 0, 'c': 1}}]",
			"[{'_id': 1, 'a': {'x': 1, 'y': 1}, 'l': [{'x': 1, 'z': 0}, {'z': 0}], 'c': 1}]"},
		{"[{'a': 1, 'b': 2}]", "[{'$set': {'a': '$b', 'b': '$a', 'c': '$$REMOVE'}}]", "[{'a': 2, 'b': 1}]"},
		{"[{'a': {'b': 1}, 'c': 2}]", "[{'$unset': 'a.b'}]", "[{'a': {}, 'c': 2}]"},
		{"[{'a': {'b': 1}}]", "[{'$replaceRoot': {'newRoot': '$a'}}]", "[{'b': 1}]"},
		{"[{'a': 1}]", "[{'$replaceWith': {'x': '$a'}}]", "[{'x': 1}]"},
	}
	for _, tt := range tests {
		t.Run(tt.stages, func(t *testing.T) {
			p, err := query.CompilePipeline(list(t, tt.stages), vars(t))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // a pipeline can run more than once
				got, err := drain(t, p.Run(query.Documents(docs(t, tt.in))))
				if err != nil {
					t.Fatal(err)
				}
				checkEqual(t, got, docs(t, tt.want))
			}
		})
	}
}

func TestInvalidPipelinesReturnErrors(t *testing.T) {
	tests := []struct {
		stages string
		code   mongoerr.Code
		text   string
	}{
		{"[{'$foo': 1}]", 40324, "Unrecognized pipeline stage name: '$foo'"},
		{"[{'$lookup': {}}]", mongoerr.NotImplemented, "$lookup"},
		{"[{'$sample': {'size': 1}}]", mongoerr.NotImplemented, "$sample"},
		{"[{'$facet': {}}]", mongoerr.NotImplemented, "$facet"},
		{"[{}]", 40323, "exactly one field"},
		{"[1]", mongoerr.TypeMismatch, "object"},
		{"[{'$match': 1}]", 15959, "match"},
		{"[{'$match': {'a': {'$foo': 1}}}]", mongoerr.BadValue, "$foo"},
		{"[{'$sort': {}}]", 15976, "$sort"},
		{"[{'$limit': 0}]", 15958, "positive"},
		{"[{'$limit': 'x'}]", 5107201, "$limit"},
		{"[{'$skip': -1}]", 5107200, "$skip"},
		{"[{'$project': {}}]", 51272, "at least one field"},
		{"[{'$project': 1}]", 15969, "$project"},
		{"[{'$set': {}}]", 40177, "at least one field"},
		{"[{'$set': {'a': {}}}]", 40180, "empty object"},
		{"[{'$set': {'a': {'b.c': 1}}}]", 40183, "b.c"},
		{"[{'$set': {'a': 1, 'a.b': 2}}]", 31249, "a.b"},
		{"[{'$unset': []}]", 31119, "$unset"},
		{"[{'$unset': [1]}]", 31120, "$unset"},
		{"[{'$count': ''}]", 40156, "count"},
		{"[{'$unwind': 'a'}]", 28818, "$"},
		{"[{'$unwind': {'path': '$a', 'foo': 1}}]", mongoerr.FailedToParse, "foo"},
		{"[{'$unwind': {'path': '$a', 'includeArrayIndex': '$i'}}]", 28810, "includeArrayIndex"},
		{"[{'$group': {'a': {'$sum': 1}}}]", 15955, "_id"},
		{"[{'$group': {'_id': 1, 'a': {'$foo': 1}}}]", 15952, "$foo"},
		{"[{'$group': {'_id': 1, 'a': {'$stdDevPop': 1}}}]", mongoerr.NotImplemented, "$stdDevPop"},
		{"[{'$group': {'_id': 1, 'a': 1}}]", 40234, "accumulator"},
		{"[{'$group': {'_id': 1, 'a': {'$sum': 1, '$avg': 1}}}]", 40238, "one accumulator"},
		{"[{'$group': {'_id': 1, 'a.b': {'$sum': 1}}}]", 40235, "a.b"},
		{"[{'$group': {'_id': 1, 'a': {'$count': 1}}}]", mongoerr.TypeMismatch, "$count"},
		{"[{'$group': {'_id': 1, 'a': {'$sum': [1, 2]}}}]", 40237, "$sum"},
		{"[{'$sortByCount': 'a'}]", 40148, "sortByCount"},
		{"[{'$match': {}}, {'$documents': []}]", 40602, "$documents"},
		{"[{'$documents': 1}]", 5858203, "array"},
		{"[{'$out': 'x'}, {'$match': {}}]", 40601, "$out"},
		{"[{'$out': 1}]", 16990, "$out"},
		{"[{'$out': {'db': 'x', 'coll': 'y', 'foo': 1}}]", 16994, "foo"},
		{"[{'$merge': {'into': 'x', 'on': ['a']}}]", mongoerr.NotImplemented, "on"},
		{"[{'$merge': {'into': 'x', 'let': {}}}]", mongoerr.NotImplemented, "let"},
		{"[{'$merge': {'into': 'x', 'whenMatched': []}}]", mongoerr.NotImplemented, "whenMatched"},
		{"[{'$merge': {'into': 'x', 'whenMatched': 'foo'}}]", mongoerr.BadValue, "foo"},
		{"[{'$merge': {'into': 'x', 'whenNotMatched': 'merge'}}]", mongoerr.BadValue, "whenNotMatched"},
	}
	for _, tt := range tests {
		t.Run(tt.stages, func(t *testing.T) {
			_, err := query.CompilePipeline(list(t, tt.stages), vars(t))
			checkError(t, err, tt.code, tt.text)
		})
	}
	p, err := query.CompilePipeline(list(t, "[{'$replaceWith': '$a'}]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = drain(t, p.Run(query.Documents(docs(t, "[{'a': 1}]"))))
	checkError(t, err, 40228, "object")
}

func TestPipelineHeadSplitsOffFilterAndSort(t *testing.T) {
	tests := []struct {
		stages, match, sort, in, want string
		limit                         int
	}{
		{"[{'$match': {'a': 1}}, {'$match': {'b': 1}}, {'$sort': {'c': 1}}, {'$skip': 1}, {'$set': {'x': 1}}, {'$limit': 2}]",
			"{'$and': [{'a': 1}, {'b': 1}]}", "{'c': 1}", "[{'a': 1}, {'a': 2}]", "[{'a': 2, 'x': 1}]", 3},
		{"[{'$match': {'a': 1}}, {'$count': 'n'}]", "{'a': 1}", "", "[{}]", "[{'n': 1}]", 0},
		{"[{'$sort': {'c': 1}}]", "", "{'c': 1}", "[{}]", "[{}]", 0},
		{"[{'$limit': 1}, {'$match': {'a': 1}}]", "", "", "[{'a': 1}, {}]", "[{'a': 1}]", 1},
	}
	for _, tt := range tests {
		t.Run(tt.stages, func(t *testing.T) {
			p, err := query.CompilePipeline(list(t, tt.stages), nil)
			if err != nil {
				t.Fatal(err)
			}
			match, sort, rest := p.Head()
			if (match == nil) != (tt.match == "") || (sort == nil) != (tt.sort == "") {
				t.Fatalf("got filter %v and sort %v, want %q and %q", match, sort, tt.match, tt.sort)
			}
			if match != nil {
				checkEqual(t, match, doc(t, tt.match))
			}
			if sort != nil {
				checkEqual(t, sort, doc(t, tt.sort))
			}
			if rest.Limit() != tt.limit {
				t.Errorf("got limit %d, want %d", rest.Limit(), tt.limit)
			}
			got, err := drain(t, rest.Run(query.Documents(docs(t, tt.in))))
			if err != nil {
				t.Fatal(err)
			}
			checkEqual(t, got, docs(t, tt.want))
		})
	}
}

func TestPipelineSourceAndOut(t *testing.T) {
	p, err := query.CompilePipeline(list(t, "[{'$documents': [{'a': {'$add': [1, 1]}}]}, {'$match': {'a': 2}}, {'$out': {'db': 'd', 'coll': 'c'}}]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	source, ok := p.Source()
	if !ok {
		t.Fatal("Source of a pipeline that starts with $documents: got none, want documents")
	}
	got, err := drain(t, p.Run(query.Documents(source)))
	if err != nil {
		t.Fatal(err)
	}
	checkEqual(t, got, docs(t, "[{'a': 2}]"))
	if out := p.Out(); out == nil || out.DB != "d" || out.Coll != "c" || out.Mode != query.OutReplace {
		t.Errorf("Out of a pipeline that ends in $out: got %+v, want collection c of database d", out)
	}
	p, err = query.CompilePipeline(list(t, "[{'$merge': {'into': 'c', 'on': '_id', 'whenMatched': 'fail'}}]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if out := p.Out(); out.Coll != "c" || out.Mode != query.OutMerge || out.On[0] != "_id" || out.WhenMatched != "fail" || out.WhenNotMatched != "insert" {
		t.Errorf("Out of a pipeline that ends in $merge: got %+v, want collection c, on _id, fail and insert", out)
	}
	if _, ok := p.Source(); ok {
		t.Error("Source of a pipeline without $documents: got documents, want none")
	}
}
