package server_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// getMore returns a getMore command for a cursor of the collection c. A batch of 0
// means no batchSize.
func getMore(id any, batch int) bson.D {
	d := bson.D{{Key: "getMore", Value: id}, {Key: "collection", Value: "c"}}
	if batch > 0 {
		d = append(d, bson.E{Key: "batchSize", Value: batch})
	}
	return d
}

// openCursor runs a find and returns the id of its cursor.
func (p *rawConn) openCursor(find string) int64 {
	p.t.Helper()
	id, _ := valueAt(p.expect(find, `{"ok": 1}`), "cursor.id").(int64)
	if id == 0 {
		p.t.Fatalf("%s opened no cursor, want one", find)
	}
	return id
}

func TestGetMoreAndKillCursors(t *testing.T) {
	s := startServer(t)
	p := dial(t, s)
	p.insertMany(250)
	reply := p.expect(`{"find": "c"}`, `{"ok": 1}`)
	if first := valueAt(reply, "cursor.firstBatch").(bson.A); len(first) != 101 {
		t.Errorf("got %d documents in the first batch, want 101", len(first))
	}
	id := valueAt(reply, "cursor.id")
	next := p.expect(getMore(id, 0), `{"ok": 1, "cursor": {"id": 0, "ns": "test.c"}}`)
	if rest := valueAt(next, "cursor.nextBatch").(bson.A); len(rest) != 149 {
		t.Errorf("got %d documents in the second batch, want 149", len(rest))
	}
	p.expect(getMore(id, 0), fmt.Sprintf(`{"ok": 0, "code": 43, "codeName": "CursorNotFound", "errmsg": "cursor id %d not found"}`, id))

	id = p.openCursor(`{"find": "c", "batchSize": 0}`)
	p.expect(getMore(id, 2), fmt.Sprintf(`{"cursor": {"id": {"$numberLong": "%d"}, "nextBatch": [{"_id": 0}, {"_id": 1}]}}`, id))
	p.expect(getMore(id, 1), `{"cursor": {"nextBatch": [{"_id": 2}]}}`)
	p.expect(bson.D{{Key: "getMore", Value: id}, {Key: "collection", Value: "other"}}, `{"ok": 0, "code": 13, "codeName": "Unauthorized"}`)
	p.expect(bson.D{{Key: "getMore", Value: id}, {Key: "collection", Value: "c"}, {Key: "$db", Value: "other"}}, `{"ok": 0, "code": 13}`)
	p.expect(bson.D{{Key: "getMore", Value: int32(1)}, {Key: "collection", Value: "c"}}, `{"ok": 0, "code": 14}`)
	p.expect(bson.D{{Key: "getMore", Value: id}, {Key: "collection", Value: "c"}, {Key: "batchSize", Value: -1}}, `{"ok": 0, "code": 51024}`)

	// Any connection may read a cursor. It stays open if its first connection ends.
	other := dial(t, s)
	id = p.openCursor(`{"find": "c", "batchSize": 2, "noCursorTimeout": true}`)
	p.nc.Close()
	other.expect(getMore(id, 1), `{"cursor": {"nextBatch": [{"_id": 2}]}}`)
	kill := bson.D{{Key: "killCursors", Value: "c"}, {Key: "cursors", Value: bson.A{id, int64(77)}}}
	other.expect(kill, fmt.Sprintf(`{"ok": 1, "cursorsKilled": [{"$numberLong": "%d"}], "cursorsNotFound": [77], "cursorsAlive": [], "cursorsUnknown": []}`, id))
	other.expect(getMore(id, 1), `{"ok": 0, "code": 43}`)
	other.expect(kill, fmt.Sprintf(`{"ok": 1, "cursorsKilled": [], "cursorsNotFound": [{"$numberLong": "%d"}, 77]}`, id))
	other.expect(`{"killCursors": 1, "cursors": []}`, `{"ok": 0, "code": 14}`)
	other.expect(`{"killCursors": "c", "cursors": [1]}`, `{"ok": 0, "code": 14}`)

	// A limit, a skip, a sort and a pipeline continue across batches.
	id = other.openCursor(`{"find": "c", "sort": {"_id": -1}, "skip": 1, "limit": 4, "batchSize": 2}`)
	other.expect(getMore(id, 5), `{"cursor": {"id": 0, "nextBatch": [{"_id": 246}, {"_id": 245}]}}`)
	id = other.openCursor(`{"aggregate": "c", "pipeline": [{"$match": {"a": 1}}, {"$project": {"a": 1}}], "cursor": {"batchSize": 1}}`)
	other.expect(getMore(id, 2), `{"cursor": {"nextBatch": [{"_id": 11}, {"_id": 21}]}}`)
	id = other.openCursor(`{"aggregate": "c", "pipeline": [{"$group": {"_id": "$a"}}, {"$sort": {"_id": 1}}], "cursor": {"batchSize": 0}}`)
	other.expect(getMore(id, 2), `{"cursor": {"nextBatch": [{"_id": 0}, {"_id": 1}]}}`)
}

