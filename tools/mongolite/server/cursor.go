package server

import (
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/storage"
)

const (
	cursorLife   = 10 * time.Minute // of a cursor that nobody reads
	firstBatch   = 101
	maxBatchSize = 16 << 20 // bytes
)

// source yields the documents of a cursor, encoded; io.EOF ends it.
type source interface {
	Next() (bson.Raw, error)
	Close()
}

// cursors are the open cursors.
// https://www.mongodb.com/docs/manual/core/cursors/
type cursors struct {
	mu   sync.Mutex // guards the map and the cursors' busy and used
	open map[int64]*cursor
}

type cursor struct {
	id      int64
	ns      string
	session string // that opened it
	src     source
	stop    *stopper
	pending bson.Raw // read but not sent: it did not fit
	forever bool     // noCursorTimeout
	busy    bool     // a getMore reads it, and closes it when it is killed
	used    time.Time
}

// batch reads up to n documents, as many as fit in a reply. It returns done
// when there are no more.
func (cur *cursor) batch(n int64) (docs bson.A, done bool, err error) {
	docs = bson.A{}
	size := 0
	for int64(len(docs)) < n {
		doc := cur.pending
		cur.pending = nil
		if doc == nil {
			if doc, err = cur.src.Next(); err == io.EOF {
				return docs, true, nil
			} else if err != nil {
				return nil, false, err
			}
		}
		if size += len(doc); size > maxBatchSize && len(docs) > 0 {
			cur.pending = doc
			return docs, false, nil
		}
		docs = append(docs, doc)
	}
	return docs, false, nil
}

// reply returns the first batch of src, and keeps a cursor for the rest if
// there may be one.
func (c *call) reply(ns string, src source, batch int64, single, forever bool) (bson.D, error) {
	cur := &cursor{ns: ns, session: c.session, src: src, stop: c.stop, forever: forever, used: time.Now()}
	docs, done, err := cur.batch(batch)
	if err != nil {
		src.Close()
		return nil, err
	}
	if done || single {
		src.Close()
	} else {
		c.s.cursors.add(cur)
	}
	return cursorReply("firstBatch", ns, cur.id, docs), nil
}

func cursorReply(batch, ns string, id int64, docs bson.A) bson.D {
	return bson.D{{Key: "cursor", Value: bson.D{{Key: batch, Value: docs}, {Key: "id", Value: id}, {Key: "ns", Value: ns}}}}
}

// batchSize reads the cursor document of a command.
func batchSize(options bson.D, def int64) (int64, error) {
	if err := checkFields("cursor", options, []string{"batchSize"}, nil); err != nil {
		return 0, err
	}
	return integer("cursor", options, "batchSize", def)
}

func (cs *cursors) add(cur *cursor) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.open == nil {
		cs.open = map[int64]*cursor{}
	}
	for {
		if id := rand.Int64(); id != 0 && cs.open[id] == nil {
			cur.id, cs.open[id] = id, cur
			return
		}
	}
}

// take returns the cursor for reader, which has it alone until it returns it
// with put.
func (cs *cursors) take(id int64, ns string, reader *call) (*cursor, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cur := cs.open[id]
	switch {
	case cur == nil:
		return nil, mongoerr.New(mongoerr.CursorNotFound, "cursor id %d not found", id)
	case cur.ns != ns:
		return nil, mongoerr.New(mongoerr.Unauthorized, "Requested getMore on namespace '%s', but cursor belongs to a different namespace %s", ns, cur.ns)
	case cur.busy:
		return nil, mongoerr.New(mongoerr.CursorInUse, "cursor id %d is already in use", id)
	}
	cur.busy, cur.stop.reader = true, reader
	return cur, nil
}

// put gives the cursor back, or closes it if it has ended or was killed
// meanwhile.
func (cs *cursors) put(cur *cursor, ended bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if ended || cs.open[cur.id] == nil {
		delete(cs.open, cur.id)
		cur.src.Close()
		return
	}
	cur.busy, cur.used = false, time.Now()
}

func (cs *cursors) closeIdle(now time.Time) {
	cs.kill(func(cur *cursor) bool { return !cur.forever && !cur.busy && now.Sub(cur.used) > cursorLife })
}

func (cs *cursors) closeAll() { cs.kill(func(*cursor) bool { return true }) }

// kill closes the cursors that match, those that are being read as soon as
// their reader notices, and returns their ids.
func (cs *cursors) kill(match func(*cursor) bool) (ids []int64) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for id, cur := range cs.open {
		if !match(cur) {
			continue
		}
		delete(cs.open, id)
		ids = append(ids, id)
		if cur.stop.killed.Store(true); !cur.busy {
			cur.src.Close()
		}
	}
	return ids
}

func getMore(c *call) (bson.D, error) {
	id, ok := c.body[0].Value.(int64)
	if !ok {
		return nil, wrongType("getMore.getMore", c.body[0].Value, int64(0))
	}
	ns, err := c.cursorNS("collection")
	if err != nil {
		return nil, err
	}
	n, err := c.integer("batchSize", 0)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		n = 1 << 31
	}
	cur, err := c.s.cursors.take(id, ns, c)
	if err != nil {
		return nil, err
	}
	ended := true // also by a panic
	defer func() { c.s.cursors.put(cur, ended) }()
	docs, done, err := cur.batch(n)
	if ended = done || err != nil; ended {
		id = 0
	}
	return cursorReply("nextBatch", ns, id, docs), err
}

func killCursors(c *call) (bson.D, error) {
	coll, ok := c.body[0].Value.(string)
	if !ok {
		return nil, wrongType("killCursors.killCursors", c.body[0].Value, "")
	}
	ids, err := c.array("cursors")
	if err != nil {
		return nil, err
	}
	killed, missing := bson.A{}, bson.A{}
	for _, v := range ids {
		id, ok := v.(int64)
		if !ok {
			return nil, wrongType("killCursors.cursors", v, int64(0))
		}
		if c.s.cursors.kill(func(cur *cursor) bool { return cur.id == id && cur.ns == c.db+"."+coll }) != nil {
			killed = append(killed, id)
		} else {
			missing = append(missing, id)
		}
	}
	return bson.D{
		{Key: "cursorsKilled", Value: killed}, {Key: "cursorsNotFound", Value: missing},
		{Key: "cursorsAlive", Value: bson.A{}}, {Key: "cursorsUnknown", Value: bson.A{}},
	}, nil
}

func (c *call) cursorNS(name string) (string, error) {
	coll, err := field[string](c.name, c.body, name)
	return c.db + "." + coll, err
}

// list is a source over encoded documents in memory.
type list []bson.Raw

func (l *list) Next() (bson.Raw, error) {
	if len(*l) == 0 {
		return nil, io.EOF
	}
	doc := (*l)[0]
	*l = (*l)[1:]
	return doc, nil
}

func (*list) Close() {}

// viewSource closes the view that its documents come from.
type viewSource struct {
	source
	view *storage.View
}

func (v viewSource) Close() {
	v.source.Close()
	_ = v.view.Close() // a snapshot of an open store
}
