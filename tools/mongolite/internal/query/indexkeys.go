package query

// Keys of indexes: https://www.mongodb.com/docs/manual/core/indexes/index-types/index-multikey/

import (
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// IndexKeys returns the rows of values, one for each path, under which an index
// holds doc: whatever a filter can find at a path except an array as a whole,
// Missing where there is nothing. Paths that lead through the same array of
// documents have a row for each of them; doc is multikey if a path meets an
// array. Paths that meet different arrays return CannotIndexParallelArrays.
func IndexKeys(doc bson.D, paths [][]string) (rows [][]any, multikey bool, err error) {
	columns := make([]keyColumn, len(paths))
	numbered := -1
	var values []any
	for i, path := range paths {
		columns[i] = keyColumn{path: path, rest: path, v: doc}
		if !slices.ContainsFunc(path, func(part string) bool { _, ok := index(part); return ok }) {
			continue
		}
		found, several := numberedValues(doc, path)
		switch {
		case !several:
			columns[i].v, columns[i].done = found[0], true
		case numbered >= 0:
			return nil, false, parallel(path, paths[numbered])
		default:
			numbered, values = i, found
		}
	}
	if numbered < 0 {
		return expand(columns)
	}
	for _, v := range values {
		columns[numbered].v, columns[numbered].done = v, true
		more, multikey, err := expand(slices.Clone(columns))
		if multikey && err == nil {
			err = parallel(paths[numbered], paths[(numbered+1)%len(paths)])
		}
		if err != nil {
			return nil, false, err
		}
		rows = append(rows, more...)
	}
	return rows, true, nil
}

func parallel(a, b []string) error {
	return mongoerr.New(mongoerr.CannotIndexParallelArrays, "cannot index parallel arrays [%s] [%s]", strings.Join(a, "."), strings.Join(b, "."))
}

// numberedValues returns what a path with a number in it yields, which may be
// an array's index and a field's name at once, and whether that is more than a
// single value.
func numberedValues(doc bson.D, path []string) (values []any, several bool) {
	walk(doc, path, false, func(v any) bool {
		if arr, ok := v.(bson.A); ok && len(arr) > 0 {
			values, several = append(values, arr...), true
			return false
		} else if ok {
			several = true
		}
		values = append(values, v)
		return false
	})
	if len(values) == 0 {
		values = []any{bsonkit.Missing}
	}
	return values, several || len(values) > 1
}

// keyColumn is how far the walk to a column's value has come.
type keyColumn struct {
	path, rest []string
	v          any
	done       bool
}

// expand follows the columns to their values, or to an array and from there
// through each of its elements.
func expand(columns []keyColumn) (rows [][]any, multikey bool, err error) {
	var arr bson.A
	var to []string // the path of arr
	for i := range columns {
		c := &columns[i]
		if c.done {
			continue
		}
		for d, ok := c.v.(bson.D); ok && len(c.rest) > 0; d, ok = c.v.(bson.D) {
			c.v, c.rest = field(d, c.rest[0]), c.rest[1:]
		}
		a, ok := c.v.(bson.A)
		if !ok {
			if c.done = true; len(c.rest) > 0 {
				c.v = bsonkit.Missing
			}
			continue
		}
		here := c.path[:len(c.path)-len(c.rest)]
		if arr != nil && !slices.Equal(here, to) {
			return nil, false, parallel(here, to)
		}
		arr, to = a, here
	}
	switch {
	case arr == nil:
		row := make([]any, len(columns))
		for i, c := range columns {
			row[i] = c.v
		}
		return [][]any{row}, false, nil
	case len(arr) == 0: // it stands under itself
		arr = bson.A{arr}
	}
	for _, e := range arr {
		next := slices.Clone(columns)
		for i := range next {
			c := &next[i]
			if c.done {
				continue
			}
			if c.v = e; len(c.rest) == 0 {
				c.done = true
			} else if _, ok := e.(bson.D); !ok {
				c.v, c.done = bsonkit.Missing, true
			}
		}
		more, _, err := expand(next)
		if err != nil {
			return nil, false, err
		}
		rows = append(rows, more...)
	}
	return rows, true, nil
}
