package server

import (
	"errors"
	"io"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
	"boxoffice/tools/mongolite/internal/storage"
)

// findAndModify implements the findAndModify command.
// https://www.mongodb.com/docs/manual/reference/command/findAndModify/
func findAndModify(c *call) (bson.D, error) {
	ns, err := c.ns()
	if err != nil {
		return nil, err
	}
	r := fieldReader{c: c}
	mod := modification{interrupted: c.interrupted}
	filter, sort, fields := r.doc("query"), r.doc("sort"), r.doc("fields")
	isDelete, returnNew, arrayFilters := r.flag("remove"), r.flag("new"), r.array("arrayFilters")
	mod.upsert = r.flag("upsert")
	if r.err != nil {
		return nil, r.err
	}
	u, isUpdate := c.get("update")
	switch {
	case isDelete == isUpdate:
		return nil, mongoerr.New(mongoerr.FailedToParse, "Either an update or remove=true must be specified, not both")
	case isDelete && mod.upsert:
		return nil, mongoerr.New(mongoerr.FailedToParse, "Cannot specify both upsert=true and remove=true")
	case isDelete && returnNew:
		return nil, mongoerr.New(mongoerr.FailedToParse, "Cannot specify both new=true and remove=true; 'remove' always returns the deleted document")
	}
	hint, _ := c.get("hint")
	if mod.selection, err = c.selection(filter, sort, hint); err != nil {
		return nil, err
	}
	if isUpdate {
		if mod.update, err = query.CompileUpdate(u, arrayFilters, c.vars); err != nil {
			return nil, err
		}
	}
	projection, err := query.CompileProjection(fields, c.vars)
	if err != nil {
		return nil, err
	}
	var reply bson.D
	err = c.withCollection(ns, mod.upsert, func(coll *storage.Collection) (err error) {
		reply, err = c.runStatement(0, coll, func(tx *storage.Tx) (bson.D, error) { return mod.findAndModify(tx, returnNew, projection) })
		return err
	})
	return reply, err
}

// findAndModify updates, inserts or deletes one document and returns the command's
// reply. The field "value" of the reply holds the document before the
// modification, or after it if returnNew is set.
func (mod *modification) findAndModify(tx *storage.Tx, returnNew bool, projection *query.Projection) (bson.D, error) {
	var old, value bson.D
	last := bson.D{{Key: "n", Value: int32(0)}}
	if mod.update != nil {
		last = append(last, bson.E{Key: "updatedExisting", Value: false})
	}
	if tx != nil {
		it, f, err := mod.iterate(&tx.Reader, mod.interrupted, 1)
		if err != nil {
			return nil, err
		}
		defer it.Close()
		if old, err = it.Next(); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		switch {
		case old == nil && mod.upsert:
			doc, err := mod.insert(tx)
			if err != nil {
				return nil, err
			}
			last = bson.D{{Key: "n", Value: int32(1)}, {Key: "updatedExisting", Value: false}, {Key: "upserted", Value: doc[0].Value}}
			if returnNew {
				value = doc
			}
		case old == nil:
		case mod.update == nil:
			key, err := storage.AppendKey(nil, old[0].Value)
			if err != nil {
				return nil, err
			}
			last[0].Value, value = int32(1), old
			if err := tx.Delete(key, old); err != nil {
				return nil, err
			}
		default:
			doc, _, err := mod.replace(tx, f, old)
			if err != nil {
				return nil, err
			}
			last[0].Value, last[1].Value = int32(1), true
			if value = old; returnNew {
				value = doc
			}
		}
	}
	reply := bson.D{{Key: "lastErrorObject", Value: last}, {Key: "value", Value: nil}}
	if value != nil {
		value, err := projection.Apply(value)
		if err != nil {
			return nil, err
		}
		reply[1].Value = value
	}
	return reply, nil
}
