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

func queryMessage(t testing.TB, id uint32, ns string, doc any) []byte {
	body := append([]byte{0, 0, 0, 0}, ns...)
	body = append(body, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff)
	return frame(id, opQuery, append(body, encode(t, doc)...))
}

// askQuery sends an OP_QUERY and returns the document of the OP_REPLY.
func (p *peer) askQuery(ns string, doc any) bson.D {
	p.t.Helper()
	p.id++
	p.write(queryMessage(p.t, p.id, ns, doc))
	op, body, err := p.read()
	if err != nil {
		p.t.Fatal(err)
	}
	if number := binary.LittleEndian.Uint32(body[16:]); op != opReply || number != 1 {
		p.t.Fatalf("opcode %d with %d documents", op, number)
	}
	var d bson.D
	if err := bson.Unmarshal(body[20:], &d); err != nil {
		p.t.Fatal(err)
	}
	return d
}

func TestHello(t *testing.T) {
	s := start(t)
	p := dial(t, s)
	want := fmt.Sprintf(`{"ok": 1, "secondary": false, "setName": "mongolite", "hosts": [%[1]q], "primary": %[1]q, "me": %[1]q,
		"maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 100000, "minWireVersion": 0,
		"maxWireVersion": 21, "logicalSessionTimeoutMinutes": 30, "readOnly": false, "topologyVersion": "absent"}`, s.Addr())
	for _, name := range []string{"isMaster", "ismaster"} {
		reply := p.askQuery("admin.$cmd", bson.D{{Key: name, Value: 1}, {Key: "helloOk", Value: true}})
		if why := differs(parse(t, want), reply, ""); why != "" {
			t.Errorf("%s: %s", name, why)
		}
		if lookup(reply, "ismaster") != true || lookup(reply, "helloOk") != true {
			t.Errorf("%s: %s", name, text(reply))
		}
		p.is(`{"`+name+`": 1}`, `{"ismaster": true}`)
	}
	p.is(`{"hello": 1}`, want)
	p.is(`{"hello": 1, "client": {"application": {"name": "test"}}, "compression": ["zlib"], "helloOk": true}`, `{"isWritablePrimary": true, "helloOk": true, "compression": "absent"}`)
	p.is(`{"hello": 1, "topologyVersion": {"counter": 1}}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support hello.topologyVersion"}`)
	p.is(`{"hello": 1, "backpressure": true, "nonsense": 1}`, `{"ok": 1, "setName": "mongolite"}`) // what newer drivers may offer
	a, b := dial(t, s), dial(t, s)
	if x, y := lookup(a.do(`{"hello": 1}`), "connectionId"), lookup(b.do(`{"hello": 1}`), "connectionId"); x == y {
		t.Errorf("two connections have the id %v", x)
	}
}

func TestQueryIsForHandshakesOnly(t *testing.T) {
	p := dial(t, start(t))
	reply := p.askQuery("test.$cmd", `{"find": "c"}`)
	if why := differs(parse(t, `{"ok": 0, "code": 352, "errmsg": "Unsupported OP_QUERY command: find...", "codeName": "UnsupportedOpQueryCommand"}`), reply, ""); why != "" {
		t.Error(why)
	}
	if reply := p.askQuery("admin.$cmd", `{"buildInfo": 1}`); lookup(reply, "version") != "7.0.0" {
		t.Error(text(reply))
	}
	p.is(`{"ping": 1}`, `{"ok": 1}`)
}