// TestCursorReadsSnapshot checks that a cursor does not see updates, inserts,
// deletes or a drop of the collection after it was opened.
func TestCursorReadsSnapshot(t *testing.T) {
	s := startServer(t)
	p := dial(t, s)
	p.insertMany(1000)
	cursors := map[string]int64{
		"by _id":   p.openCursor(`{"find": "c", "sort": {"_id": 1}, "batchSize": 1}`),
		"unsorted": p.openCursor(`{"find": "c", "batchSize": 1}`),
		"filtered": p.openCursor(`{"find": "c", "filter": {"_id": {"$gte": 0}}, "batchSize": 1}`),
		"pipeline": p.openCursor(`{"aggregate": "c", "pipeline": [{"$match": {}}], "cursor": {"batchSize": 1}}`),
	}
	w := dial(t, s)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			w.expect(fmt.Sprintf(`{"update": "c", "updates": [{"q": {"a": %d}, "u": {"$set": {"a": -1, "pad": "xxxxxxxx"}}, "multi": true}]}`, i%10), `{"ok": 1}`)
			w.expect(fmt.Sprintf(`{"insert": "c", "documents": [{"_id": %d.5}]}`, i), `{"n": 1}`)
			w.expect(fmt.Sprintf(`{"delete": "c", "deletes": [{"q": {"_id": %d}, "limit": 1}]}`, 999-i), `{"ok": 1}`)
		}
	})
	for name, id := range cursors {
		n := 1
		for id != 0 {
			reply := p.expect(getMore(id, 10), `{"ok": 1}`)
			for _, doc := range valueAt(reply, "cursor.nextBatch").(bson.A) {
				if d := diff(bson.D{{Key: "_id", Value: n}, {Key: "a", Value: n % 10}, {Key: "pad", Value: "absent"}}, doc, ""); d != "" {
					t.Fatalf("%s: document %d: %s", name, n, d)
				}
				n++
			}
			id, _ = valueAt(reply, "cursor.id").(int64)
		}
		if n != 1000 {
			t.Errorf("%s: got %d documents, want 1000", name, n)
		}
	}
	close(stop)
	wg.Wait()
	id := p.openCursor(`{"find": "c", "batchSize": 1}`)
	w.expect(`{"drop": "c"}`, `{"ok": 1}`)
	reply := p.expect(getMore(id, 0), `{"ok": 1, "cursor": {"id": 0}}`)
	if n := len(valueAt(reply, "cursor.nextBatch").(bson.A)); n < 900 {
		t.Errorf("got %d documents after the drop, want at least 900", n)
	}
}

