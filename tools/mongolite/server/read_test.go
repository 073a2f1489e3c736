package server_test

import (
	"fmt"
	"testing"
)

func TestFind(t *testing.T) {
	p := dial(t, startServer(t))
	p.insertMany(20)
	p.expectAll([][2]string{
		{`{"find": "missing"}`, `{"ok": 1, "cursor": {"firstBatch": [], "id": 0, "ns": "test.missing"}}`},
		{`{"find": "c", "filter": {"_id": 3}}`, `{"ok": 1, "cursor": {"firstBatch": [{"_id": 3, "a": 3}], "id": 0, "ns": "test.c"}}`},
		{`{"find": "c", "filter": {"a": 3}, "sort": {"_id": -1}, "projection": {"a": 0}}`, `{"cursor": {"firstBatch": [{"_id": 13, "a": "absent"}, {"_id": 3}]}}`},
		{`{"find": "c", "sort": {"_id": -1}, "skip": 2, "limit": 2}`, `{"cursor": {"firstBatch": [{"_id": 17}, {"_id": 16}], "id": 0}}`},
		{`{"find": "c", "sort": {"$natural": -1}, "limit": 1}`, `{"cursor": {"firstBatch": [{"_id": 19}]}}`},
		{`{"find": "c", "limit": -2, "batchSize": 1}`, `{"cursor": {"firstBatch": [{"_id": 0}], "id": 0}}`},
		{`{"find": "c", "limit": 2, "batchSize": 2}`, `{"cursor": {"firstBatch": [{"_id": 0}, {"_id": 1}], "id": 0}}`},
		{`{"find": "c", "batchSize": 1, "singleBatch": true}`, `{"cursor": {"firstBatch": [{"_id": 0}], "id": 0}}`},
		{`{"find": "c", "filter": {"$expr": {"$eq": ["$_id", "$$x"]}}, "let": {"x": 4}}`, `{"cursor": {"firstBatch": [{"_id": 4}]}}`},
		{`{"find": "c", "filter": {"a": 1}, "hint": "_id_", "comment": "why", "maxTimeMS": 10000, "allowDiskUse": true, "allowPartialResults": true}`, `{"cursor": {"firstBatch": [{"_id": 1}, {"_id": 11}]}}`},
		{`{"find": "c", "filter": {"_id": 1}, "hint": {"_id": 1}}`, `{"cursor": {"firstBatch": [{"_id": 1}]}}`},
		{`{"find": "c", "filter": {"_id": 1}, "hint": {"$natural": 1}}`, `{"cursor": {"firstBatch": [{"_id": 1}]}}`},
		{`{"find": "c", "filter": {"_id": 1}, "hint": "nonsense"}`, `{"ok": 0, "code": 2, "codeName": "BadValue"}`},
		{`{"find": "c", "hint": 1}`, `{"ok": 0, "code": 2}`},
		{`{"find": "c", "hint": {}}`, `{"ok": 1}`},
		{`{"find": "c", "collation": {"locale": "simple"}, "tailable": false, "max": {}}`, `{"ok": 1}`},
		{`{"find": "c", "filter": 1}`, `{"ok": 0, "code": 14, "codeName": "TypeMismatch", "errmsg": "BSON field 'find.filter' is the wrong type 'int', expected type 'object'"}`},
		{`{"find": "c", "skip": -1}`, `{"ok": 0, "code": 51024}`},
		{`{"find": "c", "batchSize": -1}`, `{"ok": 0, "code": 51024}`},
		{`{"find": "c", "skip": 1.5}`, `{"ok": 0, "code": 9}`},
		{`{"find": "c", "sort": {"a": 2}}`, `{"ok": 0, "code": 15975}`},
		{`{"find": "c", "projection": {"a": 1, "b": 0}}`, `{"ok": 0, "code": 31254}`},
		{`{"find": "c", "skip": 100}`, `{"cursor": {"firstBatch": [], "id": 0}}`},
		{`{"find": "c", "filter": {"_id": 1}, "skip": 1}`, `{"cursor": {"firstBatch": []}}`},
		{`{"find": "c", "filter": {"_id": null}}`, `{"cursor": {"firstBatch": []}}`},
	}...)
}

