// Package plan decides how the documents that a filter may match are found: by
// ranges of an index or by looking at all of them.
//
// An index only has to yield every document that can match; the filter is
// applied to each. So a condition that is not understood here costs time and
// never an answer. The ideas are those of MongoDB's own index bounds:
// https://www.mongodb.com/docs/manual/core/multikey-index-bounds/,
// https://www.mongodb.com/docs/manual/tutorial/sort-results-with-indexes/.
package plan

import (
	"bytes"
	"slices"
	"strings"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
	"boxoffice/tools/mongolite/internal/storage"
)

// Plan is a way to find the documents of a statement.
type Plan struct {
	Index   *storage.Index // the index of _id without ranges is a look at all documents
	Ranges  []storage.Range
	Reverse bool
	// Bounded is set when the ranges leave something out.
	Bounded bool
	// Sorted is set when the documents come in the order of the statement's sort.
	Sorted bool
	// Bounds are the columns' intervals in words, for explain.
	Bounds bson.D
}

// maxPoints is how many ranges a plan may have before its columns are cut.
const maxPoints = 1000

// Choose returns the plan for a filter and a sort, which may be nil. A hint
// is the name or key pattern of the index to use, or {$natural: 1 or -1}; one
// that names no index is refused, as is one whose partial index does not hold
// every document that can match.
func Choose(indexes []*storage.Index, filter bson.D, sort *query.Sort, hint any) (*Plan, error) {
	conds := conditionsOf(filter)
	var columns []bsonkit.Column
	if sort != nil {
		columns = sort.Columns()
	}
	if hint != nil {
		return hinted(indexes, conds, columns, hint)
	}
	var best *Plan
	bestScore := -1
	for _, ix := range indexes {
		if !usable(ix, conds) {
			continue
		}
		p, score, err := build(ix, conds, columns)
		if err != nil {
			return nil, err
		}
		if ix.Sparse && !p.Bounded {
			continue
		}
		if score > bestScore {
			best, bestScore = p, score
		}
	}
	return best, nil
}

func hinted(indexes []*storage.Index, conds conditions, sort []bsonkit.Column, hint any) (*Plan, error) {
	pattern, _ := hint.(bson.D)
	if len(pattern) == 1 && pattern[0].Key == "$natural" {
		p := &Plan{Index: indexes[0], Ranges: []storage.Range{{}}}
		p.Reverse = bsonkit.Compare(pattern[0].Value, int32(0)) < 0
		return p, nil
	}
	for _, ix := range indexes {
		if ix.Name == hint || pattern != nil && bsonkit.Compare(ix.Key, pattern) == 0 {
			if ix.Partial != nil && !implied(ix.Partial, conds) {
				return nil, mongoerr.New(291, "error processing query: the hinted index %s does not hold every document that the query can match", ix.Name)
			}
			p, _, err := build(ix, conds, sort)
			return p, err
		}
	}
	return nil, mongoerr.New(mongoerr.BadValue, "error processing query: planner returned error :: caused by :: hint provided does not correspond to an existing index")
}

// usable tells whether ix holds every document that can match.
func usable(ix *storage.Index, conds conditions) bool {
	if ix.Partial != nil && !implied(ix.Partial, conds) {
		return false
	}
	if !ix.Sparse {
		return true
	}
	// A sparse index lacks the documents that have none of its columns, which
	// a condition on one of them that null fails cannot match.
	return slices.ContainsFunc(ix.Columns, func(c bsonkit.Column) bool {
		return slices.ContainsFunc(conds.known[c.Path], func(c condition) bool { return !c.admitsNull() })
	})
}

