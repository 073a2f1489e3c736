package query

// Sorting: https://www.mongodb.com/docs/manual/reference/method/cursor.sort/

import (
	"container/heap"
	"errors"
	"io"
	"slices"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// memoryLimit is the maximum number of bytes that a sort or a group keeps in
// memory. MongoDB has the same limit for stages that do not use the disk.
const memoryLimit = 100 << 20

func memoryLimitError(stage string) error {
	return mongoerr.New(mongoerr.QueryExceededMemoryLimit, "%s exceeded memory limit of %d bytes, and mongolite does not spill to disk", stage, memoryLimit)
}

// Sort is a compiled sort order.
type Sort struct {
	columns []bsonkit.Column
	paths   [][]string
}

// CompileSort compiles a sort document. A nil or empty s keeps the order of the
// input.
func CompileSort(s bson.D) (*Sort, error) {
	out := &Sort{}
	for _, e := range s {
		if d, ok := e.Value.(bson.D); ok && len(d) == 1 && d[0].Key == "$meta" {
			return nil, mongoerr.Unsupported("sorting by $meta")
		}
		if e.Key == "$natural" {
			return nil, mongoerr.Unsupported("sorting by $natural")
		}
		path, err := parseFieldPath(e.Key)
		if err != nil {
			return nil, err
		}
		n, ok := wholeNumber(e.Value)
		if !ok || n != 1 && n != -1 {
			return nil, mongoerr.New(15975, "$sort key ordering must be 1 (for ascending) or -1 (for descending)")
		}
		if slices.ContainsFunc(out.columns, func(c bsonkit.Column) bool { return c.Path == e.Key }) {
			return nil, mongoerr.New(7472500, "$sort key must not contain duplicate keys (duplicate: '%s')", e.Key)
		}
		out.columns = append(out.columns, bsonkit.Column{Path: e.Key, Reverse: n < 0})
		out.paths = append(out.paths, path)
	}
	return out, nil
}

// Columns returns the fields of the sort, the most significant first.
func (s *Sort) Columns() []bsonkit.Column { return s.columns }

// Compare returns a negative number if a comes before b, a positive number if a
// comes after b, and 0 if their sort keys are equal.
func (s *Sort) Compare(a, b bson.D) int { return s.compareKeys(s.keys(a), s.keys(b)) }

// Less reports whether a comes before b.
func (s *Sort) Less(a, b bson.D) bool { return s.Compare(a, b) < 0 }

// keys returns the values by which doc is sorted. The key of an array is its
// least element or, for a descending field, its greatest. The key of an empty
// array is Missing, which comes before null. The key of a missing field is null.
func (s *Sort) keys(doc bson.D) []any {
	keys := make([]any, len(s.paths))
	for i, path := range s.paths {
		reverse, found := s.columns[i].Reverse, false
		walk(doc, path, false, func(v any) bool {
			values, isArray := v.(bson.A)
			switch {
			case isArray && len(values) == 0:
				values = bson.A{bsonkit.Missing}
			case v == bsonkit.Missing:
				values = bson.A{nil}
			case !isArray:
				values = bson.A{v}
			}
			for _, e := range values {
				if !found || (compare(e, keys[i]) < 0) != reverse && compare(e, keys[i]) != 0 {
					keys[i], found = e, true
				}
			}
			return false
		})
	}
	return keys
}

func (s *Sort) compareKeys(a, b []any) int {
	for i, c := range s.columns {
		if n := compare(a[i], b[i]); n != 0 {
			if c.Reverse {
				return -n
			}
			return n
		}
	}
	return 0
}

// SortDocs returns an iterator over the documents of in, sorted by s. The sort is
// stable. If limit is greater than 0, the iterator yields only the first limit
// documents and keeps no more than those in memory. The iterator returns
// QueryExceededMemoryLimit if the documents in memory exceed 100 MiB.
func SortDocs(in Iterator, s *Sort, limit int) Iterator {
	return &sorter{in: in, sort: s, limit: limit}
}

// sorter sorts the documents of in at the first call of Next.
type sorter struct {
	in     Iterator
	sort   *Sort
	limit  int
	sorted bool
	// items holds the documents. If there is a limit, it is a heap during
	// reading, with the document that sorts last on top.
	items []sortItem
}

type sortItem struct {
	doc  bson.D
	keys []any
	seq  int // position in the input
	size int
}

func (s *sorter) compare(a, b sortItem) int {
	if n := s.sort.compareKeys(a.keys, b.keys); n != 0 {
		return n
	}
	return a.seq - b.seq
}

// Len, Less, Swap, Push and Pop implement heap.Interface.

func (s *sorter) Len() int           { return len(s.items) }
func (s *sorter) Less(i, j int) bool { return s.compare(s.items[i], s.items[j]) > 0 }
func (s *sorter) Swap(i, j int)      { s.items[i], s.items[j] = s.items[j], s.items[i] }
func (s *sorter) Push(x any)         { s.items = append(s.items, x.(sortItem)) }
func (s *sorter) Pop() any {
	last := len(s.items) - 1
	x := s.items[last]
	s.items = s.items[:last]
	return x
}

func (s *sorter) Close() { s.items = nil; s.in.Close() }

func (s *sorter) Next() (bson.D, error) {
	if !s.sorted {
		if err := s.fill(); err != nil {
			return nil, err
		}
		slices.SortFunc(s.items, s.compare)
		s.sorted = true
	}
	if len(s.items) == 0 {
		return nil, io.EOF
	}
	doc := s.items[0].doc
	s.items[0] = sortItem{}
	s.items = s.items[1:]
	return doc, nil
}

// fill reads all documents of in. It keeps all of them or, if there is a limit,
// the limit documents that sort first.
func (s *sorter) fill() error {
	used := 0
	for seq := 0; ; seq++ {
		doc, err := s.in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		x := sortItem{doc, s.sort.keys(doc), seq, approxSize(doc)}
		switch {
		case s.limit <= 0:
			s.items = append(s.items, x)
		case len(s.items) < s.limit:
			heap.Push(s, x)
		case s.compare(x, s.items[0]) < 0:
			used -= s.items[0].size
			s.items[0] = x
			heap.Fix(s, 0)
		default:
			continue
		}
		if used += x.size; used > memoryLimit {
			return memoryLimitError("Sort")
		}
	}
}

// sortElements sorts an array in place for the $sort of $push. If spec is a
// number, it sorts by the elements themselves, else by the fields that spec
// names.
func sortElements(arr bson.A, spec any) error {
	d, byField := spec.(bson.D)
	if !byField {
		d = bson.D{{Key: "v", Value: spec}}
	}
	s, err := CompileSort(d)
	if err != nil {
		return mongoerr.New(mongoerr.BadValue, "The $sort element value must be either 1 or -1")
	}
	slices.SortStableFunc(arr, func(a, b any) int {
		if !byField {
			return compare(a, b) * direction(s.columns[0])
		}
		x, _ := a.(bson.D)
		y, _ := b.(bson.D)
		return s.Compare(x, y)
	})
	return nil
}

func direction(c bsonkit.Column) int {
	if c.Reverse {
		return -1
	}
	return 1
}
