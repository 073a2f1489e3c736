package server_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestUnknownCommandsAndFieldsAreRejected(t *testing.T) {
	s := startServerWith(t, configWithoutTestCommands(t))
	p := dial(t, s)
	p.expectAll([][2]string{
		{`{"nonsense": 1}`, `{"ok": 0, "code": 59, "codeName": "CommandNotFound", "errmsg": "no such command: 'nonsense'"}`},
		{`{"configureFailPoint": "failCommand", "mode": "off"}`, `{"ok": 0, "code": 59, "errmsg": "no such command: 'configureFailPoint'"}`},
		{`{"getParameter": 1, "enableTestCommands": 1}`, `{"ok": 1, "enableTestCommands": false}`},
		{`{"saslStart": 1, "mechanism": "SCRAM-SHA-256"}`, `{"ok": 0, "code": 59}`},
		{`{"find": "c", "nonsense": 1}`, `{"ok": 0, "code": 40415, "codeName": "Location40415", "errmsg": "BSON field 'find.nonsense' is an unknown field."}`},
		{`{"find": "c", "filter": {}, "filter": {"a": 1}}`, `{"ok": 0, "code": 40413}`},
		{`{"update": "c", "updates": [{"q": {}, "u": {}, "nonsense": 1}]}`, `{"ok": 0, "code": 40415, "errmsg": "BSON field 'update.updates.nonsense' is an unknown field."}`},
		{`{"delete": "c", "deletes": [{"q": {}, "limit": 0, "nonsense": 1}]}`, `{"ok": 0, "code": 40415, "errmsg": "BSON field 'delete.deletes.nonsense' is an unknown field."}`},
		{`{"createIndexes": "c", "indexes": [{"key": {"a": 1}, "name": "a", "nonsense": 1}]}`, `{"ok": 0, "code": 197, "errmsg": "The field 'nonsense' is not valid for an index specification."}`},
		{`{"aggregate": "c", "pipeline": [], "cursor": {"nonsense": 1}}`, `{"ok": 0, "code": 40415, "errmsg": "BSON field 'cursor.nonsense' is an unknown field."}`},
		{`{"aggregate": "c", "pipeline": [{"$nonsense": 1}], "cursor": {}}`, `{"ok": 0, "code": 40324, "errmsg": "Unrecognized pipeline stage name: '$nonsense'"}`},
		{`{"find": "c", "filter": {"$nonsense": 1}}`, `{"ok": 0, "code": 2}`},
		{`{"find": "c", "filter": {"a": {"$nonsense": 1}}}`, `{"ok": 0, "code": 2, "errmsg": "unknown operator: $nonsense"}`},
		{`{"find": "c", "writeConcern": {"w": 1}}`, `{"ok": 0, "code": 72, "errmsg": "Command does not support writeConcern"}`},
		{`{"find": "c", "apiVersion": "2"}`, `{"ok": 0, "code": 322}`},
		{`{"ping": 1, "lsid": {"id": 1}}`, `{"ok": 0, "code": 14}`},
		{`{"ping": 1, "lsid": {"id": {"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAA==", "subType": "04"}}, "nonsense": 1}}`, `{"ok": 0, "code": 40415}`},
		{`{"ping": 1, "comment": {"any": ["thing"]}}`, `{"ok": 1}`},
		{`{"ping": 1}`, `{"ok": 1}`},
	}...)
}

