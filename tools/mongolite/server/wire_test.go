package server_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

const (
	mib         = 1 << 20
	maxDocument = 16 * mib
	maxMessage  = 48_000_000
)

// queryMessage returns an OP_QUERY message for one document.
func queryMessage(t testing.TB, id uint32, ns string, doc any) []byte {
	body := append([]byte{0, 0, 0, 0}, ns...)
	body = append(body, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff)
	return frame(id, opQuery, append(body, encode(t, doc)...))
}

// runQuery sends an OP_QUERY and returns the document of its OP_REPLY.
func (p *rawConn) runQuery(ns string, doc any) bson.D {
	p.t.Helper()
	p.id++
	p.write(queryMessage(p.t, p.id, ns, doc))
	op, body, err := p.read()
	if err != nil {
		p.t.Fatal(err)
	}
	if n := binary.LittleEndian.Uint32(body[16:]); op != opReply || n != 1 {
		p.t.Fatalf("got opcode %d with %d documents, want an OP_REPLY with 1", op, n)
	}
	var d bson.D
	if err := bson.Unmarshal(body[20:], &d); err != nil {
		p.t.Fatal(err)
	}
	return d
}

func TestHello(t *testing.T) {
	s := startServer(t)
	p := dial(t, s)
	want := fmt.Sprintf(`{"ok": 1, "secondary": false, "setName": "mongolite", "hosts": [%[1]q], "primary": %[1]q, "me": %[1]q,
		"maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 100000, "minWireVersion": 0,
		"maxWireVersion": 21, "logicalSessionTimeoutMinutes": 30, "readOnly": false, "topologyVersion": "absent"}`, s.Addr())
	for _, name := range []string{"isMaster", "ismaster"} {
		reply := p.runQuery("admin.$cmd", bson.D{{Key: name, Value: 1}, {Key: "helloOk", Value: true}})
		if d := diff(parse(t, want), reply, ""); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if lookup(reply, "ismaster") != true || lookup(reply, "helloOk") != true {
			t.Errorf("%s: got %s, want ismaster and helloOk true", name, toJSON(reply))
		}
		p.expect(`{"`+name+`": 1}`, `{"ismaster": true}`)
	}
	p.expect(`{"hello": 1}`, want)
	p.expect(`{"hello": 1, "client": {"application": {"name": "test"}}, "compression": ["zlib"], "helloOk": true}`, `{"isWritablePrimary": true, "helloOk": true, "compression": "absent"}`)
	p.expect(`{"hello": 1, "topologyVersion": {"counter": 1}}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support hello.topologyVersion"}`)
	p.expect(`{"hello": 1, "backpressure": true, "nonsense": 1}`, `{"ok": 1, "setName": "mongolite"}`) // newer drivers may offer more
	a, b := dial(t, s), dial(t, s)
	if x, y := lookup(a.run(`{"hello": 1}`), "connectionId"), lookup(b.run(`{"hello": 1}`), "connectionId"); x == y {
		t.Errorf("two connections have the connectionId %v, want different ones", x)
	}
}

func TestOpQueryIsForHandshakesOnly(t *testing.T) {
	p := dial(t, startServer(t))
	reply := p.runQuery("test.$cmd", `{"find": "c"}`)
	if d := diff(parse(t, `{"ok": 0, "code": 352, "errmsg": "Unsupported OP_QUERY command: find...", "codeName": "UnsupportedOpQueryCommand"}`), reply, ""); d != "" {
		t.Error(d)
	}
	if reply := p.runQuery("admin.$cmd", `{"buildInfo": 1}`); lookup(reply, "version") != "7.0.0" {
		t.Errorf("buildInfo: got %s, want version 7.0.0", toJSON(reply))
	}
	p.expect(`{"ping": 1}`, `{"ok": 1}`)
}

