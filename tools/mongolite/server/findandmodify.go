package server

import (
	"io"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
	"boxoffice/tools/mongolite/internal/storage"
)

// findAndModify: https://www.mongodb.com/docs/manual/reference/command/findAndModify/
func findAndModify(c *call) (bson.D, error) {
	ns, err := c.ns()
	if err != nil {
		return nil, err
	}
	r := reading{c: c}
	ch := change{check: c.interrupted}
	filter, sort, fields := r.doc("query"), r.doc("sort"), r.doc("fields")
	deletes, after, arrayFilters := r.flag("remove"), r.flag("new"), r.array("arrayFilters")
	ch.upsert = r.flag("upsert")
	if r.err != nil {
		return nil, r.err
	}
	u, updates := c.get("update")
	switch {
	case deletes == updates:
		return nil, mongoerr.New(mongoerr.FailedToParse, "Either an update or remove=true must be specified, not both")
	case deletes && ch.upsert:
		return nil, mongoerr.New(mongoerr.FailedToParse, "Cannot specify both upsert=true and remove=true")
	case deletes && after:
		return nil, mongoerr.New(mongoerr.FailedToParse, "Cannot specify both new=true and remove=true; 'remove' always returns the deleted document")
	}
	hint, _ := c.get("hint")
	if ch.selection, err = c.selection(filter, sort, hint); err != nil {
		return nil, err
	}
	if updates {
		if ch.update, err = query.CompileUpdate(u, arrayFilters, c.vars); err != nil {
			return nil, err
		}
	}
	shape, err := query.CompileProjection(fields, c.vars)
	if err != nil {
		return nil, err
	}
	var reply bson.D
	err = c.onCollection(ns, ch.upsert, func(coll *storage.Collection) (err error) {
		reply, err = c.statement(0, coll, func(tx *storage.Tx) (bson.D, error) { return ch.one(tx, after, shape) })
		return err
	})
	return reply, err
}

// one changes, inserts or deletes one document and returns findAndModify's
// reply: what it was, or what it is now if after is set.
func (ch *change) one(tx *storage.Tx, after bool, shape *query.Projection) (bson.D, error) {
	var old, value bson.D
	last := bson.D{{Key: "n", Value: int32(0)}}
	if ch.update != nil {
		last = append(last, bson.E{Key: "updatedExisting", Value: false})
	}
	if tx != nil {
		it, f, err := ch.iterate(&tx.Reader, ch.check, 1)
		if err != nil {
			return nil, err
		}
		defer it.Close()
		if old, err = it.Next(); err != nil && err != io.EOF {
			return nil, err
		}
		switch {
		case old == nil && ch.upsert:
			doc, err := ch.insert(tx)
			if err != nil {
				return nil, err
			}
			last = bson.D{{Key: "n", Value: int32(1)}, {Key: "updatedExisting", Value: false}, {Key: "upserted", Value: doc[0].Value}}
			if after {
				value = doc
			}
		case old == nil:
		case ch.update == nil:
			key, err := storage.AppendKey(nil, old[0].Value)
			if err != nil {
				return nil, err
			}
			last[0].Value, value = int32(1), old
			if err := tx.Delete(key, old); err != nil {
				return nil, err
			}
		default:
			doc, _, err := ch.put(tx, f, old)
			if err != nil {
				return nil, err
			}
			last[0].Value, last[1].Value = int32(1), true
			if value = old; after {
				value = doc
			}
		}
	}
	reply := bson.D{{Key: "lastErrorObject", Value: last}, {Key: "value", Value: nil}}
	if value != nil {
		value, err := shape.Apply(value)
		if err != nil {
			return nil, err
		}
		reply[1].Value = value
	}
	return reply, nil
}
