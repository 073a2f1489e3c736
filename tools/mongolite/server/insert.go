package server

import (
	"slices"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
	"boxoffice/tools/mongolite/internal/storage"
)

// insert implements the insert command.
// https://www.mongodb.com/docs/manual/reference/command/insert/
//
// As in MongoDB, each document is a separate statement and may fail alone. The
// store commits all accepted documents together.
func insert(c *call) (bson.D, error) {
	docs, err := c.statements("documents")
	if err != nil {
		return nil, err
	}
	ns, err := c.ns()
	if err != nil {
		return nil, err
	}
	ordered, err := c.boolean("ordered", true)
	if err != nil {
		return nil, err
	}
	var outcomes []outcome
	err = c.withCollection(ns, true, func(coll *storage.Collection) error {
		outcomes = outcomes[:0]
		return coll.Write(func(tx *storage.Tx) error {
			for i, doc := range docs {
				o := outcome{err: c.interrupted()}
				if o.err == nil {
					o.result, o.err = c.insertOne(tx, i, doc)
				}
				outcomes = append(outcomes, o)
				if o.err != nil && (ordered || failsCommand(o.err)) {
					break
				}
			}
			if tx.Empty() { // every document was rejected, or inserted by an earlier attempt
				return nil
			}
			return c.beforeCommit()
		})
	})
	if err != nil {
		return nil, err
	}
	return c.writeReply(outcomes)
}

// insertOne inserts the document of statement i and returns the statement's
// result. If an earlier attempt has inserted the document, insertOne only returns
// the result stored by that attempt.
func (c *call) insertOne(tx *storage.Tx, i int, doc bson.D) (bson.D, error) {
	if result, err := c.storedResult(i); result != nil || err != nil {
		return result, err
	}
	doc, err := withID(doc)
	if err != nil {
		return nil, err
	}
	if err := tx.Insert(doc); err != nil {
		if e := mongoerr.From(err); e.Code == mongoerr.BSONObjectTooLarge { // MongoDB uses another code in inserts
			return nil, mongoerr.New(mongoerr.BadValue, "object to insert too large. %s", e.Message)
		}
		return nil, err
	}
	result := bson.D{{Key: "n", Value: int32(1)}}
	return result, c.storeResult(tx, i, result)
}

// withID returns the document with its _id as the first field. It adds a new
// ObjectID if doc has no _id, and returns an error if doc cannot be stored.
func withID(doc bson.D) (bson.D, error) {
	if err := query.CheckValue(doc); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(doc, func(e bson.E) bool { return e.Key == "_id" })
	switch at {
	case 0:
	case -1:
		return append(bson.D{{Key: "_id", Value: primitive.NewObjectID()}}, doc...), nil
	default:
		id := doc[at]
		doc = append(bson.D{id}, slices.Delete(slices.Clone(doc), at, at+1)...)
	}
	switch id := doc[0].Value.(type) {
	case bson.A, primitive.Regex:
		return nil, mongoerr.New(53, "The '_id' value cannot be of type %s", typeName(id)) // InvalidIdField
	case bson.D:
		for _, e := range id {
			if len(e.Key) > 0 && e.Key[0] == '$' {
				return nil, mongoerr.New(mongoerr.DollarPrefixedFieldName, "_id fields may not contain '$'-prefixed fields: %s is not valid for storage.", e.Key)
			}
		}
	}
	return doc, nil
}