func TestDocumentSequences(t *testing.T) {
	p := dial(t, startServer(t))
	// The sequence may come before or after the body.
	p.send(0, sequenceSection(t, "documents", `{"_id": 1}`, `{"_id": 2}`), bodySection(t, `{"insert": "c", "$db": "test"}`))
	p.expectReply(`{"ok": 1, "n": 2}`)
	p.send(0, bodySection(t, `{"update": "c", "$db": "test"}`), sequenceSection(t, "updates", `{"q": {"_id": 1}, "u": {"$set": {"a": 1}}}`))
	p.expectReply(`{"ok": 1, "n": 1, "nModified": 1}`)
	p.send(0, bodySection(t, `{"delete": "c", "$db": "test"}`), sequenceSection(t, "deletes", `{"q": {}, "limit": 0}`))
	p.expectReply(`{"ok": 1, "n": 2}`)

	p.send(0, bodySection(t, `{"insert": "c", "$db": "test"}`), sequenceSection(t, "more", `{"_id": 1}`))
	p.expectReply(`{"ok": 0, "code": 40415, "errmsg": "BSON field 'insert.more' is an unknown field."}`)
	p.send(0, bodySection(t, `{"find": "c", "$db": "test"}`), sequenceSection(t, "filter", `{"_id": 1}`))
	p.expectReply(`{"ok": 0, "code": 40415, "errmsg": "BSON field 'find.filter' is an unknown field."}`)
	p.send(0, bodySection(t, `{"insert": "c", "documents": [{"_id": 1}], "$db": "test"}`), sequenceSection(t, "documents", `{"_id": 2}`))
	p.expectReply(`{"ok": 0, "code": 40413, "errmsg": "BSON field 'insert.documents' is a duplicate field"}`)
	p.send(0, bodySection(t, `{"insert": "c", "$db": "test"}`), sequenceSection(t, "documents"))
	p.expectReply(`{"ok": 0, "code": 16, "errmsg": "Write batch sizes must be between 1 and 100000. Got 0 operations."}`)
	p.expect(`{"count": "c"}`, `{"n": 0}`)
}

// withChecksum returns msg with a CRC-32C checksum appended.
func withChecksum(msg []byte) []byte {
	binary.LittleEndian.PutUint32(msg, uint32(len(msg)+4))
	return binary.LittleEndian.AppendUint32(msg, crc32.Checksum(msg, crc32.MakeTable(crc32.Castagnoli)))
}

func TestChecksums(t *testing.T) {
	s := startServer(t)
	p := dial(t, s)
	p.id = 5
	msg := withChecksum(frame(5, opMsg, append([]byte{checksumPresent, 0, 0, 0}, bodySection(t, `{"ping": 1, "$db": "admin"}`)...)))
	p.write(msg)
	_, body, err := p.read()
	must(t, err)
	if binary.LittleEndian.Uint32(body) != checksumPresent {
		t.Fatalf("got flags % x, want checksumPresent", body[:4])
	}
	var reply bson.D
	must(t, bson.Unmarshal(body[5:len(body)-4], &reply))
	if lookup(reply, "ok") != 1.0 {
		t.Errorf("ping: got %s, want ok", toJSON(reply))
	}
	msg[20]++
	p.write(msg)
	p.expectClosed()
}

func TestMoreToComeGetsNoReply(t *testing.T) {
	p := dial(t, startServer(t))
	for i := range 50 {
		p.send(moreToCome, bodySection(t, bson.D{{Key: "insert", Value: "c"}, {Key: "$db", Value: "test"},
			{Key: "writeConcern", Value: bson.D{{Key: "w", Value: 0}}}, {Key: "documents", Value: bson.A{bson.D{{Key: "_id", Value: i}}}}}))
	}
	p.send(moreToCome, bodySection(t, `{"insert": "c", "$db": "test", "documents": [{"_id": 1}]}`)) // fails without a reply
	p.send(moreToCome, bodySection(t, `{"nonsense": 1, "$db": "test"}`))
	p.expect(`{"count": "c"}`, `{"ok": 1, "n": 50}`)
}