func TestCountAndDistinct(t *testing.T) {
	p := dial(t, startServer(t))
	p.insertMany(20)
	p.expectAll([][2]string{
		{`{"count": "c"}`, `{"ok": 1, "n": 20}`},
		{`{"count": "c", "query": {"a": {"$lt": 3}}, "skip": 1, "limit": 3}`, `{"n": 3}`},
		{`{"count": "c", "query": {"a": 1}, "limit": -1, "hint": "_id_"}`, `{"n": 1}`},
		{`{"count": "c", "skip": 100}`, `{"n": 0}`},
		{`{"count": "c", "hint": "nonsense"}`, `{"ok": 0, "code": 2}`},
		{`{"count": "missing"}`, `{"ok": 1, "n": 0}`},
		{`{"count": "c", "collation": {"locale": "fr"}}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support count.collation"}`},
		{`{"distinct": "c", "key": "a"}`, `{"ok": 1, "values": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}`},
		{`{"distinct": "c", "key": "a", "query": {"_id": {"$gte": 18}}}`, `{"values": [8, 9]}`},
		{`{"distinct": "c", "key": "nothing"}`, `{"ok": 1, "values": []}`},
		{`{"distinct": "missing", "key": "a"}`, `{"ok": 1, "values": []}`},
		{`{"distinct": "c"}`, `{"ok": 0, "code": 40414}`},
		{`{"distinct": "c", "key": 1}`, `{"ok": 0, "code": 14}`},
		{`{"distinct": "c", "key": "a", "collation": {"locale": "fr"}}`, `{"ok": 0, "code": 238}`},
		{`{"insert": "l", "documents": [{"l": [1, 2]}, {"l": [2, 3]}, {"l": [{"m": 1}, {"m": 2}]}]}`, `{"n": 3}`},
		{`{"distinct": "l", "key": "l", "query": {"l": {"$type": "int"}}}`, `{"values": [1, 2, 3]}`},
		{`{"distinct": "l", "key": "l.m"}`, `{"values": [1, 2]}`},
	}...)
}

func TestAggregate(t *testing.T) {
	p := dial(t, startServer(t))
	p.insertMany(20)
	agg := func(pipeline, rest string) string {
		return fmt.Sprintf(`{"aggregate": "c", "pipeline": %s, "cursor": {}%s}`, pipeline, rest)
	}
	p.expectAll([][2]string{
		{agg(`[{"$match": {"a": {"$lt": 2}}}, {"$group": {"_id": "$a", "n": {"$sum": 1}}}, {"$sort": {"_id": -1}}]`, ``), `{"ok": 1, "cursor": {"firstBatch": [{"_id": 1, "n": 2}, {"_id": 0, "n": 2}], "id": 0, "ns": "test.c"}}`},
		{agg(`[{"$match": {"a": 1}}, {"$sort": {"_id": -1}}, {"$skip": 1}, {"$limit": 1}, {"$project": {"twice": {"$multiply": ["$_id", 2]}}}]`, ``), `{"cursor": {"firstBatch": [{"_id": 1, "twice": 2}]}}`},
		{agg(`[{"$match": {"$expr": {"$eq": ["$_id", "$$x"]}}}, {"$set": {"y": "$$x"}}]`, `, "let": {"x": 3}, "hint": "_id_", "comment": 1, "allowDiskUse": true`), `{"cursor": {"firstBatch": [{"_id": 3, "y": 3}]}}`},
		{agg(`[{"$count": "n"}]`, ``), `{"cursor": {"firstBatch": [{"n": 20}]}}`},
		{agg(`[]`, `, "hint": "nonsense"`), `{"ok": 0, "code": 2}`},
		{agg(`[{"$match": {"a": 1}}]`, `, "explain": true`), `{"ok": 0, "code": 238, "errmsg": "mongolite does not support aggregate.explain"}`},
		{agg(`[{"$lookup": {}}]`, ``), `{"ok": 0, "code": 238, "errmsg": "mongolite does not support the pipeline stage $lookup"}`},
		{agg(`[{"$match": {}, "$limit": 1}]`, ``), `{"ok": 0, "code": 40323}`},
		{agg(`[1]`, ``), `{"ok": 0, "code": 14}`},
		{`{"aggregate": "c", "pipeline": []}`, `{"ok": 0, "code": 9}`},
		{`{"aggregate": "missing", "pipeline": [{"$match": {}}], "cursor": {}}`, `{"ok": 1, "cursor": {"firstBatch": []}}`},
		{`{"aggregate": "missing", "pipeline": [{"$count": "n"}], "cursor": {}}`, `{"ok": 1, "cursor": {"firstBatch": []}}`},
		{`{"aggregate": 1, "pipeline": [{"$documents": [{"x": 1}, {"x": 2}]}, {"$match": {"x": 2}}], "cursor": {}}`, `{"ok": 1, "cursor": {"firstBatch": [{"x": 2}]}}`},
		{`{"aggregate": "c", "pipeline": [{"$documents": [{"x": 1}]}], "cursor": {}}`, `{"ok": 0, "code": 73}`},
		{`{"aggregate": 1, "pipeline": [{"$match": {}}], "cursor": {}}`, `{"ok": 0, "code": 73}`},
		// $listLocalSessions lists the sessions with retryable writes and the session of
		// the command itself.
		{`{"insert": "s", "documents": [{}], "lsid": {"id": {"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAA==", "subType": "04"}}}, "txnNumber": 1}`, `{"n": 1}`},
		{`{"aggregate": 1, "pipeline": [{"$listLocalSessions": {}}, {"$count": "n"}], "cursor": {}}`, `{"ok": 1, "cursor": {"firstBatch": [{"n": 1}]}}`},
		{`{"aggregate": 1, "pipeline": [{"$listLocalSessions": {}}, {"$count": "n"}], "cursor": {}, "lsid": {"id": {"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAQ==", "subType": "04"}}}}`, `{"ok": 1, "cursor": {"firstBatch": [{"n": 2}]}}`},
		{agg(`[{"$listLocalSessions": {}}]`, ``), `{"ok": 0, "code": 73}`},
	}...)
}

