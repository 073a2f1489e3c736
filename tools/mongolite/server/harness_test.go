// Package server_test talks to the server as its clients do: in bytes framed
// by hand, so that it is not tested with its own encoder, and through the
// official driver.
package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/tools/mongolite/server"
)

// patience bounds every wait: what takes longer hangs.
const patience = 2 * time.Minute

// start serves an empty folder, with test commands, until t ends.
func start(t testing.TB) *server.Server {
	t.Helper()
	return startWith(t, server.Config{Data: t.TempDir(), TestCommands: true})
}

func startWith(t testing.TB, cfg server.Config) *server.Server {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	s, err := server.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// connect returns a driver's client for the server as a replica set.
func connect(t testing.TB, s *server.Server, opts ...*options.ClientOptions) *mongo.Client {
	t.Helper()
	uri := options.Client().ApplyURI("mongodb://" + s.Addr() + "/?replicaSet=mongolite")
	client, err := mongo.Connect(append([]*options.ClientOptions{uri}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		client.Disconnect(ctx)
	})
	return client
}

func background(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// peer is a connection that speaks in bytes.
type peer struct {
	t  testing.TB
	nc net.Conn
	in *bufio.Reader
	id uint32 // of the last request
}

func dial(t testing.TB, s *server.Server) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &peer{t: t, nc: nc, in: bufio.NewReader(nc)}
}

const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013

	checksumPresent = 1
	moreToCome      = 2
)

// frame puts a header before the body of a message.
func frame(id uint32, op uint32, body []byte) []byte {
	msg := binary.LittleEndian.AppendUint32(nil, uint32(16+len(body)))
	msg = binary.LittleEndian.AppendUint32(msg, id)
	msg = binary.LittleEndian.AppendUint32(msg, 0)
	msg = binary.LittleEndian.AppendUint32(msg, op)
	return append(msg, body...)
}

// section is the body of an OP_MSG.
func section(t testing.TB, doc any) []byte { return append([]byte{0}, encode(t, doc)...) }

// sequence is an array that travels beside the body.
func sequence(t testing.TB, name string, docs ...any) []byte {
	body := append([]byte(name), 0)
	for _, d := range docs {
		body = append(body, encode(t, d)...)
	}
	return append(binary.LittleEndian.AppendUint32([]byte{1}, uint32(len(body)+4)), body...)
}

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

// parse reads relaxed extended JSON.
func parse(t testing.TB, text string) bson.D {
	t.Helper()
	var d bson.D
	if err := bson.UnmarshalExtJSON([]byte(text), false, &d); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return d
}

// send writes an OP_MSG.
func (p *peer) send(flags uint32, sections ...[]byte) {
	p.t.Helper()
	p.id++
	body := binary.LittleEndian.AppendUint32(nil, flags)
	p.write(frame(p.id, opMsg, append(body, bytes.Join(sections, nil)...)))
}

func (p *peer) write(msg []byte) {
	p.t.Helper()
	must(p.t, p.nc.SetDeadline(time.Now().Add(patience)))
	if _, err := p.nc.Write(msg); err != nil {
		p.t.Fatal(err)
	}
}

// read returns the opcode and body of the next message, which must answer the
// last request.
func (p *peer) read() (op uint32, body []byte, err error) {
	var header [16]byte
	if _, err := io.ReadFull(p.in, header[:]); err != nil {
		return 0, nil, err
	}
	if to := binary.LittleEndian.Uint32(header[8:]); to != p.id {
		return 0, nil, fmt.Errorf("an answer to request %d, want %d", to, p.id)
	}
	body = make([]byte, binary.LittleEndian.Uint32(header[:])-16)
	_, err = io.ReadFull(p.in, body)
	return binary.LittleEndian.Uint32(header[12:]), body, err
}

// receive returns the document of the next message, an OP_MSG without a checksum.
func (p *peer) receive() (bson.D, error) {
	op, body, err := p.read()
	if err != nil {
		return nil, err
	}
	if op != opMsg || binary.LittleEndian.Uint32(body) != 0 || body[4] != 0 {
		return nil, fmt.Errorf("opcode %d, body % x", op, body[:min(len(body), 20)])
	}
	var d bson.D
	return d, bson.Unmarshal(body[5:], &d)
}