// TestConcurrentGetMoreReturnsEachDocumentOnce checks that each document goes to
// exactly one of several connections that read the same cursor. The others get
// CursorInUse, or CursorNotFound at the end.
func TestConcurrentGetMoreReturnsEachDocumentOnce(t *testing.T) {
	s := startServer(t)
	p := dial(t, s)
	p.insertMany(5000)
	id := p.openCursor(`{"find": "c", "filter": {"_id": {"$gte": 0}}, "batchSize": 1}`)
	var seen sync.Map
	var n atomic.Int32
	n.Add(1)
	var wg sync.WaitGroup
	for range 8 {
		p := dial(t, s)
		wg.Go(func() {
			for {
				reply := p.run(getMore(id, 7))
				switch code := lookup(reply, "code"); code {
				case nil:
				case int32(289):
					continue
				case int32(43):
					return
				default:
					t.Errorf("getMore: got %s, want a batch, CursorInUse or CursorNotFound", toJSON(reply))
					return
				}
				for _, doc := range valueAt(reply, "cursor.nextBatch").(bson.A) {
					if _, isDuplicate := seen.LoadOrStore(lookup(doc.(bson.D), "_id"), true); isDuplicate {
						t.Errorf("got %v twice, want it once", doc)
					}
					n.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n.Load() != 5000 {
		t.Errorf("got %d documents, want 5000", n.Load())
	}
}

// TestKillCursorsDuringGetMore checks that a cursor killed during a getMore no
// longer exists after that getMore.
func TestKillCursorsDuringGetMore(t *testing.T) {
	s := startServer(t)
	p, q := dial(t, s), dial(t, s)
	p.insertMany(30_000)
	for range 20 {
		id := p.openCursor(`{"find": "c", "filter": {"a": -1}, "batchSize": 0}`) // every getMore scans the whole collection
		p.sendCommand(getMore(id, 1))
		reply := q.run(bson.D{{Key: "killCursors", Value: "c"}, {Key: "cursors", Value: bson.A{id}}})
		got, err := p.receive()
		must(t, err)
		killed := len(lookup(reply, "cursorsKilled").(bson.A)) == 1
		if code := lookup(got, "code"); killed && code != nil && code != int32(237) && code != int32(43) {
			t.Errorf("getMore on a killed cursor: got %s, want success, CursorKilled or CursorNotFound", toJSON(got))
		}
		q.expect(getMore(id, 1), `{"ok": 0, "code": 43}`)
	}
}

func TestKillSessionsClosesCursors(t *testing.T) {
	p := dial(t, startServer(t))
	p.insertMany(10)
	find := func(session byte) int64 {
		return valueAt(p.run(bson.D{{Key: "find", Value: "c"}, {Key: "batchSize", Value: 1}, {Key: "lsid", Value: lsid(session)}}), "cursor.id").(int64)
	}
	one, two, none := find(1), find(2), p.openCursor(`{"find": "c", "batchSize": 1}`)
	p.expect(bson.D{{Key: "killSessions", Value: bson.A{lsid(1)}}}, `{"ok": 1}`)
	p.expect(getMore(one, 1), `{"ok": 0, "code": 43}`)
	p.expect(getMore(two, 1), `{"ok": 1}`)
	p.expect(`{"killAllSessions": [{"user": "me"}]}`, `{"ok": 0, "code": 238}`)
	p.expect(`{"killAllSessions": []}`, `{"ok": 1}`)
	p.expect(getMore(two, 1), `{"ok": 0, "code": 43}`)
	p.expect(getMore(none, 1), `{"ok": 1}`)
}

// TestFindLimitAcrossBatches checks that find returns limit documents, or all
// documents if there are fewer, even if they need several batches of 16 MiB.
func TestFindLimitAcrossBatches(t *testing.T) {
	coll := connect(t, startServer(t)).Database("test").Collection("c")
	ctx := testContext(t)
	docs := make([]any, 30)
	for i := range docs {
		docs[i] = bson.D{{Key: "_id", Value: i}, {Key: "pad", Value: make([]byte, 1<<20)}}
	}
	_, err := coll.InsertMany(ctx, docs)
	must(t, err)
	for _, limit := range []int64{16, 30, 50} {
		cur, err := coll.Find(ctx, bson.D{}, options.Find().SetLimit(limit))
		must(t, err)
		var got []bson.Raw
		must(t, cur.All(ctx, &got))
		if want := min(int(limit), len(docs)); len(got) != want {
			t.Errorf("limit %d: got %d documents, want %d", limit, len(got), want)
		}
	}
}
