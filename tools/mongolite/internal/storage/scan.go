package storage

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"go.mongodb.org/mongo-driver/bson"
)

// Range is a range of index keys from Lo, inclusive, to Hi, exclusive. The keys
// are those of the index's columns, without the index prefix. A nil Hi means
// that the range has no upper bound.
type Range struct{ Lo, Hi []byte }

// isPoint reports whether a range of a single-column index holds exactly one
// value.
func (r Range) isPoint() bool {
	n := len(r.Lo)
	return len(r.Hi) == n+1 && r.Hi[n] == 0xFF && bytes.Equal(r.Lo, r.Hi[:n])
}

// Scan iterates over the documents in ranges of an index.
type Scan struct {
	r       *Reader
	ix      *Index
	it      *pebble.Iterator // nil until the first range is entered
	ranges  []Range          // the ranges that remain
	reverse bool
	inRange bool                // the iterator is at an entry of a range
	seen    map[string]struct{} // keys of the documents already returned; nil unless ix is multikey

	key []byte
	raw bson.Raw
	err error
	// KeysExamined and DocsExamined are the counters that explain reports.
	KeysExamined, DocsExamined int64
}

// Scan returns a scan over ranges of ix. The ranges must be sorted and must not
// overlap. For the index of _id, the scan reads the documents directly. A
// document that has several entries in a multikey index appears once, at the
// first of them.
func (r *Reader) Scan(ix *Index, ranges []Range, reverse bool) *Scan {
	s := &Scan{r: r, ix: ix, ranges: ranges, reverse: reverse}
	if ix.Multikey {
		s.seen = map[string]struct{}{}
	}
	return s
}

// Next advances to the next document. It returns false at the end of the scan
// or after an error.
func (s *Scan) Next() bool {
	for s.err == nil && s.step() {
		s.KeysExamined++
		if s.ix.IsID() {
			s.DocsExamined++
			if s.inRange {
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

// step advances to the next entry, which may be in the next range.
//
// It uses an iterator, except to find a single document by its _id. For that a
// Get is cheaper, because it uses the bloom filters of the tables.
func (s *Scan) step() bool {
	if s.inRange {
		if s.reverse && s.it.Prev() || !s.reverse && s.it.Next() {
			return true
		}
		s.inRange = false
		s.err = s.it.Error()
	}
	for s.err == nil && len(s.ranges) > 0 {
		var next Range
		if last := len(s.ranges) - 1; s.reverse {
			next, s.ranges = s.ranges[last], s.ranges[:last]
		} else {
			next, s.ranges = s.ranges[0], s.ranges[1:]
		}
		if s.ix.IsID() && next.isPoint() {
			s.key = next.Lo
			if s.raw, s.err = s.r.Find(s.key); s.raw != nil {
				return true
			}
			continue
		}
		if s.enterRange(next); s.inRange {
			return true
		}
	}
	return false
}

// enterRange moves the iterator to the first entry of r, if there is one.
func (s *Scan) enterRange(r Range) {
	lo, hi := s.bounds(r)
	if s.it == nil {
		if s.it, s.err = s.r.r.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi}); s.err != nil {
			return
		}
	} else {
		s.it.SetBounds(lo, hi)
	}
	s.inRange = s.reverse && s.it.Last() || !s.reverse && s.it.First()
	if !s.inRange {
		s.err = s.it.Error()
	}
}

// bounds returns the store keys at which r begins and ends.
func (s *Scan) bounds(r Range) (lo, hi []byte) {
	prefix := keyPrefix(tagIndex, s.ix.ID, 0)
	if s.ix.IsID() {
		prefix = keyPrefix(tagDocument, s.r.c.id, 0)
	}
	lo = append(bytes.Clone(prefix), r.Lo...)
	if r.Hi == nil {
		return lo, prefixEnd(prefix)
	}
	return lo, append(prefix, r.Hi...)
}

// Key returns the key of the current document's _id. It is valid until the next
// call of Next.
func (s *Scan) Key() []byte { return s.key }

// Raw returns the current document. It is valid until the next call of Next.
func (s *Scan) Raw() bson.Raw { return s.raw }

// Err returns the error that ended the scan, or nil if there was none.
func (s *Scan) Err() error { return s.err }

// Close releases the iterator.
func (s *Scan) Close() error {
	if s.it == nil {
		return nil
	}
	return s.it.Close()
}
