package storage

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/256dpi/lungo/mongokit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
)

// IndexSpec is the definition of an index.
// https://www.mongodb.com/docs/manual/reference/command/createIndexes/
type IndexSpec struct {
	ID     uint32 `bson:"id"`
	Name   string `bson:"name"`
	Key    bson.D `bson:"key"`
	Unique bool   `bson:"unique,omitempty"`
	Sparse bool   `bson:"sparse,omitempty"`
	// Partial is the partialFilterExpression; nil indexes every document.
	Partial bson.D `bson:"partial,omitempty"`
	// ExpireAfter is expireAfterSeconds; nil for an index without TTL.
	ExpireAfter *int64 `bson:"ttl,omitempty"`
	// Multikey is set for good once a document had an array on the way of a
	// column: one document may then stand at several keys.
	Multikey bool `bson:"multikey,omitempty"`
}

// Index is an index of a collection. It does not change: a changed one takes
// its place.
type Index struct {
	IndexSpec
	Columns []bsonkit.Column
	Filter  *query.Filter // of Partial, nil without
	paths   [][]string    // of Columns
}

func newIndex(spec IndexSpec) (*Index, error) {
	columns, err := mongokit.Columns(&spec.Key)
	if err != nil {
		return nil, mongoerr.New(mongoerr.CannotCreateIndex, "%s", err)
	}
	ix := &Index{IndexSpec: spec, Columns: columns}
	for _, c := range columns {
		ix.paths = append(ix.paths, strings.Split(c.Path, "."))
	}
	if spec.Partial != nil {
		vars, err := query.NewVars(timeZero, nil)
		if err != nil {
			return nil, err
		}
		if ix.Filter, err = query.CompileFilter(spec.Partial, vars); err != nil {
			return nil, err
		}
	}
	return ix, nil
}

// IsID tells whether ix is the index of _id, whose entries are the documents.
func (ix *Index) IsID() bool { return ix.Name == "_id_" }

func (ix *Index) sameKey(key bson.D) bool {
	return slices.EqualFunc(ix.Key, key, func(a, b bson.E) bool {
		return a.Key == b.Key && bsonkit.Compare(a.Value, b.Value) == 0
	})
}

func (ix *Index) sameOptions(o IndexSpec) bool {
	sameTTL := (ix.ExpireAfter == nil) == (o.ExpireAfter == nil) && (o.ExpireAfter == nil || *ix.ExpireAfter == *o.ExpireAfter)
	return ix.Unique == o.Unique && ix.Sparse == o.Sparse && sameTTL &&
		(ix.Partial == nil) == (o.Partial == nil) && bsonkit.Compare(ix.Partial, o.Partial) == 0
}

// entry is one place of a document in an index.
type entry struct {
	key    []byte // of the columns, without the index's prefix and the document's key
	values []any  // of the columns
}

// entries returns where doc stands in the index, sorted and each place once,
// and whether it has an array on the way of a column. A document that a sparse
// or partial index leaves out has none.
func (ix *Index) entries(doc bson.D) (list []entry, multikey bool, err error) {
	if ix.Filter != nil {
		if ok, err := ix.Filter.Match(doc); !ok || err != nil {
			return nil, false, err
		}
	}
	rows, multikey, err := query.IndexKeys(doc, ix.paths)
	if err != nil || ix.Sparse && !slices.ContainsFunc(rows, someValue) {
		return nil, false, err
	}
	list = make([]entry, len(rows))
	for i, values := range rows {
		var key []byte
		for j, v := range values {
			if key, err = appendColumn(key, v, ix.Columns[j].Reverse); err != nil {
				return nil, false, err
			}
		}
		list[i] = entry{key, values}
	}
	if len(list) > 1 {
		slices.SortFunc(list, func(a, b entry) int { return bytes.Compare(a.key, b.key) })
		list = slices.CompactFunc(list, func(a, b entry) bool { return bytes.Equal(a.key, b.key) })
	}
	return list, multikey, nil
}

// keeps tells that the entries of old are those of doc, because doc has the
// very values of old in all that the index looks at. An update leaves them in
// place and copies what it changes, so this is most indexes of most updates.
func (ix *Index) keeps(old, doc bson.D) bool {
	if ix.Filter != nil {
		return false
	}
	return !slices.ContainsFunc(ix.paths, func(path []string) bool {
		return !identical(value(old, path[0]), value(doc, path[0]))
	})
}

func value(doc bson.D, name string) any {
	for i := range doc {
		if doc[i].Key == name {
			return doc[i].Value
		}
	}
	return bsonkit.Missing
}

// identical tells that two values are the same without a look inside; one that
// is merely equal may not be.
func identical(a, b any) bool {
	switch a := a.(type) {
	case bson.D:
		b, ok := b.(bson.D)
		return ok && len(a) > 0 && len(a) == len(b) && &a[0] == &b[0]
	case bson.A:
		b, ok := b.(bson.A)
		return ok && len(a) > 0 && len(a) == len(b) && &a[0] == &b[0]
	case primitive.Binary: // not comparable
		return false
	}
	return a == b
}

func someValue(row []any) bool {
	return slices.ContainsFunc(row, func(v any) bool { return v != bsonkit.Missing })
}

func appendColumn(key []byte, v any, descending bool) ([]byte, error) {
	from := len(key)
	key, err := AppendKey(key, v)
	if err == nil && descending {
		invert(key[from:])
	}
	return key, err
}

// duplicate returns MongoDB's error for a key that another document holds.
// Drivers and applications read keyPattern and keyValue, people the message.
func (ix *Index) duplicate(ns string, values []any) error {
	keyValue := make(bson.D, len(ix.Columns))
	parts := make([]string, len(ix.Columns))
	for i, column := range ix.Columns {
		v := values[i]
		if v == bsonkit.Missing {
			v = nil
		}
		keyValue[i] = bson.E{Key: column.Path, Value: v}
		parts[i] = column.Path + ": " + shell(v)
	}
	err := mongoerr.New(mongoerr.DuplicateKey, "E11000 duplicate key error collection: %s index: %s dup key: { %s }", ns, ix.Name, strings.Join(parts, ", "))
	err.Details = bson.D{{Key: "keyPattern", Value: ix.Key}, {Key: "keyValue", Value: keyValue}}
	return err
}

// shell writes a value as the mongo shell does.
func shell(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case nil:
		return "null"
	case int32, int64, bool, float64:
		return fmt.Sprint(v)
	}
	raw, err := bson.MarshalExtJSON(bson.D{{Key: "", Value: v}}, false, false)
	if err != nil {
		return fmt.Sprint(v)
	}
	text := strings.TrimSuffix(strings.TrimPrefix(string(raw), `{"":`), "}")
	if oid, ok := strings.CutPrefix(text, `{"$oid":"`); ok {
		return "ObjectId('" + strings.TrimSuffix(oid, `"}`) + "')"
	}
	return text
}
