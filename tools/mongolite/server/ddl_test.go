package server_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestCollections(t *testing.T) {
	p := dial(t, start(t))
	p.talk([][2]string{
		{`{"create": "c"}`, `{"ok": 1}`},
		{`{"create": "c"}`, `{"ok": 0, "code": 48, "codeName": "NamespaceExists", "errmsg": "Collection test.c already exists."}`},
		{`{"create": "capped", "capped": true, "size": 100}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support create.capped"}`},
		{`{"create": "v", "viewOn": "c", "pipeline": []}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support create.viewOn"}`},
		{`{"create": "d", "capped": false, "validator": {}, "collation": null}`, `{"ok": 1}`},
		{`{"listCollections": 1}`, `{"ok": 1, "cursor": {"id": 0, "ns": "test.$cmd.listCollections", "firstBatch": [
			{"name": "c", "type": "collection", "options": {}, "info": {"readOnly": false}, "idIndex": {"v": 2, "key": {"_id": 1}, "name": "_id_"}}, {"name": "d"}]}}`},
		{`{"listCollections": 1, "nameOnly": true, "filter": {"name": "d"}, "authorizedCollections": true}`, `{"cursor": {"firstBatch": [{"name": "d", "type": "collection", "options": "absent"}]}}`},
		{`{"listCollections": 1, "filter": {"$nonsense": 1}}`, `{"ok": 0, "code": 2}`},
		{`{"drop": "c"}`, `{"ok": 1, "ns": "test.c", "nIndexesWas": 1}`},
		{`{"drop": "c"}`, `{"ok": 1}`},
		{`{"insert": "c", "documents": [{}], "$db": "one"}`, `{"n": 1}`},
		{`{"insert": "c", "documents": [{}], "$db": "one-more"}`, `{"n": 1}`},
		{`{"listDatabases": 1}`, `{"ok": 1, "databases": [{"name": "one", "sizeOnDisk": "any", "empty": false}, {"name": "one-more"}, {"name": "test"}], "totalSize": "any"}`},
		{`{"listDatabases": 1, "nameOnly": true, "filter": {"name": {"$regex": "^one"}}}`, `{"databases": [{"name": "one", "sizeOnDisk": "absent"}, {"name": "one-more"}], "totalSize": "absent"}`},
		{`{"dropDatabase": 1, "$db": "one"}`, `{"ok": 1, "dropped": "one"}`},
		{`{"dropDatabase": 1, "$db": "one"}`, `{"ok": 1, "dropped": "absent"}`},
		{`{"count": "c", "$db": "one"}`, `{"n": 0}`},
		{`{"count": "c", "$db": "one-more"}`, `{"n": 1}`},
	}...)
}

func TestListingsInBatches(t *testing.T) {
	p := dial(t, start(t))
	for i := range 5 {
		p.is(fmt.Sprintf(`{"create": "c%d"}`, i), `{"ok": 1}`)
	}
	reply := p.is(`{"listCollections": 1, "cursor": {"batchSize": 2}}`, `{"cursor": {"firstBatch": [{"name": "c0"}, {"name": "c1"}]}}`)
	more := bson.D{{Key: "getMore", Value: at(reply, "cursor.id")}, {Key: "collection", Value: "$cmd.listCollections"}}
	p.is(more, `{"ok": 1, "cursor": {"id": 0, "nextBatch": [{"name": "c2"}, {"name": "c3"}, {"name": "c4"}]}}`)
	p.is(more, `{"ok": 0, "code": 43}`)
	p.is(`{"listIndexes": "c1", "cursor": {"batchSize": 0}}`, `{"ok": 1, "cursor": {"firstBatch": []}}`)
}

