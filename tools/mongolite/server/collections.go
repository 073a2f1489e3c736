package server

import (
	"errors"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/codec"
	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
	"boxoffice/tools/mongolite/internal/storage"
)

// create implements the create command.
// https://www.mongodb.com/docs/manual/reference/command/create/
func create(c *call) (bson.D, error) {
	ns, err := c.ns()
	if err != nil {
		return nil, err
	}
	_, created, err := c.s.store.Create(ns, nil)
	if err == nil && !created {
		err = mongoerr.New(mongoerr.NamespaceExists, "Collection %s already exists.", ns)
	}
	return nil, err
}

// drop implements the drop command.
// https://www.mongodb.com/docs/manual/reference/command/drop/
func drop(c *call) (bson.D, error) {
	ns, err := c.ns()
	if err != nil {
		return nil, err
	}
	coll := c.s.store.Collection(ns)
	if coll == nil {
		return nil, nil
	}
	before := len(coll.Indexes())
	if err := c.s.store.Drop(coll); err != nil && !errors.Is(err, storage.ErrDropped) {
		return nil, err
	}
	return bson.D{{Key: "nIndexesWas", Value: int32(before)}, {Key: "ns", Value: ns}}, nil
}

// dropDatabase implements the dropDatabase command.
// https://www.mongodb.com/docs/manual/reference/command/dropDatabase/
func dropDatabase(c *call) (bson.D, error) {
	colls := c.s.store.Collections(c.db)
	if len(colls) == 0 {
		return nil, nil
	}
	for _, coll := range colls {
		if err := c.s.store.Drop(coll); err != nil && !errors.Is(err, storage.ErrDropped) {
			return nil, err
		}
	}
	return bson.D{{Key: "dropped", Value: c.db}}, nil
}

// listCollections implements the listCollections command.
// https://www.mongodb.com/docs/manual/reference/command/listCollections/
func listCollections(c *call) (bson.D, error) {
	r := fieldReader{c: c}
	filter, nameOnly := r.doc("filter"), r.flag("nameOnly")
	if r.err != nil {
		return nil, r.err
	}
	var docs []bson.D
	for _, coll := range c.s.store.Collections(c.db) {
		doc := bson.D{{Key: "name", Value: strings.TrimPrefix(coll.NS, c.db+".")}, {Key: "type", Value: "collection"}}
		if !nameOnly {
			doc = append(doc,
				bson.E{Key: "options", Value: bson.D{}},
				bson.E{Key: "info", Value: bson.D{{Key: "readOnly", Value: false}}},
				bson.E{Key: "idIndex", Value: describeIndex(coll.Indexes()[0])})
		}
		docs = append(docs, doc)
	}
	return c.listing(c.db+".$cmd.listCollections", docs, filter)
}

// listing returns the reply with a cursor over the documents that match filter.
func (c *call) listing(ns string, docs []bson.D, filter bson.D) (bson.D, error) {
	options, err := c.doc("cursor")
	if err != nil {
		return nil, err
	}
	batch, err := batchSize(options, 1<<31)
	if err != nil {
		return nil, err
	}
	f, err := query.CompileFilter(filter, c.vars)
	if err != nil {
		return nil, err
	}
	var kept rawList
	for _, doc := range docs {
		if ok, err := f.Match(doc); err != nil {
			return nil, err
		} else if !ok {
			continue
		}
		raw, err := codec.Marshal(doc)
		if err != nil {
			return nil, err
		}
		kept = append(kept, raw)
	}
	return c.reply(ns, &kept, batch, false, false)
}

// listDatabases implements the listDatabases command.
// https://www.mongodb.com/docs/manual/reference/command/listDatabases/
func listDatabases(c *call) (bson.D, error) {
	r := fieldReader{c: c}
	filter, nameOnly := r.doc("filter"), r.flag("nameOnly")
	if r.err != nil {
		return nil, r.err
	}
	f, err := query.CompileFilter(filter, c.vars)
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	var dbs []string
	for _, coll := range c.s.store.Collections("") {
		db, _, _ := strings.Cut(coll.NS, ".")
		if _, ok := sizes[db]; !ok {
			dbs = append(dbs, db)
		}
		size, err := coll.Size()
		if err != nil {
			return nil, err
		}
		sizes[db] += size
	}
	slices.Sort(dbs)
	total, docs := int64(0), bson.A{}
	for _, db := range dbs {
		doc := bson.D{{Key: "name", Value: db}}
		if !nameOnly {
			doc = append(doc, bson.E{Key: "sizeOnDisk", Value: sizes[db]}, bson.E{Key: "empty", Value: false})
		}
		if ok, err := f.Match(doc); err != nil {
			return nil, err
		} else if ok {
			docs, total = append(docs, doc), total+sizes[db]
		}
	}
	reply := bson.D{{Key: "databases", Value: docs}}
	if !nameOnly {
		reply = append(reply, bson.E{Key: "totalSize", Value: total})
	}
	return reply, nil
}