func TestSequences(t *testing.T) {
	p := dial(t, start(t))
	// The sequence may stand on either side of the body.
	p.send(0, sequence(t, "documents", `{"_id": 1}`, `{"_id": 2}`), section(t, `{"insert": "c", "$db": "test"}`))
	p.reply(`{"ok": 1, "n": 2}`)
	p.send(0, section(t, `{"update": "c", "$db": "test"}`), sequence(t, "updates", `{"q": {"_id": 1}, "u": {"$set": {"a": 1}}}`))
	p.reply(`{"ok": 1, "n": 1, "nModified": 1}`)
	p.send(0, section(t, `{"delete": "c", "$db": "test"}`), sequence(t, "deletes", `{"q": {}, "limit": 0}`))
	p.reply(`{"ok": 1, "n": 2}`)

	p.send(0, section(t, `{"insert": "c", "$db": "test"}`), sequence(t, "more", `{"_id": 1}`))
	p.reply(`{"ok": 0, "code": 40415, "errmsg": "BSON field 'insert.more' is an unknown field."}`)
	p.send(0, section(t, `{"find": "c", "$db": "test"}`), sequence(t, "filter", `{"_id": 1}`))
	p.reply(`{"ok": 0, "code": 40415, "errmsg": "BSON field 'find.filter' is an unknown field."}`)
	p.send(0, section(t, `{"insert": "c", "documents": [{"_id": 1}], "$db": "test"}`), sequence(t, "documents", `{"_id": 2}`))
	p.reply(`{"ok": 0, "code": 40413, "errmsg": "BSON field 'insert.documents' is a duplicate field"}`)
	p.send(0, section(t, `{"insert": "c", "$db": "test"}`), sequence(t, "documents"))
	p.reply(`{"ok": 0, "code": 16, "errmsg": "Write batch sizes must be between 1 and 100000. Got 0 operations."}`)
	p.is(`{"count": "c"}`, `{"n": 0}`)
}

// reply compares the next reply.
func (p *peer) reply(want string) {
	p.t.Helper()
	reply, err := p.receive()
	if err != nil {
		p.t.Fatal(err)
	}
	if why := differs(parse(p.t, want), reply, ""); why != "" {
		p.t.Errorf("%s\n %s", text(reply), why)
	}
}

func withChecksum(msg []byte) []byte {
	binary.LittleEndian.PutUint32(msg, uint32(len(msg)+4))
	return binary.LittleEndian.AppendUint32(msg, crc32.Checksum(msg, crc32.MakeTable(crc32.Castagnoli)))
}

func TestChecksums(t *testing.T) {
	s := start(t)
	p := dial(t, s)
	p.id = 5
	msg := withChecksum(frame(5, opMsg, append([]byte{checksumPresent, 0, 0, 0}, section(t, `{"ping": 1, "$db": "admin"}`)...)))
	p.write(msg)
	_, body, err := p.read()
	must(t, err)
	if binary.LittleEndian.Uint32(body) != checksumPresent {
		t.Fatalf("flags % x", body[:4])
	}
	var reply bson.D
	must(t, bson.Unmarshal(body[5:len(body)-4], &reply))
	if lookup(reply, "ok") != 1.0 {
		t.Error(text(reply))
	}
	msg[20]++
	p.write(msg)
	p.closed()
}

func TestMoreToCome(t *testing.T) {
	p := dial(t, start(t))
	for i := range 50 {
		p.send(moreToCome, section(t, bson.D{{Key: "insert", Value: "c"}, {Key: "$db", Value: "test"},
			{Key: "writeConcern", Value: bson.D{{Key: "w", Value: 0}}}, {Key: "documents", Value: bson.A{bson.D{{Key: "_id", Value: i}}}}}))
	}
	p.send(moreToCome, section(t, `{"insert": "c", "$db": "test", "documents": [{"_id": 1}]}`)) // fails, without a word
	p.send(moreToCome, section(t, `{"nonsense": 1, "$db": "test"}`))
	p.is(`{"count": "c"}`, `{"ok": 1, "n": 50}`)
}

