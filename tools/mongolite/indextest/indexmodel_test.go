package indextest_test

import (
	"slices"
	"strconv"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/query"
	"boxoffice/tools/mongolite/internal/storage"
)

// index is the model of an index.
type index struct {
	name           string
	key, options   bson.D
	unique, sparse bool
	partial        *query.Filter
}

// newIndex returns the model of an index with the given key and options.
func newIndex(name string, key, options bson.D) (*index, error) {
	ix := &index{name: name, key: key, options: options}
	ix.unique, _ = lookup(options, "unique").(bool)
	ix.sparse, _ = lookup(options, "sparse").(bool)
	if partial, ok := lookup(options, "partialFilterExpression").(bson.D); ok {
		var err error
		if ix.partial, err = compile(partial); err != nil {
			return nil, err
		}
	}
	return ix, nil
}

// column is the state of the descent to the value of one column of an index.
type column struct {
	v       any      // the value that was reached
	rest    []string // the rest of the path
	reached string   // the path of v, or atElement
}

// atElement stands for the path of an element of an expanded array. Such an
// element is a column's value even if it is an array itself.
const atElement = "done"

// keys returns the distinct keys of doc in the index, sorted. It reports parallel
// if two columns lead through different arrays, because an index cannot hold such a
// document. See
// https://www.mongodb.com/docs/manual/core/indexes/index-types/index-multikey/
func (ix *index) keys(doc bson.D) (keys []string, parallel bool, err error) {
	if ix.partial != nil {
		if ok, err := ix.partial.Match(doc); !ok || err != nil {
			return nil, false, err
		}
	}
	columns := make([]column, len(ix.key))
	for i, e := range ix.key {
		columns[i] = column{v: doc, rest: strings.Split(e.Key, ".")}
	}
	rows, parallel := expand(columns)
	if parallel {
		return nil, true, nil
	}
	if ix.sparse && !slices.ContainsFunc(rows, func(row []any) bool {
		return slices.ContainsFunc(row, func(v any) bool { return v != bsonkit.Missing })
	}) {
		return nil, false, nil
	}
	for _, row := range rows {
		var key []byte
		for _, v := range row {
			if key, err = storage.AppendKey(key, v); err != nil {
				return nil, false, err
			}
		}
		keys = append(keys, string(key))
	}
	slices.Sort(keys)
	return slices.Compact(keys), false, nil
}

// expand returns the rows of column values. An array on the way to a value yields
// a row for each of its elements. All columns that lead through this array take
// their value from the same element.
func expand(columns []column) (rows [][]any, parallel bool) {
	columns = slices.Clone(columns)
	arrayPath := ""
	var arr bson.A
	for i := range columns {
		c := &columns[i]
		for len(c.rest) > 0 {
			d, ok := c.v.(bson.D)
			if !ok {
				break
			}
			c.v, c.reached = bsonkit.Get(&d, c.rest[0]), c.reached+"."+c.rest[0]
			c.rest = c.rest[1:]
		}
		if a, ok := c.v.(bson.A); ok && c.reached != atElement {
			if arrayPath != "" && arrayPath != c.reached {
				return nil, true
			}
			arrayPath, arr = c.reached, a
		} else if len(c.rest) > 0 {
			c.v, c.rest = bsonkit.Missing, nil
		}
	}
	if arrayPath == "" {
		row := make([]any, len(columns))
		for i, c := range columns {
			row[i] = c.v
		}
		return [][]any{row}, false
	}
	elements := arr
	if len(arr) == 0 {
		elements = bson.A{nil}
	}
	for n, e := range elements {
		next := slices.Clone(columns)
		for i := range next {
			c := &next[i]
			switch {
			case c.reached != arrayPath:
				continue
			case len(c.rest) == 0 && len(arr) == 0:
				c.reached = atElement // the key of an empty array is the array itself
			case len(c.rest) == 0:
				c.v, c.reached = e, atElement
			default:
				if c.v = e; !isDocument(e) {
					c.v = bsonkit.Missing
				}
				c.reached += "." + strconv.Itoa(n)
			}
		}
		more, parallel := expand(next)
		if parallel {
			return nil, true
		}
		rows = append(rows, more...)
	}
	return rows, false
}

func isArray(v any) bool { _, ok := v.(bson.A); return ok }

func isDocument(v any) bool { _, ok := v.(bson.D); return ok }

// hasPosition reports whether a column addresses an array element by its
// position. The model has no keys for such an index.
func (ix *index) hasPosition() bool {
	return slices.ContainsFunc(ix.key, func(e bson.E) bool { return strings.ContainsAny(e.Key, "0123456789") })
}

// refusals returns the error codes that are justified if a collection with these
// indexes would contain docs: 11000 for a duplicate key and 171 for parallel
// arrays. It returns none if the indexes allow docs.
func refusals(indexes []*index, docs []bson.D) (codes []int32, err error) {
	for _, ix := range indexes {
		if ix.hasPosition() {
			continue
		}
		holder := map[string]int{}
		for i, doc := range docs {
			keys, parallel, err := ix.keys(doc)
			if err != nil {
				return nil, err
			}
			if parallel {
				codes = append(codes, 171)
			}
			for _, key := range keys {
				if other, ok := holder[key]; ok && other != i && ix.unique {
					codes = append(codes, 11000)
				}
				holder[key] = i
			}
		}
	}
	return codes, nil
}
