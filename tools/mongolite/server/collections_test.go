package server_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestCreateListAndDropCollections(t *testing.T) {
	p := dial(t, startServer(t))
	p.expectAll([][2]string{
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

func TestListingsUseCursors(t *testing.T) {
	p := dial(t, startServer(t))
	for i := range 5 {
		p.expect(fmt.Sprintf(`{"create": "c%d"}`, i), `{"ok": 1}`)
	}
	reply := p.expect(`{"listCollections": 1, "cursor": {"batchSize": 2}}`, `{"cursor": {"firstBatch": [{"name": "c0"}, {"name": "c1"}]}}`)
	more := bson.D{{Key: "getMore", Value: valueAt(reply, "cursor.id")}, {Key: "collection", Value: "$cmd.listCollections"}}
	p.expect(more, `{"ok": 1, "cursor": {"id": 0, "nextBatch": [{"name": "c2"}, {"name": "c3"}, {"name": "c4"}]}}`)
	p.expect(more, `{"ok": 0, "code": 43}`)
	p.expect(`{"listIndexes": "c1", "cursor": {"batchSize": 0}}`, `{"ok": 1, "cursor": {"firstBatch": []}}`)
}

// TestDropDuringWrites checks that statements succeed while other connections drop
// the collection: each runs either in the old collection or in a new one.
func TestDropDuringWrites(t *testing.T) {
	s := startServer(t)
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
					reply := p.run(fmt.Sprintf(cmd, id))
					code := lookup(reply, "code")
					isNotFound := code == int32(26) || code == int32(27) // dropIndexes after a drop
					if lookup(reply, "ok") != 1.0 && !isNotFound || hasField(reply, "writeErrors") {
						t.Errorf(cmd+": got %s, want success", id, toJSON(reply))
						return
					}
				}
			}
		})
	}
	p := dial(t, s)
	for i := range 100 {
		if i%2 == 0 {
			p.expect(`{"drop": "c"}`, `{"ok": 1}`)
		} else {
			p.expect(`{"dropDatabase": 1}`, `{"ok": 1}`)
		}
		p.expect(`{"listCollections": 1}`, `{"ok": 1}`)
	}
	done.Store(true)
	wg.Wait()
	p.expect(`{"drop": "c"}`, `{"ok": 1}`)
	p.expect(`{"count": "c"}`, `{"n": 0}`)
}
