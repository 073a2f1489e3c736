package indextest_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/server"
)

// startServer starts a server on an in-memory file system and returns its
// address.
func startServer(tb testing.TB) string {
	tb.Helper()
	s, err := server.Start(server.Config{Listen: "127.0.0.1:0", Data: tb.TempDir(), FS: vfs.NewMem(), CacheBytes: 16 << 20})
	if err != nil {
		tb.Fatalf("start: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return s.Addr()
}

// client sends commands as OP_MSG. It is faster than a driver, which matters for
// ten thousand cases, and sends exactly the commands that a test states.
type client struct {
	nc  net.Conn
	in  *bufio.Reader
	seq uint32
}

// dial connects a client to the server at addr.
func dial(tb testing.TB, addr string) *client {
	tb.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatalf("dial: %v", err)
	}
	tb.Cleanup(func() { nc.Close() })
	return &client{nc: nc, in: bufio.NewReader(nc)}
}

// commandError is an error reply of the server, or the first write error of a
// reply.
type commandError struct {
	Code   int32
	Reply  bson.D // the command's reply, or the write error
	Reason string
}

func (e *commandError) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Reason) }

// run sends a command to the database "t" and returns the reply. It returns a
// *commandError if the server reports an error, and another error if the
// connection breaks.
func (c *client) run(cmd bson.D) (bson.D, error) {
	body, err := c.send(cmd)
	if err != nil {
		return nil, err
	}
	return decode(body)
}

// send sends a command to the database "t" and returns the undecoded reply.
func (c *client) send(cmd bson.D) (body []byte, err error) {
	raw, err := bson.Marshal(append(cmd[:len(cmd):len(cmd)], bson.E{Key: "$db", Value: "t"}))
	if err != nil {
		return nil, err
	}
	const head = 16 + 4 + 1
	msg := make([]byte, head, head+len(raw))
	c.seq++
	binary.LittleEndian.PutUint32(msg, uint32(head+len(raw)))
	binary.LittleEndian.PutUint32(msg[4:], c.seq)
	binary.LittleEndian.PutUint32(msg[12:], 2013)
	if _, err := c.nc.Write(append(msg, raw...)); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(c.in, msg[:head]); err != nil {
		return nil, err
	}
	body = make([]byte, binary.LittleEndian.Uint32(msg)-head)
	_, err = io.ReadFull(c.in, body)
	return body, err
}

// decode decodes a reply. It returns the reply and a *commandError if the reply
// reports an error.
func decode(body []byte) (bson.D, error) {
	var reply bson.D
	if err := bson.Unmarshal(body, &reply); err != nil {
		return nil, err
	}
	refused := reply
	if list, _ := lookup(reply, "writeErrors").(bson.A); len(list) > 0 {
		refused = list[0].(bson.D)
	} else if lookup(reply, "ok") == 1.0 {
		return reply, nil
	}
	code, _ := lookup(refused, "code").(int32)
	reason, _ := lookup(refused, "errmsg").(string)
	return reply, &commandError{code, refused, reason}
}

// must runs a command and fails the test on an error.
func (c *client) must(tb testing.TB, cmd bson.D) bson.D {
	tb.Helper()
	reply, err := c.run(cmd)
	if err != nil {
		tb.Fatalf("%s: %v", extJSON(cmd), err)
	}
	return reply
}

// documents runs a find and returns its first batch, which must contain all
// results.
func (c *client) documents(cmd bson.D) ([]bson.D, error) {
	rawDocuments, err := c.rawDocuments(cmd)
	docs := make([]bson.D, len(rawDocuments))
	for i, raw := range rawDocuments {
		if err := bson.Unmarshal([]byte(raw), &docs[i]); err != nil {
			return nil, err
		}
	}
	return docs, err
}

// rawDocuments is like documents, but returns the documents undecoded.
func (c *client) rawDocuments(cmd bson.D) ([]string, error) {
	body, err := c.send(append(cmd[:len(cmd):len(cmd)], bson.E{Key: "batchSize", Value: int32(100000)}))
	if err != nil {
		return nil, err
	}
	batch, err := bson.Raw(body).LookupErr("cursor", "firstBatch")
	if err != nil {
		_, err = decode(body)
		return nil, err
	}
	values, err := batch.Array().Values()
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v.Value)
	}
	return list, err
}

// insert inserts documents and fails the test on an error.
func (c *client) insert(tb testing.TB, coll string, docs ...bson.D) {
	tb.Helper()
	list := make(bson.A, len(docs))
	for i, d := range docs {
		list[i] = d
	}
	c.must(tb, bson.D{{Key: "insert", Value: coll}, {Key: "documents", Value: list}})
}

// createIndex creates an index. The options are further fields of its
// specification.
func (c *client) createIndex(coll, name string, key bson.D, options ...bson.E) error {
	spec := append(bson.D{{Key: "key", Value: key}, {Key: "name", Value: name}}, options...)
	_, err := c.run(bson.D{{Key: "createIndexes", Value: coll}, {Key: "indexes", Value: bson.A{spec}}})
	return err
}

// lookup returns the value at a path of keys, or nil if there is none.
func lookup(d bson.D, keys ...string) any {
	var v any = d
	for _, key := range keys {
		doc, _ := v.(bson.D)
		v = nil
		for _, e := range doc {
			if e.Key == key {
				v = e.Value
			}
		}
	}
	return v
}

// extJSON returns a document as extended JSON, which can be pasted into a test or
// a shell.
func extJSON(d bson.D) string {
	raw, err := bson.MarshalExtJSON(d, false, false)
	if err != nil {
		return fmt.Sprintf("%v", d)
	}
	return string(raw)
}
