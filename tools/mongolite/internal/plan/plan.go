// Package plan chooses how a statement finds its documents: it scans ranges of
// an index or the whole collection.
//
// A plan must yield every document that the filter can match, but it may yield
// others too: the caller applies the filter to each document. A condition that
// the package cannot use therefore makes a plan slower, but never wrong.
//
// The plans follow MongoDB's own index bounds:
//   - https://www.mongodb.com/docs/manual/core/multikey-index-bounds/
//   - https://www.mongodb.com/docs/manual/tutorial/sort-results-with-indexes/
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
	// Index is the index to scan. If it is the index of _id and the plan is not
	// Bounded, the plan scans the whole collection.
	Index   *storage.Index
	Ranges  []storage.Range
	Reverse bool
	// Bounded reports whether the ranges exclude a part of the index.
	Bounded bool
	// Sorted reports whether the plan yields the documents in the order that
	// the statement asks for.
	Sorted bool
	// Bounds describes the interval of each column, for explain.
	Bounds bson.D
}

// maxPoints is the maximum number of ranges in a plan. A column that would
// exceed it does not narrow the ranges further.
const maxPoints = 1000

// Choose returns the best plan for a filter and a sort. The sort may be nil.
//
// A hint is the name or the key pattern of an index, or {$natural: 1 or -1}. If
// it is not nil, the plan uses it. Choose returns an error if the hint names an
// index that does not exist, or a partial index that may lack a matching
// document.
func Choose(indexes []*storage.Index, filter bson.D, sort *query.Sort, hint any) (*Plan, error) {
	conds := conditionsOf(filter)
	var columns []bsonkit.Column
	if sort != nil {
		columns = sort.Columns()
	}
	if hint != nil {
		return planForHint(indexes, conds, columns, hint)
	}
	var best *Plan
	bestScore := -1
	for _, ix := range indexes {
		if !coversMatches(ix, conds) {
			continue
		}
		p, score, err := buildPlan(ix, conds, columns)
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

// planForHint returns the plan that uses the hinted index, or the scan of the
// whole collection that $natural requests.
func planForHint(indexes []*storage.Index, conds conditions, sort []bsonkit.Column, hint any) (*Plan, error) {
	pattern, _ := hint.(bson.D)
	if len(pattern) == 1 && pattern[0].Key == "$natural" {
		p := &Plan{Index: indexes[0], Ranges: []storage.Range{{}}}
		p.Reverse = bsonkit.Compare(pattern[0].Value, int32(0)) < 0
		return p, nil
	}
	for _, ix := range indexes {
		if ix.Name == hint || pattern != nil && bsonkit.Compare(ix.Key, pattern) == 0 {
			if ix.Partial != nil && !implied(ix.Partial, conds) {
				return nil, mongoerr.New(291, "error processing query: the hinted index %s does not contain every document that the query can match", ix.Name)
			}
			p, _, err := buildPlan(ix, conds, sort)
			return p, err
		}
	}
	return nil, mongoerr.New(mongoerr.BadValue, "error processing query: planner returned error :: caused by :: hint provided does not correspond to an existing index")
}

// coversMatches reports whether ix contains every document that can match.
func coversMatches(ix *storage.Index, conds conditions) bool {
	if ix.Partial != nil && !implied(ix.Partial, conds) {
		return false
	}
	if !ix.Sparse {
		return true
	}
	// A sparse index omits documents in which all of its columns are missing.
	// No such document can match if a condition on one of the columns rejects
	// null.
	return slices.ContainsFunc(ix.Columns, func(c bsonkit.Column) bool {
		return slices.ContainsFunc(conds.usable[c.Path], func(c condition) bool { return !c.admitsNull() })
	})
}

// buildPlan returns the plan that scans ix, and a score. A column that is fixed
// to points adds more to the score than a range, and a range adds more than the
// sort order. A unique index with one fixed value for every column gets a bonus.
func buildPlan(ix *storage.Index, conds conditions, sort []bsonkit.Column) (*Plan, int, error) {
	p := &Plan{Index: ix, Ranges: []storage.Range{{}}}
	prefixes := [][]byte{nil}
	score, i := 0, 0
	single := 0 // number of leading columns that are fixed to one value each
	for ; i < len(ix.Columns); i++ {
		column := ix.Columns[i]
		// In a multikey index, the columns of one array have a separate key for
		// each element. Different elements may satisfy the conditions, so only
		// the first of these columns may narrow the ranges.
		if ix.Multikey && slices.ContainsFunc(ix.Columns[:i], func(c bsonkit.Column) bool { return rootField(c) == rootField(column) }) {
			break
		}
		points, interval := resolve(conds.usable[column.Path], ix.IsMultikey(i))
		if points == nil && interval == nil || len(points)*len(prefixes) > maxPoints {
			break
		}
		p.Bounded = true
		if points == nil {
			p.Bounds = append(p.Bounds, bson.E{Key: column.Path, Value: interval.describe()})
			ranges, err := rangesOf(prefixes, interval, column.Reverse)
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
		if prefixes, err = appendPoints(prefixes, points, column.Reverse); err != nil {
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
		score += 100 // the scan yields at most one document
	}
	p.Sorted, p.Reverse = providesOrder(ix, single, sort)
	if p.Sorted {
		score += 2
	}
	return p, score, nil
}

// rootField returns the first part of a column's path.
func rootField(c bsonkit.Column) string {
	name, _, _ := strings.Cut(c.Path, ".")
	return name
}

// providesOrder reports whether a scan of ix yields documents in the order of
// sort, and whether the scan must then run in reverse. The parameter single is the
// number of leading columns of ix that are fixed to one value each. They do not
// affect the order.
//
// A multikey column in the sort, or before a column of the sort, destroys the order
// of the documents, unless it is one of those leading columns. A leading multikey
// column is fixed in the entries of the scan, but not in the documents, so it must
// not be in the sort either.
func providesOrder(ix *storage.Index, single int, sort []bsonkit.Column) (ok, reverse bool) {
	if len(sort) == 0 {
		return false, false
	}
	fixed := func(path string) bool {
		i := slices.IndexFunc(ix.Columns[:single], func(c bsonkit.Column) bool { return c.Path == path })
		return i >= 0 && !ix.IsMultikey(i)
	}
	i, directed := 0, false
	for _, want := range sort {
		if fixed(want.Path) {
			continue
		}
		for i < len(ix.Columns) && i < single && ix.Columns[i].Path != want.Path {
			i++
		}
		if i == len(ix.Columns) || ix.Columns[i].Path != want.Path || ix.IsMultikey(i) {
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

// appendPoints returns every combination of a prefix and a point, sorted and
// without duplicates.
func appendPoints(prefixes [][]byte, points []any, descending bool) ([][]byte, error) {
	next := make([][]byte, 0, len(prefixes)*len(points))
	for _, prefix := range prefixes {
		for _, v := range points {
			// The edge just before v, in index order, is exactly the key of v.
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

// rangesOf returns one range for each prefix, in order: the keys that consist of
// the prefix and a value in s. It omits empty ranges.
func rangesOf(prefixes [][]byte, s *span, descending bool) ([]storage.Range, error) {
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