func TestInvalidNamespacesAreRejected(t *testing.T) {
	p := dial(t, startServer(t))
	p.send(0, bodySection(t, `{"dropDatabase": 1}`))
	p.expectReply(`{"ok": 0, "code": 40571, "errmsg": "OP_MSG requests require a $db argument"}`)
	for _, db := range []string{"", "a b", "a.b", "a/b", `a\b`, "a$b", `a"b`, strings.Repeat("x", 64)} {
		p.expect(fmt.Sprintf(`{"find": "c", "$db": %q}`, db), `{"ok": 0, "code": 73, "codeName": "InvalidNamespace"}`)
	}
	p.expect(`{"find": "c", "$db": 1}`, `{"ok": 0, "code": 14}`)
	for _, coll := range []string{`""`, `".a"`, `"a."`, `"a$b"`, `"a\u0000b"`, `1`, `{}`, `"` + strings.Repeat("x", 300) + `"`} {
		p.expect(`{"find": `+coll+`}`, `{"ok": 0, "code": 73}`)
		p.expect(`{"insert": `+coll+`, "documents": [{"_id": 1}]}`, `{"ok": 0, "code": 73}`)
	}
	p.expect(`{"find": "system.users"}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support system collections (test.system.users)"}`)
	for _, cmd := range []string{"listDatabases", "getParameter", "configureFailPoint", "commitTransaction"} {
		p.expect(fmt.Sprintf(`{%q: 1, "$db": "test"}`, cmd), fmt.Sprintf(`{"ok": 0, "code": 13, "errmsg": "%s may only be run against the admin database."}`, cmd))
	}
}

// TestTransactionsAreRejected checks the error for the first and for a later
// statement of a transaction, and for its commit and abort.
func TestTransactionsAreRejected(t *testing.T) {
	p := dial(t, startServer(t))
	txn := `"lsid": {"id": {"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAA==", "subType": "04"}}}, "txnNumber": {"$numberLong": "1"}, "autocommit": false`
	p.expectAll([][2]string{
		{`{"insert": "c", "documents": [{"_id": 1}], "startTransaction": true, ` + txn + `}`, `{"ok": 0, "code": 238, "codeName": "NotImplemented", "errmsg": "mongolite does not support insert.startTransaction"}`},
		{`{"insert": "c", "documents": [{"_id": 1}], ` + txn + `}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support insert.autocommit"}`},
		{`{"find": "c", "startTransaction": true, ` + txn + `}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support find.startTransaction"}`},
		{`{"commitTransaction": 1}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support multi-document transactions (commitTransaction)"}`},
		{`{"abortTransaction": 1}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support multi-document transactions (abortTransaction)"}`},
		{`{"count": "c"}`, `{"n": 0}`},
	}...)
}

func TestReadAndWriteConcerns(t *testing.T) {
	p := dial(t, startServer(t))
	insert := func(id int, wc string) string {
		return fmt.Sprintf(`{"insert": "c", "documents": [{"_id": %d}], "writeConcern": %s}`, id, wc)
	}
	for i, wc := range []string{`{}`, `{"w": 0}`, `{"w": 1}`, `{"w": 1.0, "j": true}`, `{"w": "majority", "wtimeout": 1000}`, `{"j": false}`, `{"fsync": true}`} {
		p.expect(insert(i, wc), `{"ok": 1, "n": 1, "writeConcernError": "absent"}`)
	}
	p.expectAll([][2]string{
		{insert(12, `{"w": 2}`), `{"ok": 1, "n": 1, "writeConcernError": {"code": 100, "codeName": "UnsatisfiableWriteConcern", "errmsg": "Not enough data-bearing nodes"}}`},
		{insert(13, `{"w": "mars"}`), `{"ok": 1, "n": 1, "writeConcernError": {"code": 79, "codeName": "UnknownReplWriteConcern", "errmsg": "No write concern mode named 'mars' found in replica set configuration"}}`},
		{insert(13, `{"w": 2}`), `{"ok": 1, "n": 0, "writeErrors": [{"code": 11000}], "writeConcernError": {"code": 100}}`},
		{insert(14, `{"w": 51}`), `{"ok": 0, "code": 9}`},
		{insert(14, `{"w": -1}`), `{"ok": 0, "code": 9}`},
		{insert(14, `{"w": {"dc": 1}}`), `{"ok": 0, "code": 238, "errmsg": "mongolite does not support writeConcern.w of type object"}`},
		{insert(14, `{"nonsense": 1}`), `{"ok": 0, "code": 40415}`},
		{insert(14, `1`), `{"ok": 0, "code": 14}`},
		{`{"count": "c"}`, `{"n": 9}`},
		{`{"create": "d", "writeConcern": {"w": 3}}`, `{"ok": 1, "writeConcernError": {"code": 100}}`},
		{`{"aggregate": "c", "pipeline": [{"$out": "d"}], "cursor": {}, "writeConcern": {"w": 3}}`, `{"ok": 1, "writeConcernError": {"code": 100}}`},
		{`{"aggregate": "c", "pipeline": [{"$count": "n"}], "cursor": {}, "writeConcern": {"w": 3}}`, `{"ok": 1, "writeConcernError": "absent"}`},
		{`{"drop": "d", "writeConcern": {"w": 3}}`, `{"ok": 1, "writeConcernError": {"code": 100}}`},
	}...)
	for _, level := range []string{"local", "available", "majority", "linearizable"} {
		p.expect(fmt.Sprintf(`{"find": "c", "filter": {"_id": 12}, "readConcern": {"level": %q}}`, level), `{"ok": 1, "cursor": {"firstBatch": [{"_id": 12}]}}`)
	}
	p.expectAll([][2]string{
		{`{"find": "c", "readConcern": {}}`, `{"ok": 1}`},
		{`{"find": "c", "readConcern": {"level": "snapshot"}}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support readConcern level snapshot"}`},
		{`{"aggregate": "c", "pipeline": [{"$out": "d"}], "cursor": {}, "readConcern": {"level": "linearizable"}}`, `{"ok": 0, "code": 72}`},
		{`{"find": "c", "readConcern": {"level": "mars"}}`, `{"ok": 0, "code": 9}`},
		{`{"find": "c", "readConcern": {"level": "local", "afterClusterTime": {"$timestamp": {"t": 1, "i": 1}}}}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support readConcern.afterClusterTime"}`},
	}...)
}

