package server_test

import (
	"fmt"
	"testing"
)

func TestCreateListAndDropIndexes(t *testing.T) {
	p := dial(t, startServer(t))
	p.insertMany(20)
	create := func(coll, index string) string {
		return fmt.Sprintf(`{"createIndexes": %q, "indexes": [%s]}`, coll, index)
	}
	manyKeys := ""
	for i := range 32 {
		manyKeys += fmt.Sprintf(`"x%d": 1, `, i)
	}
	p.expectAll([][2]string{
		{create("c", `{"key": {"a": 1}, "name": "a_1"}`), `{"ok": 1, "numIndexesBefore": 1, "numIndexesAfter": 2, "createdCollectionAutomatically": false}`},
		{create("c", `{"key": {"a": 1}, "name": "a_1"}`), `{"ok": 1, "numIndexesBefore": 2, "numIndexesAfter": 2, "note": "all indexes already exist"}`},
		{create("new", `{"key": {"a": 1, "b": -1}, "name": "ab", "background": true, "v": 2}`), `{"ok": 1, "numIndexesBefore": 1, "numIndexesAfter": 2, "createdCollectionAutomatically": true}`},
		{create("c", `{"key": {"_id": 1}, "name": "_id_"}`), `{"ok": 1, "numIndexesAfter": 2}`},
		{create("c", `{"key": {"_id": -1}, "name": "id"}`), `{"ok": 0, "code": 2, "errmsg": "The field 'key' for an _id index must be {_id: 1}, but got {_id: -1}"}`},
		{create("c", `{"key": {"b": 1}, "name": "*"}`), `{"ok": 0, "code": 2, "errmsg": "The index name '*' is not valid."}`},
		{create("c", `{"key": {"b": 1}, "name": "a_1"}`), `{"ok": 0, "code": 86, "codeName": "IndexKeySpecsConflict"}`},
		{create("c", `{"key": {"a": 1}, "name": "a_1", "unique": true}`), `{"ok": 0, "code": 85, "codeName": "IndexOptionsConflict"}`},
		{create("c", `{"key": {"a": 1}, "name": "other"}`), `{"ok": 0, "code": 85, "errmsg": "Index already exists with a different name: a_1"}`},
		{create("c", `{"key": {"a": -1}, "name": "u", "unique": true}`), `{"ok": 0, "code": 11000, "keyPattern": {"a": -1}, "keyValue": {"a": "any"}}`},
		{create("c", `{"key": {"t": 1}, "name": "t", "expireAfterSeconds": 60}, {"key": {"p": 1}, "name": "p", "unique": true, "partialFilterExpression": {"p": {"$gt": 1}}}, {"key": {"s": 1}, "name": "s", "sparse": true}`), `{"ok": 1, "numIndexesAfter": 5}`},
		{`{"listIndexes": "c"}`, `{"ok": 1, "cursor": {"ns": "test.c", "id": 0, "firstBatch": [
			{"v": 2, "key": {"_id": 1}, "name": "_id_", "unique": "absent"},
			{"v": 2, "key": {"a": 1}, "name": "a_1"},
			{"key": {"t": 1}, "name": "t", "expireAfterSeconds": 60},
			{"key": {"p": 1}, "name": "p", "unique": true, "partialFilterExpression": {"p": {"$gt": 1}}},
			{"key": {"s": 1}, "name": "s", "sparse": true}]}}`},
		{`{"listIndexes": "missing"}`, `{"ok": 0, "code": 26, "codeName": "NamespaceNotFound", "errmsg": "ns does not exist: test.missing"}`},
		{create("c", ``), `{"ok": 0, "code": 2}`},
		{create("c", `1`), `{"ok": 0, "code": 14}`},
		{create("c", `{"name": "x"}`), `{"ok": 0, "code": 40414}`},
		{create("c", `{"key": {}, "name": "x"}`), `{"ok": 0, "code": 67}`},
		{create("c", `{"key": {"x": 1}}`), `{"ok": 0, "code": 9}`},
		{create("c", `{"key": {"x": 0}, "name": "x"}`), `{"ok": 0, "code": 67}`},
		{create("c", `{"key": {"$x": 1}, "name": "x"}`), `{"ok": 0, "code": 67}`},
		{create("c", `{"key": {"x..y": 1}, "name": "x"}`), `{"ok": 0, "code": 67}`},
		{create("c", fmt.Sprintf(`{"key": {%s"last": 1}, "name": "x"}`, manyKeys)), `{"ok": 0, "code": 67}`},
		{create("c", `{"key": {"x": 1, "y": 1}, "name": "x", "expireAfterSeconds": 1}`), `{"ok": 0, "code": 67}`},
		{create("c", `{"key": {"_id": 1}, "name": "_id_", "sparse": true}`), `{"ok": 0, "code": 197}`},
		{create("c", `{"key": {"x": 1}, "name": "x", "sparse": true, "partialFilterExpression": {"x": 1}}`), `{"ok": 0, "code": 67}`},
		{create("c", `{"key": {"x": 1}, "name": "x", "partialFilterExpression": {"x": {"$ne": 1}}}`), `{"ok": 0, "code": 67}`},
		{create("c", `{"key": {"x": "text"}, "name": "x"}`), `{"ok": 0, "code": 238, "errmsg": "mongolite does not support text indexes"}`},
		{create("c", `{"key": {"$**": 1}, "name": "x"}`), `{"ok": 0, "code": 238, "errmsg": "mongolite does not support wildcard indexes"}`},
		{create("c", `{"key": {"x": 1}, "name": "x", "hidden": true}`), `{"ok": 0, "code": 238, "errmsg": "mongolite does not support createIndexes.indexes.hidden"}`},
		{create("c", `{"key": {"x": 1}, "name": "x", "v": 1}`), `{"ok": 0, "code": 238}`},
		{`{"createIndexes": "c", "indexes": [{"key": {"x": 1}, "name": "x", "foo": 1}], "ignoreUnknownIndexOptions": true}`, `{"ok": 0, "code": 238}`},
		{`{"dropIndexes": "c", "index": "a_1"}`, `{"ok": 1, "nIndexesWas": 5}`},
		{`{"dropIndexes": "c", "index": {"t": 1}}`, `{"ok": 1, "nIndexesWas": 4}`},
		{`{"dropIndexes": "c", "index": "a_1"}`, `{"ok": 0, "code": 27, "codeName": "IndexNotFound", "errmsg": "index not found with name [a_1]"}`},
		{`{"dropIndexes": "c", "index": {"a": 1}}`, `{"ok": 0, "code": 27}`},
		{`{"dropIndexes": "c", "index": "_id_"}`, `{"ok": 0, "code": 72, "errmsg": "cannot drop _id index"}`},
		{`{"dropIndexes": "c"}`, `{"ok": 0, "code": 40414}`},
		{`{"dropIndexes": "c", "index": ["p"]}`, `{"ok": 1}`},
		{`{"dropIndexes": "c", "index": "*"}`, `{"ok": 1, "nIndexesWas": 2}`},
		{`{"dropIndexes": "missing", "index": "*"}`, `{"ok": 0, "code": 26}`},
		{`{"listIndexes": "c"}`, `{"cursor": {"firstBatch": [{"name": "_id_"}]}}`},
	}...)
}
