package server_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"boxoffice/tools/mongolite/server"
)

// rawConn is a client connection that encodes and decodes messages itself.
type rawConn struct {
	t  testing.TB
	nc net.Conn
	in *bufio.Reader
	id uint32 // the id of the last request
}

// dial connects to the server. It closes the connection when t ends.
func dial(t testing.TB, s *server.Server) *rawConn {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &rawConn{t: t, nc: nc, in: bufio.NewReader(nc)}
}

const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013

	checksumPresent = 1
	moreToCome      = 2
)

// frame returns a message: a header and body.
func frame(id uint32, op uint32, body []byte) []byte {
	msg := binary.LittleEndian.AppendUint32(nil, uint32(16+len(body)))
	msg = binary.LittleEndian.AppendUint32(msg, id)
	msg = binary.LittleEndian.AppendUint32(msg, 0)
	msg = binary.LittleEndian.AppendUint32(msg, op)
	return append(msg, body...)
}

// bodySection returns an OP_MSG section of kind 0, the body of the command.
func bodySection(t testing.TB, doc any) []byte { return append([]byte{0}, encode(t, doc)...) }

// sequenceSection returns an OP_MSG section of kind 1, a document sequence.
func sequenceSection(t testing.TB, name string, docs ...any) []byte {
	body := append([]byte(name), 0)
	for _, d := range docs {
		body = append(body, encode(t, d)...)
	}
	return append(binary.LittleEndian.AppendUint32([]byte{1}, uint32(len(body)+4)), body...)
}

// encode encodes a document or its extended JSON as BSON.
func encode(t testing.TB, doc any) []byte {
	t.Helper()
	if s, ok := doc.(string); ok {
		doc = parse(t, s)
	}
	raw, err := bson.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// parse parses relaxed extended JSON.
func parse(t testing.TB, text string) bson.D {
	t.Helper()
	var d bson.D
	if err := bson.UnmarshalExtJSON([]byte(text), false, &d); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return d
}

// send writes an OP_MSG with these flags and sections.
func (p *rawConn) send(flags uint32, sections ...[]byte) {
	p.t.Helper()
	p.id++
	body := binary.LittleEndian.AppendUint32(nil, flags)
	p.write(frame(p.id, opMsg, append(body, bytes.Join(sections, nil)...)))
}

// write writes a complete message.
func (p *rawConn) write(msg []byte) {
	p.t.Helper()
	must(p.t, p.nc.SetDeadline(time.Now().Add(testTimeout)))
	if _, err := p.nc.Write(msg); err != nil {
		p.t.Fatal(err)
	}
}

// read returns the opcode and body of the next message, which must be the reply to
// the last request.
func (p *rawConn) read() (op uint32, body []byte, err error) {
	var header [16]byte
	if _, err := io.ReadFull(p.in, header[:]); err != nil {
		return 0, nil, err
	}
	if to := binary.LittleEndian.Uint32(header[8:]); to != p.id {
		return 0, nil, fmt.Errorf("got a reply to request %d, want one to request %d", to, p.id)
	}
	body = make([]byte, binary.LittleEndian.Uint32(header[:])-16)
	_, err = io.ReadFull(p.in, body)
	return binary.LittleEndian.Uint32(header[12:]), body, err
}

// receive returns the document of the next message, which must be an OP_MSG without
// a checksum.
func (p *rawConn) receive() (bson.D, error) {
	op, body, err := p.read()
	if err != nil {
		return nil, err
	}
	if op != opMsg || binary.LittleEndian.Uint32(body) != 0 || body[4] != 0 {
		return nil, fmt.Errorf("got opcode %d and body % x, want an OP_MSG without flags", op, body[:min(len(body), 20)])
	}
	var d bson.D
	return d, bson.Unmarshal(body[5:], &d)
}

// withDB returns the command cmd with a $db field. The command is a document or its
// extended JSON. If it lacks the field, withDB adds the database test, or admin for
// commands that run only there.
func withDB(t testing.TB, cmd any) bson.D {
	d, ok := cmd.(bson.D)
	if s, text := cmd.(string); text {
		d, ok = parse(t, s), true
	}
	if !ok {
		t.Fatalf("got a command of type %T, want a document or its JSON", cmd)
	}
	if lookup(d, "$db") != nil {
		return d
	}
	db := "test"
	switch d[0].Key {
	case "configureFailPoint", "listDatabases", "getParameter", "commitTransaction", "abortTransaction":
		db = "admin"
	}
	return append(d[:len(d):len(d)], bson.E{Key: "$db", Value: db})
}

// sendCommand sends a command, which is a document or its extended JSON.
func (p *rawConn) sendCommand(cmd any) {
	p.t.Helper()
	p.send(0, bodySection(p.t, withDB(p.t, cmd)))
}

// run sends a command and returns its reply.
func (p *rawConn) run(cmd any) bson.D {
	p.t.Helper()
	p.sendCommand(cmd)
	reply, err := p.receive()
	if err != nil {
		p.t.Fatalf("%v: %v", cmd, err)
	}
	return reply
}

// expect runs a command and checks that its reply matches want, as diff defines it.
func (p *rawConn) expect(cmd any, want string) bson.D {
	p.t.Helper()
	reply := p.run(cmd)
	if d := diff(parse(p.t, want), reply, ""); d != "" {
		p.t.Errorf("%s\n got %s\n %s", toJSON(cmd), toJSON(reply), d)
	}
	return reply
}

// expectAll calls expect for each exchange, a command and the wanted reply.
func (p *rawConn) expectAll(exchanges ...[2]string) {
	p.t.Helper()
	for _, e := range exchanges {
		p.expect(e[0], e[1])
	}
}

// expectReply checks that the next reply matches want, as diff defines it.
func (p *rawConn) expectReply(want string) {
	p.t.Helper()
	reply, err := p.receive()
	if err != nil {
		p.t.Fatal(err)
	}
	if d := diff(parse(p.t, want), reply, ""); d != "" {
		p.t.Errorf("got %s\n %s", toJSON(reply), d)
	}
}

// expectClosed checks that the server closes the connection without a reply.
func (p *rawConn) expectClosed() {
	p.t.Helper()
	if op, body, err := p.read(); err == nil {
		p.t.Errorf("got opcode %d and %d bytes, want the connection closed", op, len(body))
	} else if strings.Contains(err.Error(), "timeout") || strings.Contains(err.Error(), "request") {
		p.t.Errorf("got %v, want the connection closed", err)
	}
}

// insertMany inserts documents {_id: 0...n-1, a: _id % 10} into the collection c.
func (p *rawConn) insertMany(n int) {
	p.t.Helper()
	docs := make([]any, n)
	for i := range docs {
		docs[i] = bson.D{{Key: "_id", Value: int32(i)}, {Key: "a", Value: int32(i % 10)}}
	}
	p.send(0, bodySection(p.t, `{"insert": "c", "$db": "test"}`), sequenceSection(p.t, "documents", docs...))
	p.expectReply(fmt.Sprintf(`{"ok": 1, "n": %d, "writeErrors": "absent"}`, n))
}
