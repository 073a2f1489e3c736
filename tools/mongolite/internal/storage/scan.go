package storage

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"go.mongodb.org/mongo-driver/bson"
)

// Range is a part of an index: the keys from Lo, inclusive, to Hi, exclusive,
// in the encoding of the index's columns. A nil Hi has no end.
type Range struct{ Lo, Hi []byte }

// point tells whether the range of a one-column index is that of one value.
func (r Range) point() bool {
	n := len(r.Lo)
	return len(r.Hi) == n+1 && r.Hi[n] == 0xFF && bytes.Equal(r.Lo, r.Hi[:n])
}

// Scan walks ranges of an index and yields their documents.
type Scan struct {
	r       *Reader
	ix      *Index
	it      *pebble.Iterator // nil until a range is walked
	ranges  []Range          // still to walk
	reverse bool
	open    bool // it stands in a range
	seen    map[string]struct{}

	key []byte
	raw bson.Raw
	err error
	// KeysExamined and DocsExamined count as explain does.
	KeysExamined, DocsExamined int64
}

// Scan walks ranges, which are sorted and do not overlap, of ix; of the index
// of _id it walks the documents themselves. A document that a multikey index
// holds at several keys is yielded at the first one met.
func (r *Reader) Scan(ix *Index, ranges []Range, reverse bool) *Scan {
	s := &Scan{r: r, ix: ix, ranges: ranges, reverse: reverse}
	if ix.Multikey {
		s.seen = map[string]struct{}{}
	}
	return s
}

// Next moves to the next document; false at the end or an error.
func (s *Scan) Next() bool {
	for s.err == nil && s.step() {
		s.KeysExamined++
		if s.ix.IsID() {
			s.DocsExamined++
			if s.open {
				s.key, s.raw = s.it.Key()[5:], s.it.Value()
			}
			return true
		}
		key := bytes.Clone(s.it.Value())
		if s.seen != nil {
			if _, ok := s.seen[string(key)]; ok {
				continue
			}
			s.seen[string(key)] = struct{}{}
		}
		s.key = key
		if s.raw, s.err = s.r.Find(key); s.err == nil && s.raw == nil {
			s.err = fmt.Errorf("index %s of %s has an entry without a document", s.ix.Name, s.r.c.NS)
		}
		s.DocsExamined++
		return s.err == nil
	}
	return false
}

// step moves to the next entry in any range: with the iterator, or, for one
// document by its _id, with a look-up, which asks the filters of the files and
// not their indexes.
func (s *Scan) step() bool {
	if s.open {
		if s.reverse && s.it.Prev() || !s.reverse && s.it.Next() {
			return true
		}
		s.open = false
		s.err = s.it.Error()
	}
	for s.err == nil && len(s.ranges) > 0 {
		var next Range
		if last := len(s.ranges) - 1; s.reverse {
			next, s.ranges = s.ranges[last], s.ranges[:last]
		} else {
			next, s.ranges = s.ranges[0], s.ranges[1:]
		}
		if s.ix.IsID() && next.point() {
			s.key = next.Lo
			if s.raw, s.err = s.r.Find(s.key); s.raw != nil {
				return true
			}
			continue
		}
		if s.enter(next); s.open {
			return true
		}
	}
	return false
}

// enter puts the iterator on the first entry of a range, if it has one.
func (s *Scan) enter(r Range) {
	lo, hi := s.bounds(r)
	if s.it == nil {
		if s.it, s.err = s.r.r.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi}); s.err != nil {
			return
		}
	} else {
		s.it.SetBounds(lo, hi)
	}
	s.open = s.reverse && s.it.Last() || !s.reverse && s.it.First()
	if !s.open {
		s.err = s.it.Error()
	}
}

func (s *Scan) bounds(r Range) (lo, hi []byte) {
	prefix := numbered(tagIndex, s.ix.ID, 0)
	if s.ix.IsID() {
		prefix = numbered(tagDocument, s.r.c.id, 0)
	}
	lo = append(bytes.Clone(prefix), r.Lo...)
	if r.Hi == nil {
		return lo, after(prefix)
	}
	return lo, append(prefix, r.Hi...)
}

// Key returns the key of the document's _id; it is valid until Next.
func (s *Scan) Key() []byte { return s.key }

// Raw returns the document; it is valid until Next.
func (s *Scan) Raw() bson.Raw { return s.raw }

// Err returns the error that ended the scan, nil at its end.
func (s *Scan) Err() error { return s.err }

// Close releases the iterator.
func (s *Scan) Close() error {
	if s.it == nil {
		return nil
	}
	return s.it.Close()
}