// build returns the plan over ix and how good it is: each column fixed to
// points counts most, then a range, then the sort.
func build(ix *storage.Index, conds conditions, sort []bsonkit.Column) (*Plan, int, error) {
	p := &Plan{Index: ix, Ranges: []storage.Range{{}}}
	prefixes := [][]byte{nil}
	score, i := 0, 0
	single := 0 // leading columns fixed to one value each
	for ; i < len(ix.Columns); i++ {
		column := ix.Columns[i]
		// Columns through one array have keys for each of its elements alone,
		// and another element may meet each condition.
		if ix.Multikey && slices.ContainsFunc(ix.Columns[:i], func(c bsonkit.Column) bool { return root(c) == root(column) }) {
			break
		}
		points, spans := resolve(conds.known[column.Path], ix.Multikey)
		if points == nil && spans == nil || len(points)*len(prefixes) > maxPoints {
			break
		}
		p.Bounded = true
		if points == nil {
			p.Bounds = append(p.Bounds, bson.E{Key: column.Path, Value: spans.describe()})
			ranges, err := cross(prefixes, spans, column.Reverse)
			if err != nil {
				return nil, 0, err
			}
			p.Ranges, prefixes = ranges, nil
			score += 3
			i++
			break
		}
		p.Bounds = append(p.Bounds, bson.E{Key: column.Path, Value: describePoints(points)})
		var err error
		if prefixes, err = extend(prefixes, points, column.Reverse); err != nil {
			return nil, 0, err
		}
		if len(points) == 1 && single == i {
			single++
		}
		score += 10
	}
	if prefixes != nil && i > 0 {
		p.Ranges = make([]storage.Range, len(prefixes))
		for j, prefix := range prefixes {
			p.Ranges[j] = storage.Range{Lo: prefix, Hi: append(bytes.Clone(prefix), 0xFF)}
		}
	}
	if i == len(ix.Columns) && single == i && ix.Unique {
		score += 100 // one document at most
	}
	p.Sorted, p.Reverse = serves(ix, single, sort)
	if p.Sorted {
		score += 2
	}
	return p, score, nil
}

// root returns the field of the document at which a column begins.
func root(c bsonkit.Column) string {
	name, _, _ := strings.Cut(c.Path, ".")
	return name
}

// serves tells whether a walk through ix yields the order of sort, and whether
// backwards. Columns fixed to one value do not count on either side.
func serves(ix *storage.Index, single int, sort []bsonkit.Column) (ok, reverse bool) {
	if len(sort) == 0 || ix.Multikey {
		return false, false
	}
	fixed := func(path string) bool {
		return slices.ContainsFunc(ix.Columns[:single], func(c bsonkit.Column) bool { return c.Path == path })
	}
	i, directed := 0, false
	for _, want := range sort {
		if fixed(want.Path) {
			continue
		}
		for i < len(ix.Columns) && i < single && ix.Columns[i].Path != want.Path {
			i++
		}
		if i == len(ix.Columns) || ix.Columns[i].Path != want.Path {
			return false, false
		}
		if r := ix.Columns[i].Reverse != want.Reverse; !directed {
			reverse, directed = r, true
		} else if r != reverse {
			return false, false
		}
		i++
	}
	return true, reverse
}

// extend appends each point to each prefix; the results are sorted.
func extend(prefixes [][]byte, points []any, descending bool) ([][]byte, error) {
	next := make([][]byte, 0, len(prefixes)*len(points))
	for _, prefix := range prefixes {
		for _, v := range points {
			// Just before the value in the order of the index lies exactly its key.
			key, err := storage.Bound{Value: v, After: descending}.Append(bytes.Clone(prefix), descending)
			if err != nil {
				return nil, err
			}
			next = append(next, key)
		}
	}
	slices.SortFunc(next, bytes.Compare)
	return slices.CompactFunc(next, bytes.Equal), nil
}

// cross returns the span behind each prefix, in order.
func cross(prefixes [][]byte, s *span, descending bool) ([]storage.Range, error) {
	var list []storage.Range
	for _, prefix := range prefixes {
		r, err := storage.Span(prefix, s.lo, s.hi, descending)
		if err != nil {
			return nil, err
		}
		if bytes.Compare(r.Lo, r.Hi) < 0 {
			list = append(list, r)
		}
	}
	return list, nil
}