// command completes a command with the database test, or admin for those that
// are only run there.
func command(t testing.TB, cmd any) bson.D {
	d, ok := cmd.(bson.D)
	if s, text := cmd.(string); text {
		d, ok = parse(t, s), true
	}
	if !ok {
		t.Fatalf("no command: %v", cmd)
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

// ask sends a command, a document or its JSON.
func (p *peer) ask(cmd any) {
	p.t.Helper()
	p.send(0, section(p.t, command(p.t, cmd)))
}

// do runs a command and returns its reply.
func (p *peer) do(cmd any) bson.D {
	p.t.Helper()
	p.ask(cmd)
	reply, err := p.receive()
	if err != nil {
		p.t.Fatalf("%v: %v", cmd, err)
	}
	return reply
}

// is runs a command and compares its reply with what it must hold at least.
func (p *peer) is(cmd any, want string) bson.D {
	p.t.Helper()
	reply := p.do(cmd)
	if why := differs(parse(p.t, want), reply, ""); why != "" {
		p.t.Errorf("%s\n gives %s\n %s", text(cmd), text(reply), why)
	}
	return reply
}

// talk runs commands, each with what its reply must hold.
func (p *peer) talk(exchanges ...[2]string) {
	p.t.Helper()
	for _, e := range exchanges {
		p.is(e[0], e[1])
	}
}

// closed waits for the server to end the connection without a word.
func (p *peer) closed() {
	p.t.Helper()
	if op, body, err := p.read(); err == nil {
		p.t.Errorf("opcode %d, %d bytes, want the end of the connection", op, len(body))
	} else if strings.Contains(err.Error(), "timeout") || strings.Contains(err.Error(), "request") {
		p.t.Errorf("%v, want the end of the connection", err)
	}
}

func text(v any) string {
	d, ok := v.(bson.D)
	if !ok {
		return fmt.Sprint(v)
	}
	raw, err := bson.MarshalExtJSON(d, false, false)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw[:min(len(raw), 2000)])
}

// differs says how got is not what is wanted: documents hold at least the
// wanted fields, a field wanted as "absent" is not there, "any" is any value, a
// text with ... stands for one that begins so, numbers are compared by value.
func differs(want, got any, path string) string {
	switch w := want.(type) {
	case bson.D:
		g, ok := got.(bson.D)
		if !ok {
			break
		}
		for _, e := range w {
			at := path + "." + e.Key
			v := lookup(g, e.Key)
			switch {
			case e.Value == "absent":
				if has(g, e.Key) {
					return at + " is there"
				}
				continue
			case !has(g, e.Key):
				return at + " is missing"
			}
			if why := differs(e.Value, v, at); why != "" {
				return why
			}
		}
		return ""
	case bson.A:
		g, ok := got.(bson.A)
		if !ok || len(g) != len(w) {
			break
		}
		for i := range w {
			if why := differs(w[i], g[i], fmt.Sprintf("%s[%d]", path, i)); why != "" {
				return why
			}
		}
		return ""
	case string:
		if begin, ok := strings.CutSuffix(w, "..."); ok {
			if g, ok := got.(string); ok && strings.HasPrefix(g, begin) {
				return ""
			}
			break
		}
		if w == "any" || w == got {
			return ""
		}
	default:
		if a, b := number(want), number(got); a == b && !math.IsNaN(a) {
			return ""
		}
		if math.IsNaN(number(want)) && fmt.Sprintf("%T %v", want, want) == fmt.Sprintf("%T %v", got, got) {
			return ""
		}
	}
	return fmt.Sprintf("%s is %v, want %v", path, got, want)
}

func number(v any) float64 {
	switch v := v.(type) {
	case int:
		return float64(v)
	case int32:
		return float64(v)
	case int64:
		return float64(v)
	case float64:
		return v
	}
	return math.NaN()
}

func lookup(d bson.D, name string) any {
	for _, e := range d {
		if e.Key == name {
			return e.Value
		}
	}
	return nil
}

func has(d bson.D, name string) bool {
	for _, e := range d {
		if e.Key == name {
			return true
		}
	}
	return false
}

// at returns what lies at a path of documents.
func at(d bson.D, path string) any {
	var v any = d
	for name := range strings.SplitSeq(path, ".") {
		inner, _ := v.(bson.D)
		v = lookup(inner, name)
	}
	return v
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
