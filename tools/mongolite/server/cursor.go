package server

import (
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/storage"
)

const (
	cursorTimeout = 10 * time.Minute // an idle cursor is closed after this time
	firstBatch    = 101              // default number of documents in a first batch
	maxBatchSize  = 16 << 20         // bytes
)

// source yields the encoded documents of a cursor. Next returns io.EOF after the
// last one.
type source interface {
	Next() (bson.Raw, error)
	Close()
}

// cursors is the set of open cursors.
// https://www.mongodb.com/docs/manual/core/cursors/
type cursors struct {
	mu   sync.Mutex // guards open, and the fields inUse and lastUsed of every cursor
	open map[int64]*cursor
}

// cursor is an open cursor.
type cursor struct {
	id          int64
	ns          string
	session     string // the session that opened the cursor
	src         source
	interrupter *interrupter
	pending     bson.Raw // a document that was read but did not fit the last batch
	noTimeout   bool     // noCursorTimeout was set
	inUse       bool     // a getMore is reading the cursor
	lastUsed    time.Time
}

// batch reads the next documents: at most n, and no more than fit in a reply.
// done reports whether the source is exhausted.
func (cur *cursor) batch(n int64) (docs bson.A, done bool, err error) {
	docs = bson.A{}
	size := 0
	for int64(len(docs)) < n {
		doc := cur.pending
		cur.pending = nil
		if doc == nil {
			if doc, err = cur.src.Next(); errors.Is(err, io.EOF) {
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

// reply returns the reply with the first batch of src. It keeps a cursor open for
// the rest if documents may be left and single is not set. Otherwise it closes src.
func (c *call) reply(ns string, src source, batch int64, single, noTimeout bool) (bson.D, error) {
	cur := &cursor{ns: ns, session: c.session, src: src, interrupter: c.interrupter, noTimeout: noTimeout, lastUsed: time.Now()}
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

// cursorReply returns the reply of a command that returns a cursor. batch is the
// field name of the documents, firstBatch or nextBatch.
func cursorReply(batch, ns string, id int64, docs bson.A) bson.D {
	return bson.D{{Key: "cursor", Value: bson.D{{Key: batch, Value: docs}, {Key: "id", Value: id}, {Key: "ns", Value: ns}}}}
}

// batchSize returns the batchSize in the cursor document of a command, or def if
// it is absent.
func batchSize(options bson.D, def int64) (int64, error) {
	if err := checkFields("cursor", options, []string{"batchSize"}, nil); err != nil {
		return 0, err
	}
	return integer("cursor", options, "batchSize", def)
}

// add registers cur under a new random id.
func (cs *cursors) add(cur *cursor) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.open == nil {
		cs.open = map[int64]*cursor{}
	}
	for {
		if id := rand.Int64(); id != 0 && cs.open[id] == nil { //nolint:gosec // MongoDB's cursor ids are no secrets either
			cur.id, cs.open[id] = id, cur
			return
		}
	}
}

// acquire returns the cursor with this id for exclusive use by reader, until
// release.
func (cs *cursors) acquire(id int64, ns string, reader *call) (*cursor, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cur := cs.open[id]
	switch {
	case cur == nil:
		return nil, mongoerr.New(mongoerr.CursorNotFound, "cursor id %d not found", id)
	case cur.ns != ns:
		return nil, mongoerr.New(mongoerr.Unauthorized, "Requested getMore on namespace '%s', but cursor belongs to a different namespace %s", ns, cur.ns)
	case cur.inUse:
		return nil, mongoerr.New(mongoerr.CursorInUse, "cursor id %d is already in use", id)
	}
	cur.inUse, cur.interrupter.reader = true, reader
	return cur, nil
}

// release ends the exclusive use of the cursor. It closes the cursor if it has
// ended or was killed in the meantime.
func (cs *cursors) release(cur *cursor, ended bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if ended || cs.open[cur.id] == nil {
		delete(cs.open, cur.id)
		cur.src.Close()
		return
	}
	cur.inUse, cur.lastUsed = false, time.Now()
}

// closeIdle closes the cursors that have been idle for longer than cursorTimeout,
// except those with noCursorTimeout.
func (cs *cursors) closeIdle(now time.Time) {
	cs.kill(func(cur *cursor) bool { return !cur.noTimeout && !cur.inUse && now.Sub(cur.lastUsed) > cursorTimeout })
}

func (cs *cursors) closeAll() { cs.kill(func(*cursor) bool { return true }) }

// kill removes the cursors that match and returns their ids. It closes them at
// once, except a cursor in use: the getMore that reads it closes it in release.
func (cs *cursors) kill(match func(*cursor) bool) (ids []int64) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for id, cur := range cs.open {
		if !match(cur) {
			continue
		}
		delete(cs.open, id)
		ids = append(ids, id)
		if cur.interrupter.killed.Store(true); !cur.inUse {
			cur.src.Close()
		}
	}
	return ids
}

// getMore implements the getMore command.
// https://www.mongodb.com/docs/manual/reference/command/getMore/
func getMore(c *call) (bson.D, error) {
	id, ok := c.body[0].Value.(int64)
	if !ok {
		return nil, wrongType("getMore.getMore", c.body[0].Value, int64(0))
	}
	ns, err := c.cursorNamespace("collection")
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
	cur, err := c.s.cursors.acquire(id, ns, c)
	if err != nil {
		return nil, err
	}
	ended := true // stays true if reading panics
	defer func() { c.s.cursors.release(cur, ended) }()
	docs, done, err := cur.batch(n)
	if ended = done || err != nil; ended {
		id = 0
	}
	return cursorReply("nextBatch", ns, id, docs), err
}

// killCursors implements the killCursors command.
// https://www.mongodb.com/docs/manual/reference/command/killCursors/
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

// cursorNamespace returns the namespace of a cursor whose collection is in the
// field called name. Unlike ns, it accepts names such as $cmd.listCollections.
func (c *call) cursorNamespace(name string) (string, error) {
	coll, err := field[string](c.name, c.body, name)
	return c.db + "." + coll, err
}

// rawList is a source over encoded documents in memory.
type rawList []bson.Raw

// Next implements source.
func (l *rawList) Next() (bson.Raw, error) {
	if len(*l) == 0 {
		return nil, io.EOF
	}
	doc := (*l)[0]
	*l = (*l)[1:]
	return doc, nil
}

// Close implements source. It does nothing.
func (*rawList) Close() {}

// viewSource is a source that also closes the view it reads from.
type viewSource struct {
	source
	view *storage.View
}

// Close closes the source and then the view.
func (v viewSource) Close() {
	v.source.Close()
	_ = v.view.Close() // closing a snapshot of an open store cannot fail
}
