package server

import (
	"math"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/256dpi/lungo/mongokit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/codec"
	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
	"boxoffice/tools/mongolite/internal/storage"
)

// find implements the find command.
// https://www.mongodb.com/docs/manual/reference/command/find/
func find(c *call) (bson.D, error) {
	ns, err := c.ns()
	if err != nil {
		return nil, err
	}
	r := fieldReader{c: c}
	filter, sort, projection := r.doc("filter"), r.doc("sort"), r.doc("projection")
	skip, limit, batch := r.integer("skip", 0), r.integer("limit", 0), r.integer("batchSize", firstBatch)
	single, noTimeout := r.flag("singleBatch"), r.flag("noCursorTimeout")
	hint, hasHint := c.get("hint")
	if r.err != nil {
		return nil, r.err
	}
	if limit < 0 { // older drivers send -n to request n documents in a single batch
		limit, single = -limit, true
	}
	if limit > 0 && limit <= batch { // the first batch reads to the end, so that no cursor stays open
		batch = math.MaxInt64
	}
	if key := idKey(filter); key != nil && len(sort)+len(projection) == 0 && !hasHint && skip == 0 && batch > 0 {
		return c.findByID(ns, key)
	}
	sel, err := c.selection(filter, sort, hint)
	if err != nil {
		return nil, err
	}
	var compiled *query.Projection
	if len(projection) > 0 {
		if compiled, err = query.CompileProjection(projection, c.vars); err != nil {
			return nil, err
		}
	}
	view, err := c.s.view(ns)
	if err != nil {
		return nil, err
	}
	if view == nil {
		return cursorReply("firstBatch", ns, 0, bson.A{}), nil
	}
	maxDocs := 0
	if limit > 0 && skip+limit < 1<<30 {
		maxDocs = int(skip + limit)
	}
	it, f, err := sel.iterate(&view.Reader, c.interrupter.check, maxDocs)
	if err != nil {
		_ = view.Close()
		return nil, err
	}
	var src source = encoder{it, compiled}
	if it == query.Iterator(f) && compiled == nil {
		src = rawMatchScan{f}
	}
	if skip > 0 || limit > 0 {
		src = &skipLimit{source: src, skip: skip, limit: limit}
	}
	return c.reply(ns, viewSource{src, view}, batch, single, noTimeout)
}

// findByID is the fast path of find: one lookup by _id, and no decoding of the
// document.
func (c *call) findByID(ns string, key []byte) (bson.D, error) {
	docs := bson.A{}
	if coll := c.s.store.Collection(ns); coll != nil {
		raw, err := coll.Find(key)
		if err != nil {
			return nil, err
		}
		if raw != nil {
			docs = append(docs, raw)
		}
	}
	return cursorReply("firstBatch", ns, 0, docs), nil
}

// count implements the count command.
// https://www.mongodb.com/docs/manual/reference/command/count/
func count(c *call) (bson.D, error) {
	r := fieldReader{c: c}
	filter, skip, limit := r.doc("query"), r.integer("skip", 0), r.integer("limit", 0)
	if limit < 0 {
		limit = -limit
	}
	n := int64(0)
	err := c.forEach(filter, r.err, func(f *matchScan) (bool, error) {
		n++
		return limit == 0 || n < skip+limit, nil
	})
	n = max(n-skip, 0)
	if n <= 1<<31-1 {
		return bson.D{{Key: "n", Value: int32(n)}}, err
	}
	return bson.D{{Key: "n", Value: n}}, err
}

// distinct implements the distinct command.
// https://www.mongodb.com/docs/manual/reference/command/distinct/
func distinct(c *call) (bson.D, error) {
	r := fieldReader{c: c}
	filter := r.doc("query")
	path, err := field[string](c.name, c.body, "key")
	if r.err == nil {
		r.err = err
	}
	if r.err == nil && path == "" {
		r.err = mongoerr.New(mongoerr.MissingField, "BSON field 'distinct.key' is missing but a required field")
	}
	docs := bsonkit.List{}
	err = c.forEach(filter, r.err, func(f *matchScan) (bool, error) {
		doc, err := f.decode()
		docs = append(docs, &doc)
		return true, err
	})
	if err != nil {
		return nil, err
	}
	values := mongokit.Distinct(docs, path)
	if values == nil {
		values = bson.A{}
	}
	reply := bson.D{{Key: "values", Value: values}}
	if raw, err := codec.Marshal(reply); err == nil && len(raw) > storage.MaxDocument {
		return nil, mongoerr.New(17217, "distinct too big, 16mb cap")
	}
	return reply, nil
}