// TestMalformedMessageEndsItsConnection checks that the server closes a connection on
// which it receives bytes that are not a message, and keeps all others.
func TestMalformedMessageEndsItsConnection(t *testing.T) {
	s := startServer(t)
	other := dial(t, s)
	other.expect(`{"insert": "c", "documents": [{"_id": 1}]}`, `{"n": 1}`)
	ping := bodySection(t, `{"ping": 1, "$db": "admin"}`)
	good := frame(1, opMsg, append([]byte{0, 0, 0, 0}, ping...))
	edit := func(at int, b byte) []byte {
		msg := bytes.Clone(good)
		msg[at] = b
		return msg
	}
	length := func(n uint32) []byte {
		msg := bytes.Clone(good)
		binary.LittleEndian.PutUint32(msg, n)
		return msg
	}
	for name, msg := range map[string][]byte{
		"HTTP":                     []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"TLS":                      {0x16, 0x03, 0x01, 0x02, 0x00, 1, 0, 1, 0xfc, 3, 3, 9, 9, 9, 9, 9},
		"length 0":                 length(0),
		"length 15":                length(15),
		"length over the limit":    length(maxMessage + 1),
		"negative length":          length(1 << 31),
		"unknown opcode":           edit(12, 0xff),
		"OP_INSERT":                frame(1, 2002, []byte{0, 0, 0, 0, 'a', '.', 'b', 0, 5, 0, 0, 0, 0}),
		"OP_COMPRESSED":            frame(1, 2012, []byte{0xdd, 7, 0, 0, 1, 0, 0, 0, 2, 0}),
		"unknown required flag":    edit(16, 0x80),
		"no body":                  frame(1, opMsg, []byte{0, 0, 0, 0}),
		"two bodies":               frame(1, opMsg, append(append([]byte{0, 0, 0, 0}, ping...), ping...)),
		"truncated body":           frame(1, opMsg, append([]byte{0, 0, 0, 0}, ping[:len(ping)-1]...)),
		"section past the end":     frame(1, opMsg, append(append([]byte{0, 0, 0, 0}, ping...), 1, 255, 0, 0, 0, 'a', 0)),
		"OP_QUERY of a collection": queryMessage(t, 1, "test.c", `{}`),
	} {
		p := dial(t, s)
		p.id = 1
		p.write(msg)
		p.expectClosed()
		if t.Failed() {
			t.Fatalf("message: %s", name)
		}
		other.expect(`{"count": "c"}`, `{"n": 1}`)
	}
	for cut := range len(good) { // the client disconnects inside a message
		p := dial(t, s)
		p.write(good[:cut])
		p.nc.Close()
	}
	other.expect(`{"count": "c"}`, `{"n": 1}`)
}

// TestMalformedDocumentIsRejected checks that a well-framed message with malformed
// BSON gets an error reply and that the connection stays open.
func TestMalformedDocumentIsRejected(t *testing.T) {
	p := dial(t, startServer(t))
	doc := encode(t, `{"ping": 1, "x": {"y": "text"}, "$db": "test"}`)
	at := bytes.Index(doc, []byte("text\x00"))
	for name, change := range map[string]func(d []byte){
		"string length":     func(d []byte) { d[at-4]++ },
		"string terminator": func(d []byte) { d[at+4] = 1 },
		"unknown type":      func(d []byte) { d[4] = 0x55 },
		"document length":   func(d []byte) { d[bytes.Index(d, []byte("x\x00"))+2]++ },
	} {
		broken := bytes.Clone(doc)
		change(broken)
		p.send(0, append([]byte{0}, broken...))
		reply, err := p.receive()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if lookup(reply, "code") != int32(22) {
			t.Errorf("%s: got %s, want code 22", name, toJSON(reply))
		}
	}
	for _, n := range []int{0, 50, 150} { // nesting levels, in addition to those of the command
		p.expect(bson.D{{Key: "insert", Value: "c"}, {Key: "documents", Value: bson.A{bson.D{{Key: "_id", Value: n}, {Key: "a", Value: nested(n)}}}}}, `{"ok": 1, "n": 1, "writeErrors": "absent"}`)
		p.expect(bson.D{{Key: "find", Value: "c"}, {Key: "filter", Value: bson.D{{Key: "_id", Value: n}}}}, `{"ok": 1}`)
	}
	for _, n := range []int{181, 5000} {
		p.expect(bson.D{{Key: "insert", Value: "c"}, {Key: "documents", Value: bson.A{nested(n)}}}, `{"ok": 0, "code": 22}`)
	}
	// A million levels of nesting in 7 MB.
	deep := make([]byte, 7_000_000)
	for i, left := 0, len(deep); left > 12; i, left = i+7, left-8 {
		binary.LittleEndian.PutUint32(deep[i:], uint32(left))
		deep[i+4], deep[i+5] = 3, 'a'
	}
	p.send(0, append([]byte{0}, deep...))
	p.expectReply(`{"ok": 0, "code": 22}`)
	p.expect(`{"ping": 1}`, `{"ok": 1}`)
}

// nested returns a value inside n levels of documents.
func nested(n int) any {
	var v any = int32(1)
	for range n {
		v = bson.D{{Key: "a", Value: v}}
	}
	return v
}

// docOfSize returns a document of exactly n bytes.
func docOfSize(t testing.TB, id, n int) bson.D {
	d := bson.D{{Key: "_id", Value: int32(id)}, {Key: "s", Value: ""}}
	d[1].Value = strings.Repeat("x", n-len(encode(t, d)))
	return d
}