func TestIndexes(t *testing.T) {
	p := dial(t, start(t))
	p.insertMany(20)
	create := func(coll, index string) string {
		return fmt.Sprintf(`{"createIndexes": %q, "indexes": [%s]}`, coll, index)
	}
	p.talk([][2]string{
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

func TestExplain(t *testing.T) {
	p := dial(t, start(t))
	p.insertMany(20)
	p.talk([][2]string{
		{`{"createIndexes": "c", "indexes": [{"key": {"a": 1}, "name": "a_1"}]}`, `{"ok": 1}`},
		{`{"explain": {"find": "c", "filter": {"a": 1}}}`, `{"ok": 1,
			"queryPlanner": {"namespace": "test.c", "winningPlan": {"stage": "FETCH", "inputStage": {"stage": "IXSCAN", "indexName": "a_1", "keyPattern": {"a": 1}, "direction": "forward"}}},
			"executionStats": {"nReturned": 2, "totalKeysExamined": 2, "totalDocsExamined": 2}}`},
		{`{"explain": {"find": "c", "filter": {"b": 1}}, "verbosity": "executionStats"}`, `{"queryPlanner": {"winningPlan": {"stage": "COLLSCAN"}}, "executionStats": {"nReturned": 0, "totalKeysExamined": 0, "totalDocsExamined": 20}}`},
		{`{"explain": {"find": "c", "filter": {"a": 1}}, "verbosity": "queryPlanner"}`, `{"executionStats": "absent"}`},
		{`{"explain": {"find": "c", "sort": {"b": 1}}}`, `{"queryPlanner": {"winningPlan": {"stage": "SORT", "sortPattern": {"b": 1}, "inputStage": {"stage": "COLLSCAN"}}}}`},
		{`{"explain": {"find": "c", "sort": {"a": -1}, "limit": 3}}`, `{"queryPlanner": {"winningPlan": {"stage": "FETCH", "inputStage": {"direction": "backward"}}}, "executionStats": {"nReturned": 3}}`},
		{`{"explain": {"find": "missing"}}`, `{"ok": 1, "queryPlanner": {"winningPlan": {"stage": "EOF"}}}`},
		{`{"explain": {"count": "c", "query": {"a": 1}}}`, `{"executionStats": {"nReturned": 2}}`},
		{`{"explain": {"distinct": "c", "key": "a", "query": {"a": 1}}}`, `{"executionStats": {"nReturned": 2}}`},
		{`{"explain": {"aggregate": "c", "pipeline": [{"$match": {"a": 1}}], "cursor": {}}}`, `{"executionStats": {"nReturned": 2}}`},
		{`{"explain": {"update": "c", "updates": [{"q": {"a": 1}, "u": {"$set": {"b": 1}}}]}}`, `{"ok": 1, "queryPlanner": {"winningPlan": {"inputStage": {"indexName": "a_1"}}}}`},
		{`{"explain": {"delete": "c", "deletes": [{"q": {"a": 1}, "limit": 0}]}}`, `{"ok": 1, "executionStats": {"nReturned": 2}}`},
		{`{"explain": {"findAndModify": "c", "query": {"a": 1}, "remove": true}}`, `{"ok": 1, "executionStats": {"nReturned": 1}}`},
		{`{"count": "c"}`, `{"n": 20}`}, // nothing was done
		{`{"explain": {"insert": "c", "documents": [{}]}}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support explain of insert"}`},
		{`{"explain": {"nonsense": 1}}`, `{"ok": 0, "code": 59}`},
		{`{"explain": {"find": "c", "nonsense": 1}}`, `{"ok": 0, "code": 40415}`},
		{`{"explain": {"find": "c", "collation": {"locale": "fr"}}}`, `{"ok": 0, "code": 238}`},
		{`{"explain": {"find": "c"}, "verbosity": "nonsense"}`, `{"ok": 0, "code": 9}`},
		{`{"explain": 1}`, `{"ok": 0, "code": 14}`},
		{`{"explain": {}}`, `{"ok": 0, "code": 14}`},
	}...)
}

func TestInformation(t *testing.T) {
	p := dial(t, start(t))
	p.talk([][2]string{
		{`{"ping": 1}`, `{"ok": 1}`},
		{`{"buildInfo": 1}`, `{"ok": 1, "version": "7.0.0", "versionArray": [7, 0, 0, 0], "bits": 64, "maxBsonObjectSize": 16777216, "gitVersion": "mongolite"}`},
		{`{"connectionStatus": 1, "showPrivileges": false}`, `{"ok": 1, "authInfo": {"authenticatedUsers": [], "authenticatedUserRoles": []}}`},
		{`{"getParameter": 1, "enableTestCommands": 1}`, `{"ok": 1, "enableTestCommands": true}`},
		{`{"getParameter": "*"}`, `{"ok": 1, "requireApiVersion": false}`},
		{`{"getParameter": 1}`, `{"ok": 0, "code": 72, "errmsg": "no option found to get"}`},
	}...)
}

// TestServerStatus holds that it counts every request, those among them that were
// refused, and itself.
func TestServerStatus(t *testing.T) {
	s := start(t)
	p := dial(t, s)
	p.is(`{"serverStatus": 1}`, `{"ok": 1, "process": "mongolite", "connections": {"current": 1, "totalCreated": 1}, "network": {"numRequests": 1}}`)
	p.is(`{"ping": 1}`, `{"ok": 1}`)
	dial(t, s).is(`{"nonsense": 1}`, `{"ok": 0, "code": 59}`)
	p.is(`{"serverStatus": 1}`, `{"ok": 1, "connections": {"current": 2, "totalCreated": 2}, "network": {"numRequests": 4}}`)
}

// TestDropWhileOthersWrite holds that a drop and writers do not meet half-way:
// every statement is done in the collection before or in the one after it.
func TestDropWhileOthersWrite(t *testing.T) {
	s := start(t)
	var wg sync.WaitGroup
	var done atomic.Bool
	for w := range 4 {
		p := dial(t, s)
		wg.Go(func() {
			for i := 0; !done.Load(); i++ {
				id := w*1_000_000 + i
				for _, cmd := range []string{
					`{"insert": "c", "documents": [{"_id": %d}]}`,
					`{"update": "c", "updates": [{"q": {"_id": %d}, "u": {"$inc": {"n": 1}}, "upsert": true}]}`,
					`{"createIndexes": "c", "indexes": [{"key": {"n": 1}, "name": "n%[1]d", "partialFilterExpression": {"n": %[1]d}}]}`,
					`{"dropIndexes": "c", "index": "n%d"}`,
					`{"find": "c", "filter": {"n": %d}}`,
					`{"findAndModify": "c", "query": {"_id": %d}, "remove": true}`,
				} {
					reply := p.do(fmt.Sprintf(cmd, id))
					code := lookup(reply, "code")
					gone := code == int32(26) || code == int32(27) // of dropIndexes
					if lookup(reply, "ok") != 1.0 && !gone || has(reply, "writeErrors") {
						t.Errorf(cmd+" gives %s", id, text(reply))
						return
					}
				}
			}
		})
	}
	p := dial(t, s)
	for i := range 100 {
		if i%2 == 0 {
			p.is(`{"drop": "c"}`, `{"ok": 1}`)
		} else {
			p.is(`{"dropDatabase": 1}`, `{"ok": 1}`)
		}
		p.is(`{"listCollections": 1}`, `{"ok": 1}`)
	}
	done.Store(true)
	wg.Wait()
	p.is(`{"drop": "c"}`, `{"ok": 1}`)
	p.is(`{"count": "c"}`, `{"n": 0}`)
}