// forEach calls fn for each document of the command's collection that matches
// filter, until fn returns false. If err is not nil, forEach does nothing and
// returns err.
func (c *call) forEach(filter bson.D, err error, fn func(*matchScan) (bool, error)) error {
	if err != nil {
		return err
	}
	ns, err := c.ns()
	if err != nil {
		return err
	}
	hint, _ := c.get("hint")
	sel, err := c.selection(filter, nil, hint)
	if err != nil {
		return err
	}
	view, err := c.s.view(ns)
	if view == nil || err != nil {
		return err
	}
	defer func() { _ = view.Close() }()
	f, _, err := sel.open(&view.Reader, c.interrupted)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		ok, err := f.advance()
		if !ok || err != nil {
			return err
		}
		if more, err := fn(f); !more || err != nil {
			return err
		}
	}
}

// aggregate implements the aggregate command.
// https://www.mongodb.com/docs/manual/reference/command/aggregate/
func aggregate(c *call) (bson.D, error) {
	r := fieldReader{c: c}
	stages, options := r.array("pipeline"), r.doc("cursor")
	if r.err != nil {
		return nil, r.err
	}
	if _, ok := c.get("cursor"); !ok {
		return nil, mongoerr.New(mongoerr.FailedToParse, "The 'cursor' option is required, except for aggregate with the explain argument")
	}
	batch, err := batchSize(options, firstBatch)
	if err != nil {
		return nil, err
	}
	if stages, err = c.expandListLocalSessions(stages); err != nil {
		return nil, err
	}
	pipeline, err := query.CompilePipeline(stages, c.vars)
	if err != nil {
		return nil, err
	}
	if pipeline.Out() != nil && c.linearizable {
		return nil, mongoerr.New(mongoerr.InvalidOptions, "readConcern level 'linearizable' cannot be used with $out or $merge")
	}
	if docs, ok := pipeline.Source(); ok {
		if _, hasCollection := c.body[0].Value.(string); hasCollection {
			return nil, mongoerr.New(mongoerr.InvalidNamespace, "$documents is only valid as the first stage of a database-level aggregation")
		}
		return c.deliver(c.db+".$cmd.aggregate", pipeline, pipeline.Run(query.Documents(docs)), nil, batch)
	}
	ns, err := c.ns()
	if err != nil {
		return nil, err
	}
	match, sort, rest := pipeline.Head()
	hint, _ := c.get("hint")
	sel, err := c.selection(match, sort, hint)
	if err != nil {
		return nil, err
	}
	view, err := c.s.view(ns)
	if err != nil {
		return nil, err
	}
	if view == nil {
		return c.deliver(ns, pipeline, rest.Run(query.Documents(nil)), nil, batch)
	}
	it, _, err := sel.iterate(&view.Reader, c.interrupter.check, rest.Limit())
	if err != nil {
		_ = view.Close()
		return nil, err
	}
	return c.deliver(ns, pipeline, rest.Run(it), view, batch)
}

// deliver writes the result of a pipeline to the target of its $out or $merge, if
// it has one, and returns a cursor over the result otherwise. It makes sure that
// view, which may be nil, is closed after the last read.
func (c *call) deliver(ns string, p *query.Pipeline, it query.Iterator, view *storage.View, batch int64) (bson.D, error) {
	var src source = encoder{Iterator: it}
	if view != nil {
		src = viewSource{src, view}
	}
	if out := p.Out(); out != nil {
		defer src.Close()
		return cursorReply("firstBatch", ns, 0, bson.A{}), c.writeOutput(out, it)
	}
	return c.reply(ns, src, batch, false, false)
}