func TestMaxDocumentSize(t *testing.T) {
	p := dial(t, startServer(t))
	insert := func(doc bson.D, want string) {
		t.Helper()
		p.send(0, bodySection(t, `{"insert": "c", "$db": "test"}`), sequenceSection(t, "documents", doc))
		p.expectReply(want)
	}
	insert(docOfSize(t, 1, maxDocument), `{"ok": 1, "n": 1, "writeErrors": "absent"}`)
	insert(docOfSize(t, 2, maxDocument+1), `{"ok": 1, "n": 0, "writeErrors": [{"index": 0, "code": 2, "errmsg": "object to insert too large..."}]}`)
	reply := p.expect(`{"find": "c"}`, `{"ok": 1, "cursor": {"id": 0}}`)
	first, _ := valueAt(reply, "cursor.firstBatch").(bson.A)
	if len(first) != 1 || len(encode(t, first[0].(bson.D))) != maxDocument {
		t.Errorf("got %d documents, want one of %d bytes", len(first), maxDocument)
	}
	// The limit also applies to the results of updates and pipelines.
	p.expect(`{"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$set": {"more": 1}}}]}`, `{"ok": 1, "n": 0, "writeErrors": [{"code": 10334}]}`)
	p.expect(`{"findAndModify": "c", "query": {"_id": 1}, "update": {"$set": {"more": 1}}}`, `{"ok": 0, "code": 10334}`)
	p.expect(`{"aggregate": "c", "cursor": {}, "pipeline": [{"$group": {"_id": null, "all": {"$push": "$$ROOT"}}}]}`, `{"ok": 0, "code": 10334}`)
	insert(docOfSize(t, 3, 9*mib), `{"n": 1}`)
	p.expect(`{"distinct": "c", "key": "s"}`, `{"ok": 0, "code": 17217, "errmsg": "distinct too big, 16mb cap"}`)
	p.expect(`{"delete": "c", "deletes": [{"q": {"s": {"$type": "string"}}, "limit": 0}]}`, `{"ok": 1, "n": 2}`)
}

func TestMaxMessageSize(t *testing.T) {
	p := dial(t, startServer(t))
	head := bodySection(t, `{"insert": "c", "$db": "test"}`)
	rest := maxMessage - 16 - 4 - len(head) - 1 - 4 - len("documents\x00")
	third := rest / 3
	seq := sequenceSection(t, "documents", docOfSize(t, 1, third), docOfSize(t, 2, third), docOfSize(t, 3, rest-2*third))
	p.send(0, head, seq)
	p.expectReply(`{"ok": 1, "n": 3}`)
	p.expect(`{"count": "c"}`, `{"n": 3}`)
	p.send(0, head, seq, []byte{})
	p.expectReply(`{"ok": 1, "n": 0, "writeErrors": [{"code": 11000, "keyPattern": {"_id": 1}, "keyValue": {"_id": 1}}]}`)

	// A header that announces one more byte is rejected before the body arrives.
	msg := frame(9, opMsg, nil)
	binary.LittleEndian.PutUint32(msg, maxMessage+1)
	p.write(msg)
	p.expectClosed()
}

// TestBatchEndsAt16MiB checks that a batch has as many documents as fit in a reply.
func TestBatchEndsAt16MiB(t *testing.T) {
	p := dial(t, startServer(t))
	const each = 5 * mib
	for i := range 5 {
		p.send(0, bodySection(t, `{"insert": "c", "$db": "test"}`), sequenceSection(t, "documents", docOfSize(t, i, each)))
		p.expectReply(`{"n": 1}`)
	}
	reply := p.expect(`{"find": "c", "batchSize": 1000}`, `{"ok": 1}`)
	first, _ := valueAt(reply, "cursor.firstBatch").(bson.A)
	id, _ := valueAt(reply, "cursor.id").(int64)
	if len(first) != 3 || id == 0 {
		t.Fatalf("got %d documents and cursor id %d, want 3 and not 0", len(first), id)
	}
	reply = p.expect(bson.D{{Key: "getMore", Value: id}, {Key: "collection", Value: "c"}}, `{"ok": 1, "cursor": {"id": 0}}`)
	if next, _ := valueAt(reply, "cursor.nextBatch").(bson.A); len(next) != 2 {
		t.Errorf("got %d documents in the next batch, want 2", len(next))
	}
}
