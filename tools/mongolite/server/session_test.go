package server_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"boxoffice/tools/mongolite/server"
)

// lsid returns a session id of 16 bytes, each of which is n.
func lsid(n byte) bson.D {
	return bson.D{{Key: "id", Value: bson.Binary{Subtype: 4, Data: bytes.Repeat([]byte{n}, 16)}}}
}

// asRetryable returns the command as a retryable write of a session.
func asRetryable(t testing.TB, cmd string, session byte, txn int64) bson.D {
	return append(withDB(t, cmd), bson.E{Key: "lsid", Value: lsid(session)}, bson.E{Key: "txnNumber", Value: txn})
}

// TestRetryGetsFirstResult checks that a retry of a write, with the same session and
// transaction number, changes nothing and gets the same reply. That holds on the
// same connection, on another one and after a restart.
func TestRetryGetsFirstResult(t *testing.T) {
	cfg := server.Config{Data: t.TempDir(), TestCommands: true}
	s := startServerWith(t, cfg)
	p := dial(t, s)
	p.insertMany(10)
	type write struct{ cmd, reply string }
	writes := []write{
		{`{"insert": "c", "documents": [{"_id": 100}, {"_id": 101}]}`, `{"ok": 1, "n": 2, "writeErrors": "absent"}`},
		{`{"insert": "c", "documents": [{"_id": 102}, {"_id": 1}, {"_id": 103}]}`, `{"ok": 1, "n": 1, "writeErrors": [{"index": 1, "code": 11000}]}`},
		{`{"insert": "c", "ordered": false, "documents": [{"_id": 104}, {"_id": 1}, {"_id": 105}]}`, `{"ok": 1, "n": 2, "writeErrors": [{"index": 1}]}`},
		{`{"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}, {"q": {"_id": 2}, "u": {"$inc": {"n": 5}}}]}`, `{"ok": 1, "n": 2, "nModified": 2}`},
		{`{"update": "c", "updates": [{"q": {"k": "new"}, "u": {"$inc": {"n": 1}}, "upsert": true}]}`, `{"ok": 1, "n": 1, "nModified": 0, "upserted": [{"index": 0, "_id": "any"}]}`},
		{`{"update": "c", "updates": [{"q": {"_id": -1}, "u": {"$inc": {"n": 1}}}]}`, `{"ok": 1, "n": 0, "nModified": 0}`},
		{`{"delete": "c", "deletes": [{"q": {"a": 7}, "limit": 1}]}`, `{"ok": 1, "n": 1}`},
		{`{"findAndModify": "c", "query": {"_id": 3}, "update": {"$inc": {"n": 1}}}`, `{"ok": 1, "value": {"_id": 3, "a": 3, "n": "absent"}, "lastErrorObject": {"n": 1, "updatedExisting": true}}`},
		{`{"findAndModify": "c", "query": {"_id": 3}, "update": {"$inc": {"n": 1}}, "new": true, "fields": {"n": 1, "_id": 0}}`, `{"ok": 1, "value": {"n": 2, "_id": "absent", "a": "absent"}}`},
		{`{"findAndModify": "c", "query": {"_id": 4}, "remove": true}`, `{"ok": 1, "value": {"_id": 4, "a": 4}, "lastErrorObject": {"n": 1}}`},
		{`{"findAndModify": "c", "query": {"k": 6}, "update": {"$inc": {"n": 1}}, "upsert": true}`, `{"ok": 1, "value": null, "lastErrorObject": {"n": 1, "upserted": "any"}}`},
	}
	first := make([]bson.D, len(writes))
	for i, w := range writes {
		first[i] = p.expect(asRetryable(t, w.cmd, byte(i), 1), w.reply)
	}
	all := p.run(`{"find": "c"}`)
	retryAll := func(p *rawConn, where string) {
		t.Helper()
		for i, w := range writes {
			if got := p.run(asRetryable(t, w.cmd, byte(i), 1)); toJSON(got) != toJSON(first[i]) {
				t.Errorf("%s: retry of %s\n got %s\n want %s", where, w.cmd, toJSON(got), toJSON(first[i]))
			}
		}
		if now := p.run(`{"find": "c"}`); toJSON(now) != toJSON(all) {
			t.Errorf("%s: documents after the retries:\n got %s\n want %s", where, toJSON(now), toJSON(all))
		}
	}
	retryAll(p, "same connection")
	retryAll(dial(t, s), "another connection")
	must(t, s.Close())
	cfg.Listen = s.Addr()
	s = startServerWith(t, cfg)
	p = dial(t, s)
	retryAll(p, "after a restart")

	// A retry runs the statements that failed before.
	p.expect(asRetryable(t, `{"delete": "c", "deletes": [{"q": {"_id": 1}, "limit": 1}]}`, 99, 1), `{"n": 1}`)
	p.expect(asRetryable(t, writes[1].cmd, 1, 1), `{"ok": 1, "n": 3, "writeErrors": "absent"}`)
	p.expect(`{"count": "c", "query": {"_id": {"$in": [1, 102, 103]}}}`, `{"n": 3}`)

	// A larger txnNumber is a new write. After that, a smaller one is too old.
	p.expect(asRetryable(t, writes[3].cmd, 3, 2), `{"ok": 1, "n": 2}`)
	p.expect(asRetryable(t, writes[3].cmd, 3, 1), `{"ok": 0, "code": 225, "codeName": "TransactionTooOld",
		"errmsg": "Retryable write with txnNumber 1 is prohibited on the session because a newer retryable write with txnNumber 2 has already started on it"}`)
	must(t, s.Close())
	p = dial(t, startServerWith(t, cfg))
	p.expect(asRetryable(t, writes[3].cmd, 3, 1), `{"ok": 0, "code": 225}`) // still too old after a restart
	p.expect(asRetryable(t, writes[3].cmd, 3, 2), `{"ok": 1, "n": 2}`)
	p.expect(`{"find": "c", "filter": {"_id": 2}}`, `{"cursor": {"firstBatch": [{"n": 10}]}}`)
}

