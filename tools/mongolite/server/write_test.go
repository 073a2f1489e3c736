package server_test

import (
	"fmt"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestInsert(t *testing.T) {
	p := dial(t, startServer(t))
	p.expectAll([][2]string{
		{`{"insert": "c", "documents": [{"a": 1}]}`, `{"ok": 1, "n": 1, "writeErrors": "absent"}`},
		{`{"find": "c"}`, `{"cursor": {"firstBatch": [{"_id": "any", "a": 1}]}}`},
		{`{"insert": "c", "documents": []}`, `{"ok": 0, "code": 16}`},
		{`{"insert": "c"}`, `{"ok": 0, "code": 16}`},
		{`{"insert": "c", "documents": [1]}`, `{"ok": 0, "code": 14}`},
		{`{"insert": "c", "documents": {"a": 1}}`, `{"ok": 0, "code": 14}`},
		{`{"insert": "c", "documents": [{"_id": [1]}]}`, `{"ok": 1, "n": 0, "writeErrors": [{"index": 0, "code": 53}]}`},
		{`{"insert": "c", "documents": [{"_id": {"$regularExpression": {"pattern": "x", "options": ""}}}]}`, `{"ok": 1, "n": 0, "writeErrors": [{"index": 0, "code": 53}]}`},
		{`{"insert": "c", "documents": [{"_id": {"$a": 1}}]}`, `{"ok": 1, "n": 0, "writeErrors": [{"index": 0, "code": 52}]}`},
		{`{"insert": "c", "documents": [{"_id": 1, "x": {"$minKey": 1}}]}`, `{"ok": 1, "n": 0, "writeErrors": [{"index": 0, "errmsg": "mongolite does not support values of type minKey"}]}`},
		{`{"insert": "c", "documents": [{"_id": 1, "x": {"$code": "1", "$scope": {}}}]}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support values of type javascriptWithScope"}`},
		{`{"insert": "c", "documents": [{"_id": 1}], "bypassDocumentValidation": true, "comment": 1}`, `{"ok": 1, "n": 1}`},
		{`{"insert": "c", "documents": [{"_id": 1}], "hint": 1}`, `{"ok": 0, "code": 40415}`},
		// The server moves the _id to the front.
		{`{"insert": "d", "documents": [{"b": 2, "_id": 7}]}`, `{"n": 1}`},
	}...)
	reply := p.run(`{"find": "d"}`)
	if doc := valueAt(reply, "cursor.firstBatch").(bson.A)[0].(bson.D); doc[0].Key != "_id" {
		t.Errorf("first field: got %s, want _id", doc[0].Key)
	}
}

func TestOrderedAndUnorderedWrites(t *testing.T) {
	p := dial(t, startServer(t))
	dup := func(index, id int) string {
		return fmt.Sprintf(`{"index": %d, "code": 11000, "errmsg": "E11000 duplicate key error collection: test.c index: _id_ dup key: { _id: %d }", "keyPattern": {"_id": 1}, "keyValue": {"_id": %d}}`, index, id, id)
	}
	p.expectAll([][2]string{
		{`{"insert": "c", "documents": [{"_id": 1}, {"_id": 2}, {"_id": 1}, {"_id": 3}]}`, `{"ok": 1, "n": 2, "writeErrors": [` + dup(2, 1) + `]}`},
		{`{"insert": "c", "ordered": false, "documents": [{"_id": 1}, {"_id": 3}, {"_id": 2}, {"_id": 4}, {"_id": [1]}]}`, `{"ok": 1, "n": 2, "writeErrors": [` + dup(0, 1) + `, ` + dup(2, 2) + `, {"index": 4, "code": 53}]}`},
		{`{"count": "c"}`, `{"n": 4}`},
		{`{"createIndexes": "c", "indexes": [{"key": {"u": 1}, "name": "u_1", "unique": true, "sparse": true}]}`, `{"ok": 1}`},
		{`{"update": "c", "updates": [
			{"q": {"_id": 1}, "u": {"$set": {"u": 1}}},
			{"q": {"_id": 2}, "u": {"$set": {"u": 1}}},
			{"q": {"_id": 3}, "u": {"$set": {"u": 3}}}]}`,
			`{"ok": 1, "n": 1, "nModified": 1, "writeErrors": [{"index": 1, "code": 11000, "keyPattern": {"u": 1}, "keyValue": {"u": 1}}]}`},
		{`{"update": "c", "ordered": false, "updates": [
			{"q": {"_id": 2}, "u": {"$set": {"u": 1}}},
			{"q": {"_id": 3}, "u": {"$set": {"u": 3}}},
			{"q": {"_id": 3}, "u": {"$nonsense": {"u": 3}}},
			{"q": {"_id": 9}, "u": {"$set": {"u": 9}}, "upsert": true},
			{"q": {"u": 10}, "u": {"$set": {"a": 1}}, "upsert": true},
			{"q": {"u": 3}, "u": {"$set": {"u": 3}}}]}`,
			`{"ok": 1, "n": 4, "nModified": 1, "upserted": [{"index": 3, "_id": 9}, {"index": 4, "_id": "any"}], "writeErrors": [{"index": 0, "code": 11000}, {"index": 2, "code": 9}]}`},
		{`{"delete": "c", "deletes": [{"q": {"_id": 1}, "limit": 1}, {"q": {"$nonsense": 1}, "limit": 1}, {"q": {"_id": 2}, "limit": 1}]}`, `{"ok": 1, "n": 1, "writeErrors": [{"index": 1, "code": 2}]}`},
		// A malformed statement fails the whole command, and no statement runs.
		{`{"delete": "c", "deletes": [{"q": {"_id": 3}, "limit": 1}, {"q": {}, "limit": 1, "nonsense": 1}]}`, `{"ok": 0, "code": 40415}`},
		{`{"update": "c", "updates": [{"q": {"_id": 3}, "u": {"$set": {"x": 1}}}, {"q": {"_id": 3}, "u": {}, "multi": "yes"}]}`, `{"ok": 0, "code": 14}`},
		{`{"count": "c", "query": {"_id": 3, "x": {"$exists": false}}}`, `{"n": 1}`},
		{`{"delete": "c", "ordered": false, "deletes": [{"q": {"_id": 1}, "limit": 1}, {"q": {"$nonsense": 1}, "limit": 1}, {"q": {"_id": 2}, "limit": 1}]}`, `{"ok": 1, "n": 1, "writeErrors": [{"index": 1, "code": 2}]}`},
	}...)
	// A command may have at most 100,000 statements.
	docs := make([]any, 100_001)
	for i := range docs {
		docs[i] = bson.D{{Key: "q", Value: bson.D{{Key: "_id", Value: int32(-1)}}}, {Key: "limit", Value: int32(1)}}
	}
	p.send(0, bodySection(t, `{"delete": "c", "$db": "test"}`), sequenceSection(t, "deletes", docs...))
	p.expectReply(`{"ok": 0, "code": 16, "errmsg": "Write batch sizes must be between 1 and 100000. Got 100001 operations."}`)
	p.send(0, bodySection(t, `{"delete": "c", "$db": "test"}`), sequenceSection(t, "deletes", docs[1:]...))
	p.expectReply(`{"ok": 1, "n": 0}`)
}

func TestUpdate(t *testing.T) {
	p := dial(t, startServer(t))
	p.insertMany(20)
	p.expectAll([][2]string{
		{`{"update": "c", "updates": [{"q": {"a": 1}, "u": {"$set": {"b": 1}}}]}`, `{"ok": 1, "n": 1, "nModified": 1, "upserted": "absent"}`},
		{`{"update": "c", "updates": [{"q": {"a": 1}, "u": {"$set": {"b": 1}}, "multi": true}]}`, `{"n": 2, "nModified": 1}`},
		{`{"update": "c", "updates": [{"q": {"_id": 5}, "u": {"x": 1}}]}`, `{"n": 1, "nModified": 1}`},
		{`{"find": "c", "filter": {"_id": 5}}`, `{"cursor": {"firstBatch": [{"_id": 5, "x": 1, "a": "absent"}]}}`},
		{`{"update": "c", "updates": [{"q": {}, "u": {"x": 1}, "multi": true}]}`, `{"n": 0, "writeErrors": [{"code": 9}]}`},
		{`{"update": "c", "updates": [{"q": {"_id": 6}, "u": [{"$set": {"sum": {"$add": ["$_id", "$a"]}}}]}]}`, `{"n": 1, "nModified": 1}`},
		{`{"find": "c", "filter": {"_id": 6}}`, `{"cursor": {"firstBatch": [{"_id": 6, "sum": 12}]}}`},
		{`{"update": "c", "updates": [{"q": {"$expr": {"$eq": ["$_id", "$$id"]}}, "u": [{"$set": {"v": "$$v"}}]}], "let": {"id": 7, "v": "seven"}}`, `{"n": 1, "nModified": 1}`},
		{`{"find": "c", "filter": {"_id": 7}}`, `{"cursor": {"firstBatch": [{"v": "seven"}]}}`},
		{`{"update": "c", "updates": [{"q": {"_id": 8}, "u": {"$set": {"_id": 9}}}]}`, `{"n": 0, "writeErrors": [{"code": 66}]}`},
		{`{"update": "c", "updates": [{"q": {"_id": 8}, "u": {"$set": {"l": [1, 5, 9]}}}]}`, `{"n": 1}`},
		{`{"update": "c", "updates": [{"q": {"_id": 8}, "u": {"$set": {"l.$[big]": 0}}, "arrayFilters": [{"big": {"$gt": 4}}]}]}`, `{"nModified": 1}`},
		{`{"find": "c", "filter": {"_id": 8}}`, `{"cursor": {"firstBatch": [{"l": [1, 0, 0]}]}}`},
		{`{"update": "c", "updates": [{"q": {"a": 9}, "u": {"$set": {"h": 1}}, "hint": {"_id": 1}}]}`, `{"n": 1}`},
		{`{"update": "c", "updates": [{"q": {"a": 9}, "u": {"$set": {"h": 1}}, "hint": "nonsense"}]}`, `{"n": 0, "writeErrors": [{"code": 2}]}`},
		{`{"update": "c", "updates": [{"u": {}}]}`, `{"ok": 0, "code": 40414, "errmsg": "BSON field 'update.updates.q' is missing but a required field"}`},
		{`{"update": "c", "updates": [{"q": {}}]}`, `{"ok": 0, "code": 40414, "errmsg": "BSON field 'update.updates.u' is missing but a required field"}`},
		{`{"update": "c", "updates": [{"q": {}, "u": 1}]}`, `{"writeErrors": [{"code": 9}]}`},
		{`{"update": "c", "updates": [{"q": {}, "u": {}, "collation": {"locale": "fr"}}]}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support update.updates.collation"}`},
		{`{"update": "c", "updates": [{"q": {}, "u": [], "c": {"x": 1}}]}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support update.updates.c"}`},
		{`{"update": "c", "updates": [{"q": {}, "u": {"$set": {"z": 1}}, "collation": {"locale": "simple"}}]}`, `{"n": 1}`},
		{`{"update": "missing", "updates": [{"q": {}, "u": {"$set": {"z": 1}}}]}`, `{"ok": 1, "n": 0, "nModified": 0}`},
		{`{"listCollections": 1, "filter": {"name": "missing"}}`, `{"cursor": {"firstBatch": []}}`},
		// An upsert inserts the fields that its filter compares for equality.
		{`{"update": "u", "updates": [{"q": {"k": 1, "l": {"$gt": 1}, "m.n": 2}, "u": {"$set": {"v": 1}, "$setOnInsert": {"once": true}}, "upsert": true}]}`, `{"n": 1, "nModified": 0, "upserted": [{"index": 0, "_id": "any"}]}`},
		{`{"find": "u"}`, `{"cursor": {"firstBatch": [{"k": 1, "m": {"n": 2}, "v": 1, "once": true, "l": "absent"}]}}`},
		{`{"update": "u", "updates": [{"q": {"_id": 3}, "u": {"r": 1}, "upsert": true}]}`, `{"n": 1, "upserted": [{"index": 0, "_id": 3}]}`},
		{`{"update": "u", "updates": [{"q": {"_id": 4}, "u": [{"$set": {"now": "$$NOW"}}], "upsert": true}]}`, `{"n": 1, "upserted": [{"index": 0, "_id": 4}]}`},
		{`{"find": "u", "filter": {"now": {"$type": "date"}}}`, `{"cursor": {"firstBatch": [{"_id": 4}]}}`},
	}...)
}

func TestDelete(t *testing.T) {
	p := dial(t, startServer(t))
	p.insertMany(20)
	p.expectAll([][2]string{
		{`{"delete": "c", "deletes": [{"q": {"a": 1}, "limit": 1}]}`, `{"ok": 1, "n": 1}`},
		{`{"delete": "c", "deletes": [{"q": {"a": {"$in": [1, 2]}}, "limit": 0}]}`, `{"ok": 1, "n": 3}`},
		{`{"delete": "c", "deletes": [{"q": {"a": 3}, "limit": 0, "hint": "_id_"}]}`, `{"ok": 1, "n": 2}`},
		{`{"delete": "c", "deletes": [{"q": {"$expr": {"$eq": ["$a", "$$x"]}}, "limit": 0}], "let": {"x": 4}}`, `{"ok": 1, "n": 2}`},
		{`{"delete": "c", "deletes": [{"q": {}, "limit": 0, "hint": "nonsense"}]}`, `{"n": 0, "writeErrors": [{"code": 2}]}`},
		{`{"delete": "c", "deletes": [{"q": {}, "limit": 2}]}`, `{"ok": 0, "code": 9}`},
		{`{"delete": "c", "deletes": [{"q": {}}]}`, `{"ok": 0, "code": 40414, "errmsg": "BSON field 'delete.deletes.limit' is missing but a required field"}`},
		{`{"delete": "c", "deletes": [{"limit": 1}]}`, `{"ok": 0, "code": 40414}`},
		{`{"delete": "c", "deletes": [{"q": {}, "limit": 1, "collation": {"locale": "fr"}}]}`, `{"ok": 0, "code": 238}`},
		{`{"delete": "missing", "deletes": [{"q": {}, "limit": 1}]}`, `{"ok": 1, "n": 0}`},
		{`{"count": "c"}`, `{"n": 12}`},
	}...)
}

func TestFindAndModify(t *testing.T) {
	p := dial(t, startServer(t))
	p.insertMany(20)
	p.expectAll([][2]string{
		{`{"findAndModify": "c", "query": {"a": 1}, "sort": {"_id": -1}, "update": {"$set": {"b": 1}}}`, `{"ok": 1, "value": {"_id": 11, "a": 1, "b": "absent"}, "lastErrorObject": {"n": 1, "updatedExisting": true}}`},
		{`{"findandmodify": "c", "query": {"_id": 11}, "update": {"$inc": {"b": 1}}, "new": true, "fields": {"b": 1}}`, `{"ok": 1, "value": {"_id": 11, "a": "absent", "b": 2}}`},
		{`{"findAndModify": "c", "query": {"_id": 100}, "update": {"$set": {"b": 1}}}`, `{"ok": 1, "value": null, "lastErrorObject": {"n": 0, "updatedExisting": false, "upserted": "absent"}}`},
		{`{"findAndModify": "c", "query": {"_id": 100}, "update": {"$set": {"b": 1}}, "upsert": true}`, `{"ok": 1, "value": null, "lastErrorObject": {"n": 1, "updatedExisting": false, "upserted": 100}}`},
		{`{"findAndModify": "c", "query": {"_id": 101}, "update": {"b": 1}, "upsert": true, "new": true}`, `{"ok": 1, "value": {"_id": 101, "b": 1}}`},
		{`{"findAndModify": "c", "query": {"_id": 101}, "remove": true}`, `{"ok": 1, "value": {"_id": 101, "b": 1}, "lastErrorObject": {"n": 1, "updatedExisting": "absent"}}`},
		{`{"findAndModify": "c", "query": {"_id": 101}, "remove": true}`, `{"ok": 1, "value": null, "lastErrorObject": {"n": 0}}`},
		{`{"findAndModify": "c", "query": {"_id": 1}, "update": [{"$set": {"x": "$$y"}}], "let": {"y": 5}, "new": true}`, `{"value": {"x": 5}}`},
		{`{"findAndModify": "c", "query": {"_id": 1}, "update": {"$set": {"l": [1, 2]}}, "new": true, "hint": "_id_"}`, `{"value": {"l": [1, 2]}}`},
		{`{"findAndModify": "c", "query": {"_id": 1}, "update": {"$set": {"l.$[e]": 9}}, "arrayFilters": [{"e": 2}], "new": true}`, `{"value": {"l": [1, 9]}}`},
		{`{"findAndModify": "c", "query": {"_id": 1}}`, `{"ok": 0, "code": 9}`},
		{`{"findAndModify": "c", "query": {"_id": 1}, "update": {"a": 1}, "remove": true}`, `{"ok": 0, "code": 9}`},
		{`{"findAndModify": "c", "query": {"_id": 1}, "upsert": true, "remove": true}`, `{"ok": 0, "code": 9}`},
		{`{"findAndModify": "c", "query": {"_id": 1}, "new": true, "remove": true}`, `{"ok": 0, "code": 9}`},
		{`{"findAndModify": "c", "query": {"_id": 1}, "remove": true, "hint": "nonsense"}`, `{"ok": 0, "code": 2}`},
		{`{"findAndModify": "c", "query": {"_id": 1}, "update": {"$set": {"_id": 2}}}`, `{"ok": 0, "code": 66}`},
		{`{"findAndModify": "c", "query": {"_id": 1}, "remove": true, "collation": {"locale": "fr"}}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support findAndModify.collation"}`},
		{`{"findAndModify": "c", "query": {"_id": 200}, "update": {"$set": {"x": 1}}, "upsert": true, "writeConcern": {"w": 2}}`, `{"ok": 1, "lastErrorObject": {"n": 1}, "writeConcernError": {"code": 100}}`},
		{`{"createIndexes": "c", "indexes": [{"key": {"u": 1}, "name": "u", "unique": true, "sparse": true}]}`, `{"ok": 1}`},
		{`{"findAndModify": "c", "query": {"_id": 2}, "update": {"$set": {"u": 1}}}`, `{"ok": 1}`},
		{`{"findAndModify": "c", "query": {"_id": 3}, "update": {"$set": {"u": 1}}}`, `{"ok": 0, "code": 11000, "codeName": "DuplicateKey", "keyPattern": {"u": 1}, "keyValue": {"u": 1}}`},
		{`{"findAndModify": "missing", "query": {}, "remove": true}`, `{"ok": 1, "value": null}`},
	}...)
}
