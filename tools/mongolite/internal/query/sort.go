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

// memoryLimit bounds what a sort or group holds, as MongoDB does without disk.
const memoryLimit = 100 << 20

func tooLarge(what string) error {
	return mongoerr.New(mongoerr.QueryExceededMemoryLimit, "%s exceeded memory limit of %d bytes, and mongolite does not spill to disk", what, memoryLimit)
}

// Sort orders documents.
type Sort struct {
	columns []bsonkit.Column
	paths   [][]string
}

// CompileSort compiles a sort document; nil or empty keeps the order.
func CompileSort(s bson.D) (*Sort, error) {
	out := &Sort{}
	for _, e := range s {
		if d, ok := e.Value.(bson.D); ok && len(d) == 1 && d[0].Key == "$meta" {
			return nil, mongoerr.Unsupported("sorting by $meta")
		}
		if e.Key == "$natural" {
			return nil, mongoerr.Unsupported("sorting by $natural")
		}
		path, err := fieldPath(e.Key)
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

// Columns returns the sort's fields in their order.
func (s *Sort) Columns() []bsonkit.Column { return s.columns }

// Compare returns a negative number if a comes before b, 0 if neither does.
func (s *Sort) Compare(a, b bson.D) int { return s.compareKeys(s.keys(a), s.keys(b)) }

// Less reports whether a comes before b.
func (s *Sort) Less(a, b bson.D) bool { return s.Compare(a, b) < 0 }

// keys returns the values that doc is ordered by: of an array its least
// element, or its greatest for a descending field; of an empty one Missing,
// which comes before null; null for no value.
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

// SortDocs returns in's documents in order, equals as they came; with a limit
// above 0 only the first ones, and it holds no more than those. Holding more
// than 100 MiB returns QueryExceededMemoryLimitNoDiskUseAllowed.
func SortDocs(in Iterator, s *Sort, limit int) Iterator {
	return &sorter{in: in, sort: s, limit: limit}
}

type sorter struct {
	in     Iterator
	sort   *Sort
	limit  int
	sorted bool
	held   []sortable // while it reads with a limit, a heap with the last one on top
}

type sortable struct {
	doc  bson.D
	keys []any
	seq  int
	size int
}

func (s *sorter) compare(a, b sortable) int {
	if n := s.sort.compareKeys(a.keys, b.keys); n != 0 {
		return n
	}
	return a.seq - b.seq
}

func (s *sorter) Len() int           { return len(s.held) }
func (s *sorter) Less(i, j int) bool { return s.compare(s.held[i], s.held[j]) > 0 }
func (s *sorter) Swap(i, j int)      { s.held[i], s.held[j] = s.held[j], s.held[i] }
func (s *sorter) Push(x any)         { s.held = append(s.held, x.(sortable)) }
func (s *sorter) Pop() any {
	last := len(s.held) - 1
	x := s.held[last]
	s.held = s.held[:last]
	return x
}

func (s *sorter) Close() { s.held = nil; s.in.Close() }

func (s *sorter) Next() (bson.D, error) {
	if !s.sorted {
		if err := s.fill(); err != nil {
			return nil, err
		}
		slices.SortFunc(s.held, s.compare)
		s.sorted = true
	}
	if len(s.held) == 0 {
		return nil, io.EOF
	}
	doc := s.held[0].doc
	s.held[0] = sortable{}
	s.held = s.held[1:]
	return doc, nil
}

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
		x := sortable{doc, s.sort.keys(doc), seq, size(doc)}
		switch {
		case s.limit <= 0:
			s.held = append(s.held, x)
		case len(s.held) < s.limit:
			heap.Push(s, x)
		case s.compare(x, s.held[0]) < 0:
			used -= s.held[0].size
			s.held[0] = x
			heap.Fix(s, 0)
		default:
			continue
		}
		if used += x.size; used > memoryLimit {
			return tooLarge("Sort")
		}
	}
}

// sortElements orders an array as $push's $sort does: by the elements
// themselves, or by their fields.
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