// TestMalformedBytes holds that bytes that are no message end the connection
// that they came over and no other.
func TestMalformedBytes(t *testing.T) {
	s := start(t)
	witness := dial(t, s)
	witness.is(`{"insert": "c", "documents": [{"_id": 1}]}`, `{"n": 1}`)
	ping := section(t, `{"ping": 1, "$db": "admin"}`)
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
		"a web browser":            []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"TLS":                      {0x16, 0x03, 0x01, 0x02, 0x00, 1, 0, 1, 0xfc, 3, 3, 9, 9, 9, 9, 9},
		"a length of 0":            length(0),
		"a length of 15":           length(15),
		"a length over the limit":  length(maxMessage + 1),
		"a negative length":        length(1 << 31),
		"an unknown opcode":        edit(12, 0xff),
		"OP_INSERT":                frame(1, 2002, []byte{0, 0, 0, 0, 'a', '.', 'b', 0, 5, 0, 0, 0, 0}),
		"OP_COMPRESSED":            frame(1, 2012, []byte{0xdd, 7, 0, 0, 1, 0, 0, 0, 2, 0}),
		"an unknown required flag": edit(16, 0x80),
		"no body":                  frame(1, opMsg, []byte{0, 0, 0, 0}),
		"two bodies":               frame(1, opMsg, append(append([]byte{0, 0, 0, 0}, ping...), ping...)),
		"a cut body":               frame(1, opMsg, append([]byte{0, 0, 0, 0}, ping[:len(ping)-1]...)),
		"a section past the end":   frame(1, opMsg, append(append([]byte{0, 0, 0, 0}, ping...), 1, 255, 0, 0, 0, 'a', 0)),
		"a query of a collection":  queryMessage(t, 1, "test.c", `{}`),
	} {
		p := dial(t, s)
		p.id = 1
		p.write(msg)
		p.closed()
		if t.Failed() {
			t.Fatalf("that was %s", name)
		}
		witness.is(`{"count": "c"}`, `{"n": 1}`)
	}
	for cut := range len(good) { // the client goes away
		p := dial(t, s)
		p.write(good[:cut])
		p.nc.Close()
	}
	witness.is(`{"count": "c"}`, `{"n": 1}`)
}

// TestMalformedDocuments holds that a well-framed message with a document that
// is none is refused, and the connection goes on.
func TestMalformedDocuments(t *testing.T) {
	p := dial(t, start(t))
	doc := encode(t, `{"ping": 1, "x": {"y": "text"}, "$db": "test"}`)
	at := bytes.Index(doc, []byte("text\x00"))
	for name, change := range map[string]func(d []byte){
		"the length of a text":     func(d []byte) { d[at-4]++ },
		"the end of a text":        func(d []byte) { d[at+4] = 1 },
		"an unknown type":          func(d []byte) { d[4] = 0x55 },
		"the length of a document": func(d []byte) { d[bytes.Index(d, []byte("x\x00"))+2]++ },
	} {
		broken := bytes.Clone(doc)
		change(broken)
		p.send(0, append([]byte{0}, broken...))
		reply, err := p.receive()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if lookup(reply, "code") != int32(22) {
			t.Errorf("%s: %s", name, text(reply))
		}
	}
	for _, n := range []int{0, 50, 150} { // levels of the document beside those of the command
		p.is(bson.D{{Key: "insert", Value: "c"}, {Key: "documents", Value: bson.A{bson.D{{Key: "_id", Value: n}, {Key: "a", Value: nested(n)}}}}}, `{"ok": 1, "n": 1, "writeErrors": "absent"}`)
		p.is(bson.D{{Key: "find", Value: "c"}, {Key: "filter", Value: bson.D{{Key: "_id", Value: n}}}}, `{"ok": 1}`)
	}
	for _, n := range []int{181, 5000} {
		p.is(bson.D{{Key: "insert", Value: "c"}, {Key: "documents", Value: bson.A{nested(n)}}}, `{"ok": 0, "code": 22}`)
	}
	// A million levels in 7 MB.
	deep := make([]byte, 7_000_000)
	for i, left := 0, len(deep); left > 12; i, left = i+7, left-8 {
		binary.LittleEndian.PutUint32(deep[i:], uint32(left))
		deep[i+4], deep[i+5] = 3, 'a'
	}
	p.send(0, append([]byte{0}, deep...))
	p.reply(`{"ok": 0, "code": 22}`)
	p.is(`{"ping": 1}`, `{"ok": 1}`)
}

func nested(n int) any {
	var v any = int32(1)
	for range n {
		v = bson.D{{Key: "a", Value: v}}
	}
	return v
}

// sized is a document of exactly n bytes.
func sized(t testing.TB, id, n int) bson.D {
	d := bson.D{{Key: "_id", Value: int32(id)}, {Key: "s", Value: ""}}
	d[1].Value = strings.Repeat("x", n-len(encode(t, d)))
	return d
}