func TestInvalidRetryableWritesAreRejected(t *testing.T) {
	p := dial(t, startServer(t))
	p.expectAll([][2]string{
		{`{"insert": "c", "documents": [{}], "txnNumber": {"$numberLong": "1"}}`, `{"ok": 0, "code": 72, "errmsg": "Transaction number requires a session ID to also be specified"}`},
	}...)
	p.expect(asRetryable(t, `{"find": "c"}`, 1, 1), `{"ok": 0, "code": 263, "codeName": "OperationNotSupportedInTransaction"}`)
	p.expect(asRetryable(t, `{"aggregate": "c", "pipeline": [{"$out": "d"}], "cursor": {}}`, 1, 1), `{"ok": 0, "code": 263}`)
	p.expect(asRetryable(t, `{"create": "c"}`, 1, 1), `{"ok": 0, "code": 263}`)
	p.expect(asRetryable(t, `{"update": "c", "updates": [{"q": {}, "u": {"$set": {"a": 1}}, "multi": true}]}`, 1, 1), `{"ok": 0, "code": 72}`)
	p.expect(asRetryable(t, `{"delete": "c", "deletes": [{"q": {}, "limit": 0}]}`, 1, 1), `{"ok": 0, "code": 72}`)
	p.expect(asRetryable(t, `{"insert": "c", "documents": [{}]}`, 1, -1), `{"ok": 0, "code": 51024}`)
}

// TestConcurrentRetriesRunOnce checks that a write that several connections send
// concurrently runs once, and that all of them get its result.
func TestConcurrentRetriesRunOnce(t *testing.T) {
	s := startServer(t)
	peers := make([]*rawConn, 8)
	for i := range peers {
		peers[i] = dial(t, s)
	}
	peers[0].expect(`{"insert": "c", "documents": [{"_id": 1, "n": 0}]}`, `{"n": 1}`)
	const rounds = 100
	for round := range rounds {
		cmd := asRetryable(t, `{"findAndModify": "c", "query": {"_id": 1}, "update": {"$inc": {"n": 1}}}`, 1, int64(round))
		replies := make([]bson.D, len(peers))
		var wg sync.WaitGroup
		for i, p := range peers {
			wg.Go(func() { replies[i] = p.run(cmd) })
		}
		wg.Wait()
		for _, r := range replies {
			if valueAt(r, "value.n") != int32(round) {
				t.Fatalf("round %d: got %s, want n = %d in the value", round, toJSON(r), round)
			}
		}
	}
	peers[0].expect(`{"find": "c"}`, fmt.Sprintf(`{"cursor": {"firstBatch": [{"n": %d}]}}`, rounds))
}

// TestRetryWaitsForRunningWrite checks that a retry waits for the first attempt. The
// first attempt is kept waiting by a third write, which holds the collection's lock.
func TestRetryWaitsForRunningWrite(t *testing.T) {
	s := startServer(t)
	slow, first, retry := dial(t, s), dial(t, s), dial(t, s)
	slow.insertMany(20_000)
	slow.sendCommand(`{"update": "c", "updates": [{"q": {}, "u": {"$set": {"b": 1}}, "multi": true}]}`)
	cmd := asRetryable(t, `{"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}]}`, 1, 1)
	first.sendCommand(cmd)
	retry.sendCommand(cmd)
	reader := dial(t, s)
	for _, p := range []*rawConn{slow, first, retry} {
		p.expectReply(`{"ok": 1, "n": "any", "nModified": "any"}`)
	}
	reader.expect(`{"find": "c", "filter": {"_id": 1}}`, `{"cursor": {"firstBatch": [{"n": 1, "b": 1}]}}`)
}

func TestEndSessionsDiscardsResults(t *testing.T) {
	p := dial(t, startServer(t))
	insert := `{"insert": "c", "documents": [{"_id": 1}]}`
	p.expect(asRetryable(t, insert, 1, 5), `{"n": 1}`)
	p.expect(asRetryable(t, insert, 1, 5), `{"n": 1}`)
	p.expect(bson.D{{Key: "refreshSessions", Value: bson.A{lsid(1), lsid(2)}}}, `{"ok": 1}`)
	p.expect(asRetryable(t, insert, 1, 5), `{"n": 1}`)
	p.expect(bson.D{{Key: "endSessions", Value: bson.A{lsid(1), lsid(2)}}}, `{"ok": 1}`)
	p.expect(asRetryable(t, insert, 1, 5), `{"n": 0, "writeErrors": [{"code": 11000}]}`) // runs again: its result was discarded
	p.expect(asRetryable(t, `{"insert": "c", "documents": [{"_id": 2}]}`, 1, 1), `{"ok": 0, "code": 225}`)
	p.expectAll([][2]string{
		{`{"endSessions": []}`, `{"ok": 1}`},
		{`{"endSessions": 1}`, `{"ok": 0, "code": 14}`},
		{`{"endSessions": [1]}`, `{"ok": 0, "code": 14}`},
		{`{"endSessions": [{"id": 1}]}`, `{"ok": 0, "code": 14}`},
	}...)
}