func TestMaxTimeMSInterruptsCommands(t *testing.T) {
	p := dial(t, startServer(t))
	p.insertMany(3000)
	p.expectAll([][2]string{
		{`{"find": "c", "maxTimeMS": 0}`, `{"ok": 1}`},
		{`{"find": "c", "maxTimeMS": 60000}`, `{"ok": 1}`},
		{`{"find": "c", "maxTimeMS": -1}`, `{"ok": 0, "code": 51024}`},
		{`{"find": "c", "maxTimeMS": {"$numberLong": "9223372036854775807"}}`, `{"ok": 0, "code": 2}`},
		{`{"find": "c", "maxTimeMS": "1"}`, `{"ok": 0, "code": 14}`},
	}...)
	for _, cmd := range []string{
		`{"find": "c", "filter": {"a": 1}, "maxTimeMS": 20}`,
		`{"count": "c", "query": {"a": 1}, "maxTimeMS": 20}`,
		`{"distinct": "c", "key": "a", "maxTimeMS": 20}`,
		`{"aggregate": "c", "pipeline": [{"$match": {"a": 1}}], "cursor": {}, "maxTimeMS": 20}`,
		`{"update": "c", "updates": [{"q": {}, "u": {"$set": {"b": 1}}, "multi": true}], "maxTimeMS": 20}`,
		`{"delete": "c", "deletes": [{"q": {"a": 1}, "limit": 0}], "maxTimeMS": 20}`,
		`{"insert": "c", "documents": [{"_id": -1}], "maxTimeMS": 20}`,
		`{"findAndModify": "c", "query": {"a": 1}, "remove": true, "maxTimeMS": 20}`,
	} {
		name := parse(t, cmd)[0].Key
		p.expect(fmt.Sprintf(`{"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": {"failCommands": [%q], "blockConnection": true, "blockTimeMS": 60000}}`, name), `{"ok": 1}`)
		p.expect(cmd, `{"ok": 0, "code": 50, "codeName": "MaxTimeMSExpired", "errmsg": "operation exceeded time limit"}`)
	}
	p.expect(`{"count": "c", "query": {"b": {"$exists": false}}}`, `{"n": 3000}`)
}