func TestOutAndMerge(t *testing.T) {
	p := dial(t, startServer(t))
	p.insertMany(20)
	agg := func(pipeline string) string {
		return fmt.Sprintf(`{"aggregate": "c", "pipeline": %s, "cursor": {}}`, pipeline)
	}
	p.expectAll([][2]string{
		{`{"createIndexes": "o", "indexes": [{"key": {"a": 1}, "name": "a_1", "unique": true}]}`, `{"ok": 1}`},
		{`{"insert": "o", "documents": [{"_id": "old", "a": 5}]}`, `{"n": 1}`},
		// $out replaces all documents, keeps the indexes, and changes nothing if it fails.
		{agg(`[{"$match": {"_id": {"$lt": 10}}}, {"$out": "o"}]`), `{"ok": 1, "cursor": {"firstBatch": [], "id": 0}}`},
		{`{"find": "o", "filter": {"_id": "old"}}`, `{"cursor": {"firstBatch": []}}`},
		{`{"count": "o"}`, `{"n": 10}`},
		{agg(`[{"$out": "o"}]`), `{"ok": 0, "code": 11000}`},
		{`{"count": "o"}`, `{"n": 10}`},
		{`{"listIndexes": "o"}`, `{"cursor": {"firstBatch": [{"name": "_id_"}, {"name": "a_1"}]}}`},
		{agg(`[{"$out": {"db": "other", "coll": "o"}}]`), `{"ok": 1}`},
		{`{"count": "o", "$db": "other"}`, `{"n": 20}`},
		{agg(`[{"$match": {"a": 3}}, {"$out": "c"}]`), `{"ok": 1}`}, // the pipeline reads a snapshot of c
		{`{"find": "c"}`, `{"cursor": {"firstBatch": [{"_id": 3}, {"_id": 13}]}}`},
		{agg(`[{"$out": "a$b"}]`), `{"ok": 0, "code": 73}`},
		{agg(`[{"$out": "x"}, {"$match": {}}]`), `{"ok": 0, "code": 40601}`},
		// $merge
		{`{"insert": "m", "documents": [{"_id": 3, "a": 0, "kept": 1}]}`, `{"n": 1}`},
		{agg(`[{"$merge": "m"}]`), `{"ok": 1, "cursor": {"firstBatch": []}}`},
		{`{"find": "m"}`, `{"cursor": {"firstBatch": [{"_id": 3, "a": 3, "kept": 1}, {"_id": 13, "a": 3}]}}`},
		{agg(`[{"$set": {"b": 1}}, {"$merge": {"into": "m", "whenMatched": "replace", "whenNotMatched": "discard"}}]`), `{"ok": 1}`},
		{`{"find": "m"}`, `{"cursor": {"firstBatch": [{"_id": 3, "b": 1, "kept": "absent"}, {"_id": 13, "b": 1}]}}`},
		{agg(`[{"$merge": {"into": "m", "whenMatched": "keepExisting"}}]`), `{"ok": 1}`},
		{agg(`[{"$merge": {"into": "m", "whenMatched": "fail"}}]`), `{"ok": 0, "code": 11000}`},
		{agg(`[{"$merge": {"into": "n", "whenNotMatched": "fail"}}]`), `{"ok": 0, "code": 13113}`},
		{`{"find": "m", "filter": {"b": 1}}`, `{"cursor": {"firstBatch": [{"_id": 3}, {"_id": 13}]}}`},
		{agg(`[{"$merge": {"into": "m", "on": "a"}}]`), `{"ok": 0, "code": 238, "errmsg": "mongolite does not support $merge on fields other than _id"}`},
		{agg(`[{"$merge": {"into": "m", "whenMatched": [{"$set": {"x": 1}}]}}]`), `{"ok": 0, "code": 238}`},
	}...)
}
