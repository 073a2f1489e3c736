package storage

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/256dpi/lungo/bsonkit"
	"github.com/256dpi/lungo/mongokit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
)

// IndexSpec defines an index.
// https://www.mongodb.com/docs/manual/reference/command/createIndexes/
type IndexSpec struct {
	ID     uint32 `bson:"id"`
	Name   string `bson:"name"`
	Key    bson.D `bson:"key"`
	Unique bool   `bson:"unique,omitempty"`
	Sparse bool   `bson:"sparse,omitempty"`
	// Partial is the partialFilterExpression. If it is nil, the index contains
	// every document.
	Partial bson.D `bson:"partial,omitempty"`
	// ExpireAfter is expireAfterSeconds. It is nil for an index without a TTL.
	ExpireAfter *int64 `bson:"ttl,omitempty"`
	// Multikey reports whether a document ever had an array on the path of a
	// column. One document may then have several entries. Once set, Multikey is
	// never reset.
	Multikey bool `bson:"multikey,omitempty"`
	// MultikeyColumns has bit i set if a document ever had an array on the path of
	// column i. It is 0 in a multikey index that an earlier version stored; every
	// column then counts as multikey. Use IsMultikey.
	MultikeyColumns uint32 `bson:"multikeyColumns,omitempty"`
}

// Index is an index of a collection. An Index is immutable; a change replaces
// it with a new one.
type Index struct {
	IndexSpec
	Columns []bsonkit.Column
	Filter  *query.Filter // compiled from Partial, or nil
	paths   [][]string    // the paths of Columns, split at the dots
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
		vars, err := query.NewVars(time.Time{}, nil)
		if err != nil {
			return nil, err
		}
		if ix.Filter, err = query.CompileFilter(spec.Partial, vars); err != nil {
			return nil, err
		}
	}
	return ix, nil
}

// IsMultikey reports whether a document may have an array on the path of column i.
func (ix *Index) IsMultikey(i int) bool {
	return ix.Multikey && (ix.MultikeyColumns == 0 || ix.MultikeyColumns&(1<<i) != 0)
}

// withArrays returns ix after it received a document with arrays on the paths of
// the given columns, as query.IndexKeys reports them. It returns ix itself if that
// changes nothing.
func (ix *Index) withArrays(columns uint32) *Index {
	unknown := ix.Multikey && ix.MultikeyColumns == 0
	if unknown || columns&^ix.MultikeyColumns == 0 {
		return ix
	}
	marked := *ix
	marked.Multikey = true
	marked.MultikeyColumns |= columns
	return &marked
}

// IsID reports whether ix is the index of _id. Its entries are the documents
// themselves.
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

// entry is an index entry of a document.
type entry struct {
	key    []byte // keys of the columns, without the index prefix and the document's key
	values []any  // values of the columns
}

// entries returns the entries of doc in the index, sorted and without
// duplicates, and the columns on whose paths doc has an array, as query.IndexKeys
// does. It returns no entries if a sparse or partial index omits doc.
func (ix *Index) entries(doc bson.D) (list []entry, arrays uint32, err error) {
	if ix.Filter != nil {
		if ok, err := ix.Filter.Match(doc); !ok || err != nil {
			return nil, 0, err
		}
	}
	rows, arrays, err := query.IndexKeys(doc, ix.paths)
	if err != nil || ix.Sparse && !slices.ContainsFunc(rows, hasValue) {
		return nil, 0, err
	}
	list = make([]entry, len(rows))
	for i, values := range rows {
		var key []byte
		for j, v := range values {
			if key, err = appendColumn(key, v, ix.Columns[j].Reverse); err != nil {
				return nil, 0, err
			}
		}
		list[i] = entry{key, values}
	}
	if len(list) > 1 {
		slices.SortFunc(list, func(a, b entry) int { return bytes.Compare(a.key, b.key) })
		list = slices.CompactFunc(list, func(a, b entry) bool { return bytes.Equal(a.key, b.key) })
	}
	return list, arrays, nil
}

// hasSameEntries reports whether old and doc share the values that the index
// depends on, so that their entries are the same. False means that the entries
// may differ.
//
// An update copies only the parts of a document that it changes. The check
// therefore succeeds for most indexes in most updates.
func (ix *Index) hasSameEntries(old, doc bson.D) bool {
	if ix.Filter != nil {
		return false
	}
	return !slices.ContainsFunc(ix.paths, func(path []string) bool {
		return !identical(field(old, path[0]), field(doc, path[0]))
	})
}

func field(doc bson.D, name string) any {
	for i := range doc {
		if doc[i].Key == name {
			return doc[i].Value
		}
	}
	return bsonkit.Missing
}

// identical reports whether a and b are the same value, without comparing the
// contents of documents and arrays. It may report false for equal values.
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

func hasValue(row []any) bool {
	return slices.ContainsFunc(row, func(v any) bool { return v != bsonkit.Missing })
}

// appendColumn appends the key of v to key. It inverts the key of v if the
// column is descending.
func appendColumn(key []byte, v any, descending bool) ([]byte, error) {
	from := len(key)
	key, err := AppendKey(key, v)
	if err == nil && descending {
		invert(key[from:])
	}
	return key, err
}

// duplicateKeyError returns MongoDB's error for a key that another document
// already has. Drivers and applications read keyPattern and keyValue; the
// message is for people.
func (ix *Index) duplicateKeyError(ns string, values []any) error {
	keyValue := make(bson.D, len(ix.Columns))
	parts := make([]string, len(ix.Columns))
	for i, column := range ix.Columns {
		v := values[i]
		if v == bsonkit.Missing {
			v = nil
		}
		keyValue[i] = bson.E{Key: column.Path, Value: v}
		parts[i] = column.Path + ": " + shellText(v)
	}
	err := mongoerr.New(mongoerr.DuplicateKey, "E11000 duplicate key error collection: %s index: %s dup key: { %s }", ns, ix.Name, strings.Join(parts, ", "))
	err.Details = bson.D{{Key: "keyPattern", Value: ix.Key}, {Key: "keyValue", Value: keyValue}}
	return err
}

// shellText formats v as the mongo shell does.
func shellText(v any) string {
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
