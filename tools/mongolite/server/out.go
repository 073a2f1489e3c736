package server

import (
	"errors"
	"io"
	"slices"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/codec"
	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
	"boxoffice/tools/mongolite/internal/storage"
)

// writeOutput writes the result of a pipeline to the target of its $out or $merge.
// As in MongoDB, $merge writes every document in a separate statement.
func (c *call) writeOutput(out *query.Out, it query.Iterator) error {
	c.wroteOutput = true
	db := c.db
	if out.DB != "" {
		db = out.DB
	}
	ns, err := c.namespace(db, out.Coll)
	if err != nil {
		return err
	}
	if out.Mode == query.OutReplace {
		return c.replaceCollection(ns, it)
	}
	for {
		doc, err := it.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if doc, err = withID(doc); err != nil {
			return err
		}
		err = c.withCollection(ns, true, func(coll *storage.Collection) error {
			return coll.Write(func(tx *storage.Tx) error { return mergeDocument(tx, out, doc) })
		})
		if err != nil {
			return err
		}
	}
}

// replaceCollection implements $out: it replaces all documents of the collection
// in one statement and keeps the indexes.
func (c *call) replaceCollection(ns string, it query.Iterator) error {
	var docs []bson.D
	for {
		doc, err := it.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if doc, err = withID(doc); err != nil {
			return err
		}
		docs = append(docs, doc)
	}
	all, err := c.selection(nil, nil, nil)
	if err != nil {
		return err
	}
	return c.withCollection(ns, true, func(coll *storage.Collection) error {
		return coll.Write(func(tx *storage.Tx) error {
			if _, err := c.deleteMatches(tx, all, 0); err != nil {
				return err
			}
			for _, doc := range docs {
				if err := tx.Insert(doc); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// mergeDocument implements $merge for one document.
// https://www.mongodb.com/docs/manual/reference/operator/aggregation/merge/
func mergeDocument(tx *storage.Tx, out *query.Out, doc bson.D) error {
	key, err := storage.AppendKey(nil, doc[0].Value)
	if err != nil {
		return err
	}
	raw, err := tx.Find(key)
	if err != nil {
		return err
	}
	if raw == nil {
		switch out.WhenNotMatched {
		case "discard":
			return nil
		case "fail":
			return mongoerr.New(13113, "$merge could not find a matching document in the target collection for at least one document in the source collection")
		}
		return tx.Insert(doc)
	}
	old, err := codec.Unmarshal(raw)
	if err != nil {
		return err
	}
	switch out.WhenMatched {
	case "keepExisting":
		return nil
	case "fail":
		return tx.Insert(doc) // fails with a duplicate key error, as MongoDB does
	case "merge":
		merged := slices.Clone(old)
		for _, e := range doc {
			if i := slices.IndexFunc(merged, func(o bson.E) bool { return o.Key == e.Key }); i >= 0 {
				merged[i] = e
			} else {
				merged = append(merged, e)
			}
		}
		doc = merged
	}
	_, _, err = tx.Replace(key, old, doc)
	return err
}
