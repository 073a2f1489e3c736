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

// startServer starts a server whose disk is memory and returns its address.
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

// client speaks OP_MSG and nothing else: ten thousand cases leave no time for
// a driver, and what it sends is exactly what a test says.
type client struct {
	nc  net.Conn
	in  *bufio.Reader
	seq uint32
}

func dial(tb testing.TB, addr string) *client {
	tb.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatalf("dial: %v", err)
	}
	tb.Cleanup(func() { nc.Close() })
	return &client{nc: nc, in: bufio.NewReader(nc)}
}

// commandError is a refusal by the server, of a command or of its first
// statement that failed.
type commandError struct {
	Code   int32
	Reply  bson.D // the command's reply, or the writeError
	Reason string
}

func (e *commandError) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Reason) }

// run sends a command to the database "t". Its error is a *commandError,
// except when the connection broke.
func (c *client) run(cmd bson.D) (bson.D, error) {
	body, err := c.send(cmd)
	if err != nil {
		return nil, err
	}
	return decode(body)
}

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

// decode reads a reply.
func decode(body []byte) (bson.D, error) {
	var reply bson.D
	if err := bson.Unmarshal(body, &reply); err != nil {
		return nil, err
	}
	refused := reply
	if list, _ := at(reply, "writeErrors").(bson.A); len(list) > 0 {
		refused = list[0].(bson.D)
	} else if at(reply, "ok") == 1.0 {
		return reply, nil
	}
	code, _ := at(refused, "code").(int32)
	reason, _ := at(refused, "errmsg").(string)
	return reply, &commandError{code, refused, reason}
}

// must is run for commands that have to succeed.
func (c *client) must(tb testing.TB, cmd bson.D) bson.D {
	tb.Helper()
	reply, err := c.run(cmd)
	if err != nil {
		tb.Fatalf("%s: %v", text(cmd), err)
	}
	return reply
}

// documents runs a find, whose answer has to fit the first batch.
func (c *client) documents(cmd bson.D) ([]bson.D, error) {
	raws, err := c.raws(cmd)
	docs := make([]bson.D, len(raws))
	for i, raw := range raws {
		if err := bson.Unmarshal([]byte(raw), &docs[i]); err != nil {
			return nil, err
		}
	}
	return docs, err
}

// raws is documents as the bytes that came.
func (c *client) raws(cmd bson.D) ([]string, error) {
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

// insert stores documents and expects all of them to be accepted.
func (c *client) insert(tb testing.TB, coll string, docs ...bson.D) {
	tb.Helper()
	list := make(bson.A, len(docs))
	for i, d := range docs {
		list[i] = d
	}
	c.must(tb, bson.D{{Key: "insert", Value: coll}, {Key: "documents", Value: list}})
}

// index makes an index; options are the fields behind key and name.
func (c *client) index(coll, name string, key bson.D, options ...bson.E) error {
	spec := append(bson.D{{Key: "key", Value: key}, {Key: "name", Value: name}}, options...)
	_, err := c.run(bson.D{{Key: "createIndexes", Value: coll}, {Key: "indexes", Value: bson.A{spec}}})
	return err
}

// at returns the value under the keys, nil if there is none.
func at(d bson.D, keys ...string) any {
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

// text writes a document so that it can be read and pasted.
func text(d bson.D) string {
	raw, err := bson.MarshalExtJSON(d, false, false)
	if err != nil {
		return fmt.Sprintf("%v", d)
	}
	return string(raw)
}
