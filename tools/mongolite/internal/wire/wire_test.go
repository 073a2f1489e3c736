package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"testing"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/wire"
)

func raw(t testing.TB, v any) bson.Raw {
	t.Helper()
	b, err := bson.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// message builds an OP_MSG byte by byte, so that the tests of Read do not rely
// on this package's own encoder.
func message(flags uint32, sections ...[]byte) []byte {
	body := binary.LittleEndian.AppendUint32(nil, flags)
	body = append(body, bytes.Join(sections, nil)...)
	length := 16 + len(body)
	if flags&1 != 0 {
		length += 4
	}
	msg := binary.LittleEndian.AppendUint32(nil, uint32(length))
	msg = binary.LittleEndian.AppendUint32(msg, 7)
	msg = binary.LittleEndian.AppendUint32(msg, 0)
	msg = binary.LittleEndian.AppendUint32(msg, 2013)
	msg = append(msg, body...)
	if flags&1 != 0 {
		msg = binary.LittleEndian.AppendUint32(msg, crc32.Checksum(msg, crc32.MakeTable(crc32.Castagnoli)))
	}
	return msg
}

func sequence(name string, docs ...bson.Raw) []byte {
	body := append([]byte(name), 0)
	for _, d := range docs {
		body = append(body, d...)
	}
	return append(binary.LittleEndian.AppendUint32([]byte{1}, uint32(len(body)+4)), body...)
}

func query(coll string, doc bson.Raw) []byte {
	body := binary.LittleEndian.AppendUint32(nil, 0)
	body = append(append(body, coll...), 0)
	body = append(body, 0, 0, 0, 0, 1, 0, 0, 0)
	body = append(body, doc...)
	msg := binary.LittleEndian.AppendUint32(nil, uint32(16+len(body)))
	msg = append(msg, 7, 0, 0, 0, 0, 0, 0, 0)
	msg = binary.LittleEndian.AppendUint32(msg, 2004)
	return append(msg, body...)
}

func TestRead(t *testing.T) {
	body := raw(t, bson.D{{Key: "insert", Value: "c"}})
	doc := raw(t, bson.D{{Key: "_id", Value: 1}})
	single := append([]byte{0}, body...)
	stream := bytes.NewReader(concat(
		message(0, single),
		message(1, single),
		message(2, sequence("documents", doc, doc), single, sequence("more")),
		message(1<<16, single), // an unknown optional flag
		query("admin.$cmd", body),
	))
	want := []struct {
		more bool
		seqs int
		db   string
	}{{}, {}, {more: true, seqs: 2}, {}, {db: "admin"}}
	for i, w := range want {
		req, err := wire.Read(stream)
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if req.ID != 7 || !bytes.Equal(req.Body, body) || req.MoreToCome != w.more || len(req.Sequences) != w.seqs || req.Database != w.db {
			t.Errorf("message %d: got %+v, want %+v", i, req, w)
		}
		if err := wire.Validate(req); err != nil {
			t.Errorf("message %d: Validate: %v", i, err)
		}
		if w.seqs > 0 && (req.Sequences[0].Field != "documents" || len(req.Sequences[0].Docs) != 2 || len(req.Sequences[1].Docs) != 0) {
			t.Errorf("message %d: got sequences %+v, want documents with 2 documents and more with none", i, req.Sequences)
		}
	}
	if _, err := wire.Read(stream); err != io.EOF {
		t.Errorf("after the last message: got error %v, want %v", err, io.EOF)
	}
}

func concat(list ...[]byte) []byte { return bytes.Join(list, nil) }

func TestReadRejectsMalformedMessages(t *testing.T) {
	body := append([]byte{0}, raw(t, bson.D{{Key: "ping", Value: 1}})...)
	ok := message(0, body)
	edit := func(msg []byte, at int, b byte) []byte {
		msg = bytes.Clone(msg)
		msg[at] = b
		return msg
	}
	size := func(n uint32) []byte { return append(binary.LittleEndian.AppendUint32(nil, n), make([]byte, 12)...) }
	bad := map[string][]byte{
		"length below the header's":   size(15),
		"length above the limit":      size(wire.MaxMessage + 1),
		"negative length":             size(1 << 31),
		"unknown opcode":              edit(ok, 12, 1),
		"compressed message":          edit(edit(ok, 12, 0xdc), 13, 7),
		"unknown required flag":       edit(ok, 16, 4),
		"wrong checksum":              edit(message(1, body), 30, 0xff),
		"missing checksum":            edit(ok, 16, 1)[:16],
		"no body":                     message(0, sequence("documents")),
		"two bodies":                  message(0, body, body),
		"unknown section kind":        message(0, body, []byte{2}),
		"sequence without a name":     message(0, body, []byte{1, 6, 0, 0, 0, 'a', 'b'}),
		"sequence beyond the message": message(0, body, []byte{1, 99, 0, 0, 0, 'a', 0}),
		"truncated document":          message(0, body[:len(body)-2]),
		"query that is not a command": query("admin.c", body[1:]),
	}
	for name, msg := range bad {
		if _, err := wire.Read(bytes.NewReader(msg)); !errors.Is(err, wire.ErrProtocol) && err != io.ErrUnexpectedEOF {
			t.Errorf("%s: got error %v, want one that wraps ErrProtocol, or unexpected EOF", name, err)
		}
	}
	for cut := 1; cut < len(ok); cut++ {
		if _, err := wire.Read(bytes.NewReader(ok[:cut])); err != io.ErrUnexpectedEOF {
			t.Errorf("truncated to %d bytes: got error %v, want %v", cut, err, io.ErrUnexpectedEOF)
		}
	}
}

func TestValidateRejectsDeepOrMalformedDocuments(t *testing.T) {
	var deep any = int32(1)
	for range 300 {
		deep = bson.D{{Key: "a", Value: deep}}
	}
	if err := wire.Validate(&wire.Request{Body: raw(t, deep)}); err == nil {
		t.Error("document nested 300 levels deep: got no error, want one")
	}
	broken := raw(t, bson.D{{Key: "a", Value: bson.D{{Key: "b", Value: "text"}}}})
	broken[7]++ // the length of the inner document
	if err := wire.Validate(&wire.Request{Body: broken}); err == nil {
		t.Error("inner document with a wrong length: got no error, want one")
	}
}

func TestAppendReplyUsesFormatOfRequest(t *testing.T) {
	body := append([]byte{0}, raw(t, bson.D{{Key: "ping", Value: 1}})...)
	answer := raw(t, bson.D{{Key: "ok", Value: 1.0}})
	for _, flags := range []uint32{0, 1} {
		req, err := wire.Read(bytes.NewReader(message(flags, body)))
		if err != nil {
			t.Fatal(err)
		}
		reply, err := wire.Read(bytes.NewReader(req.AppendReply(nil, 9, answer)))
		if err != nil {
			t.Fatalf("flags %d: %v", flags, err)
		}
		if reply.ID != 9 || !bytes.Equal(reply.Body, answer) {
			t.Errorf("flags %d: got reply %+v, want ID 9 and body %v", flags, reply, answer)
		}
	}
	req, err := wire.Read(bytes.NewReader(query("admin.$cmd", body[1:])))
	if err != nil {
		t.Fatal(err)
	}
	reply := req.AppendReply(nil, 9, answer)
	if op := binary.LittleEndian.Uint32(reply[12:]); op != 1 || int(binary.LittleEndian.Uint32(reply)) != len(reply) {
		t.Errorf("reply to an OP_QUERY: got opcode %d and length %d, want opcode 1 and length %d", op, binary.LittleEndian.Uint32(reply), len(reply))
	}
}

// FuzzRead checks that no input makes Read panic or read beyond the message,
// and that Validate, the decoder and AppendReply handle every message that Read
// accepts.
func FuzzRead(f *testing.F) {
	body := raw(f, bson.D{{Key: "insert", Value: "c"}, {Key: "x", Value: bson.A{bson.D{{Key: "y", Value: 1.5}}}}})
	seeds := [][]byte{
		message(0, append([]byte{0}, body...)), message(1, append([]byte{0}, body...)),
		message(2, sequence("documents", body, body), append([]byte{0}, body...)), query("admin.$cmd", body),
	}
	for _, s := range seeds {
		f.Add(s)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 { // a plain "go test" runs these seeds too
		s := bytes.Clone(seeds[r.IntN(len(seeds))])
		for range 1 + r.IntN(4) {
			s[r.IntN(len(s))] = byte(r.Uint32())
		}
		if r.IntN(4) == 0 {
			s = s[:r.IntN(len(s))]
		}
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bytes.NewReader(data)
		req, err := wire.Read(in)
		if err != nil {
			return
		}
		if used := len(data) - in.Len(); used != int(binary.LittleEndian.Uint32(data)) {
			t.Fatalf("got %d bytes read, want the message's %d", used, binary.LittleEndian.Uint32(data))
		}
		if wire.Validate(req) != nil {
			return
		}
		for _, seq := range append(req.Sequences, wire.Sequence{Docs: []bson.Raw{req.Body}}) {
			for _, doc := range seq.Docs {
				var d bson.D
				_ = bson.Unmarshal(doc, &d)
			}
		}
		req.AppendReply(nil, 1, req.Body)
	})
}
