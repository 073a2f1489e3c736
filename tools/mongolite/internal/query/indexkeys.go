package query

// Index keys: https://www.mongodb.com/docs/manual/core/indexes/index-types/index-multikey/

import (
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// IndexKeys returns the rows of values under which an index on paths contains
// doc. A row has one value for each path, which is Missing if doc has no value
// there. The rows contain every value that a filter can find at a path, except
// arrays as a whole. If paths lead through an array, there is a row for each of
// its elements.
//
// Bit i of arrays is set if path i leads through an array or ends at one. There
// must be at most 32 paths. IndexKeys returns CannotIndexParallelArrays if two
// paths lead through or end at different arrays.
func IndexKeys(doc bson.D, paths [][]string) (rows [][]any, arrays uint32, err error) {
	columns := make([]keyColumn, len(paths))
	multi := -1 // index of the column whose path contains a number and has several values, or -1
	var values []any
	for i, path := range paths {
		columns[i] = keyColumn{path: path, rest: path, v: doc}
		if !slices.ContainsFunc(path, func(part string) bool { _, ok := parseIndex(part); return ok }) {
			continue
		}
		found, several := numericPathValues(doc, path)
		switch {
		case !several:
			columns[i].v, columns[i].done = found[0], true
		case multi >= 0:
			return nil, 0, parallelArraysError(path, paths[multi])
		default:
			multi, values = i, found
		}
	}
	if multi < 0 {
		return expand(columns)
	}
	for _, v := range values {
		columns[multi].v, columns[multi].done = v, true
		more, others, err := expand(slices.Clone(columns))
		if others != 0 && err == nil {
			err = parallelArraysError(paths[multi], paths[(multi+1)%len(paths)])
		}
		if err != nil {
			return nil, 0, err
		}
		rows = append(rows, more...)
	}
	return rows, 1 << multi, nil
}

func parallelArraysError(a, b []string) error {
	return mongoerr.New(mongoerr.CannotIndexParallelArrays, "cannot index parallel arrays [%s] [%s]", strings.Join(a, "."), strings.Join(b, "."))
}

// numericPathValues returns the values at a path that contains a number. There
// may be several, because the number can be an array index and a field name at
// once. numericPathValues also reports whether there are several values or a
// value is an array.
func numericPathValues(doc bson.D, path []string) (values []any, several bool) {
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

// keyColumn is the progress of the traversal from a document to the value of a
// column.
type keyColumn struct {
	path []string // the whole path
	rest []string // the part of path that is still to be followed
	v    any      // the value reached so far
	done bool     // v is the value of the column
}

// expand follows the path of each column until it reaches a value or an array.
// At an array, it continues with each element in turn. All columns that reach an
// array at this point must reach the same one.
//
// Bit i of arrays is set if column i reaches an array.
func expand(columns []keyColumn) (rows [][]any, arrays uint32, err error) {
	var arr bson.A
	var arrPath []string
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
		if arr != nil && !slices.Equal(here, arrPath) {
			return nil, 0, parallelArraysError(here, arrPath)
		}
		arr, arrPath = a, here
		arrays |= 1 << i
	}
	switch {
	case arr == nil:
		row := make([]any, len(columns))
		for i, c := range columns {
			row[i] = c.v
		}
		return [][]any{row}, 0, nil
	case len(arr) == 0: // the key of an empty array is the array itself
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
		more, inner, err := expand(next)
		if err != nil {
			return nil, 0, err
		}
		rows, arrays = append(rows, more...), arrays|inner
	}
	return rows, arrays, nil
}