func TestDocumentsOf16MiB(t *testing.T) {
	p := dial(t, start(t))
	insert := func(doc bson.D, want string) {
		t.Helper()
		p.send(0, section(t, `{"insert": "c", "$db": "test"}`), sequence(t, "documents", doc))
		p.reply(want)
	}
	insert(sized(t, 1, maxDocument), `{"ok": 1, "n": 1, "writeErrors": "absent"}`)
	insert(sized(t, 2, maxDocument+1), `{"ok": 1, "n": 0, "writeErrors": [{"index": 0, "code": 2, "errmsg": "object to insert too large..."}]}`)
	reply := p.is(`{"find": "c"}`, `{"ok": 1, "cursor": {"id": 0}}`)
	first, _ := at(reply, "cursor.firstBatch").(bson.A)
	if len(first) != 1 || len(encode(t, first[0].(bson.D))) != maxDocument {
		t.Errorf("%d documents came back", len(first))
	}
	// What an update makes is bounded too, and so is a pipeline's result.
	p.is(`{"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$set": {"more": 1}}}]}`, `{"ok": 1, "n": 0, "writeErrors": [{"code": 10334}]}`)
	p.is(`{"findAndModify": "c", "query": {"_id": 1}, "update": {"$set": {"more": 1}}}`, `{"ok": 0, "code": 10334}`)
	p.is(`{"aggregate": "c", "cursor": {}, "pipeline": [{"$group": {"_id": null, "all": {"$push": "$$ROOT"}}}]}`, `{"ok": 0, "code": 10334}`)
	insert(sized(t, 3, 9*mib), `{"n": 1}`)
	p.is(`{"distinct": "c", "key": "s"}`, `{"ok": 0, "code": 17217, "errmsg": "distinct too big, 16mb cap"}`)
	p.is(`{"delete": "c", "deletes": [{"q": {"s": {"$type": "string"}}, "limit": 0}]}`, `{"ok": 1, "n": 2}`)
}

func TestMessagesOf48MB(t *testing.T) {
	p := dial(t, start(t))
	head := section(t, `{"insert": "c", "$db": "test"}`)
	rest := maxMessage - 16 - 4 - len(head) - 1 - 4 - len("documents\x00")
	third := rest / 3
	seq := sequence(t, "documents", sized(t, 1, third), sized(t, 2, third), sized(t, 3, rest-2*third))
	p.send(0, head, seq)
	p.reply(`{"ok": 1, "n": 3}`)
	p.is(`{"count": "c"}`, `{"n": 3}`)
	p.send(0, head, seq, []byte{})
	p.reply(`{"ok": 1, "n": 0, "writeErrors": [{"code": 11000, "keyPattern": {"_id": 1}, "keyValue": {"_id": 1}}]}`)

	// One byte more, announced, is refused before it is read.
	msg := frame(9, opMsg, nil)
	binary.LittleEndian.PutUint32(msg, maxMessage+1)
	p.write(msg)
	p.closed()
}

// TestBatchesOf16MiB holds that a reply carries as many documents as fit.
func TestBatchesOf16MiB(t *testing.T) {
	p := dial(t, start(t))
	const each = 5 * mib
	for i := range 5 {
		p.send(0, section(t, `{"insert": "c", "$db": "test"}`), sequence(t, "documents", sized(t, i, each)))
		p.reply(`{"n": 1}`)
	}
	reply := p.is(`{"find": "c", "batchSize": 1000}`, `{"ok": 1}`)
	first, _ := at(reply, "cursor.firstBatch").(bson.A)
	id, _ := at(reply, "cursor.id").(int64)
	if len(first) != 3 || id == 0 {
		t.Fatalf("%d documents and cursor %d, want 3 and one", len(first), id)
	}
	reply = p.is(bson.D{{Key: "getMore", Value: id}, {Key: "collection", Value: "c"}}, `{"ok": 1, "cursor": {"id": 0}}`)
	if next, _ := at(reply, "cursor.nextBatch").(bson.A); len(next) != 2 {
		t.Errorf("%d documents in the next batch, want 2", len(next))
	}
}
