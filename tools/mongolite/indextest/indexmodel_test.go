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

// index is an index of the model.
type index struct {
	name           string
	key, options   bson.D
	unique, sparse bool
	partial        *query.Filter
}

func newIndex(name string, key, options bson.D) (*index, error) {
	ix := &index{name: name, key: key, options: options}
	ix.unique, _ = at(options, "unique").(bool)
	ix.sparse, _ = at(options, "sparse").(bool)
	if partial, ok := at(options, "partialFilterExpression").(bson.D); ok {
		var err error
		if ix.partial, err = compile(partial); err != nil {
			return nil, err
		}
	}
	return ix, nil
}

// column is how far the walk to a column's value has come.
type column struct {
	v     any
	rest  []string
	place string // of an array met on the way
}

// keys returns the keys under which the index holds doc, each once, and
// whether it cannot hold it because two columns lead through two arrays.
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

func expand(columns []column) (rows [][]any, parallel bool) {
	columns = slices.Clone(columns)
	place := ""
	var arr bson.A
	for i := range columns {
		c := &columns[i]
		for len(c.rest) > 0 {
			d, ok := c.v.(bson.D)
			if !ok {
				break
			}
			c.v, c.place = bsonkit.Get(&d, c.rest[0]), c.place+"."+c.rest[0]
			c.rest = c.rest[1:]
		}
		if a, ok := c.v.(bson.A); ok && c.place != "done" {
			if place != "" && place != c.place {
				return nil, true
			}
			place, arr = c.place, a
		} else if len(c.rest) > 0 {
			c.v, c.rest = bsonkit.Missing, nil
		}
	}
	if place == "" {
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
			case c.place != place:
				continue
			case len(c.rest) == 0 && len(arr) == 0:
				c.place = "done" // an empty array stands under itself
			case len(c.rest) == 0:
				c.v, c.place = e, "done"
			default:
				if c.v = e; !isDocument(e) {
					c.v = bsonkit.Missing
				}
				c.place += "." + strconv.Itoa(n)
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

// numbered tells whether a column names an array's element by its index, for
// which the model has no keys.
func (ix *index) numbered() bool {
	return slices.ContainsFunc(ix.key, func(e bson.E) bool { return strings.ContainsAny(e.Key, "0123456789") })
}

// refusals are the codes with which a server may refuse that docs become the
// collection: 11000 for two under one key, 171 for parallel arrays.
func refusals(indexes []*index, docs []bson.D) (codes []int32, err error) {
	for _, ix := range indexes {
		if ix.numbered() {
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
