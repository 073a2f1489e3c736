package server

import (
	"errors"
	"io"
	"slices"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/codec"
	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/plan"
	"boxoffice/tools/mongolite/internal/query"
	"boxoffice/tools/mongolite/internal/storage"
)

// selection describes the documents that a statement applies to, and their order.
type selection struct {
	filter *query.Filter
	sort   *query.Sort // nil for any order
	hint   any         // nil, an index name or a key pattern
}

// selection compiles a filter and a sort. An empty hint or sort counts as none.
func (c *call) selection(filter, sort bson.D, hint any) (sel selection, err error) {
	if sel.filter, err = query.CompileFilter(filter, c.vars); err != nil {
		return sel, err
	}
	if len(sort) == 1 && sort[0].Key == "$natural" { // means the order of a collection scan
		sort, hint = nil, sort
	}
	if len(sort) > 0 {
		if sel.sort, err = query.CompileSort(sort); err != nil {
			return sel, err
		}
	}
	if d, ok := hint.(bson.D); !ok || len(d) > 0 {
		sel.hint = hint
	}
	return sel, nil
}

// open plans the selection and starts a scan of the documents that match. The scan
// is in the order of the selection's sort only if the plan is Sorted. It calls
// interrupted every 256 documents; an error from interrupted ends the scan.
func (sel selection) open(r *storage.Reader, interrupted func() error) (*matchScan, *plan.Plan, error) {
	p, err := plan.Choose(r.Indexes(), sel.filter.Source(), sel.sort, sel.hint)
	if err != nil {
		return nil, nil, err
	}
	scan := r.Scan(p.Index, slices.Clone(p.Ranges), p.Reverse)
	return &matchScan{scan: scan, filter: sel.filter, matchesAll: len(sel.filter.Source()) == 0, interrupted: interrupted}, p, nil
}

// iterate returns an iterator over the documents that match, in the order of the
// selection's sort, and the scan that it reads from. If the documents must be
// sorted in memory, the iterator yields only the first limit of them; 0 means no
// limit.
func (sel selection) iterate(r *storage.Reader, interrupted func() error, limit int) (query.Iterator, *matchScan, error) {
	f, p, err := sel.open(r, interrupted)
	if err != nil {
		return nil, nil, err
	}
	if sel.sort == nil || p.Sorted {
		return f, f, nil
	}
	return query.SortDocs(f, sel.sort, limit), f, nil
}

// matchScan scans an index for the documents that match a filter. It implements
// query.Iterator.
type matchScan struct {
	scan        *storage.Scan
	filter      *query.Filter
	matchesAll  bool         // the filter is empty
	interrupted func() error // returns an error if the scan must stop
	examined    int
	doc         bson.D // the decoded current document; nil until decode is called
}

// advance moves to the next document that matches. It returns false at the end.
func (f *matchScan) advance() (bool, error) {
	for f.scan.Next() {
		if f.examined++; f.examined%256 == 0 {
			if err := f.interrupted(); err != nil {
				return false, err
			}
		}
		f.doc = nil
		if f.matchesAll {
			return true, nil
		}
		doc, err := f.decode()
		if err != nil {
			return false, err
		}
		if ok, err := f.filter.Match(doc); ok || err != nil {
			return ok, err
		}
	}
	return false, f.scan.Err()
}

// decode returns the current document.
func (f *matchScan) decode() (bson.D, error) {
	var err error
	if f.doc == nil {
		f.doc, err = codec.Unmarshal(f.scan.Raw())
	}
	return f.doc, err
}

// Next returns the next document that matches, or io.EOF at the end.
func (f *matchScan) Next() (bson.D, error) {
	ok, err := f.advance()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, io.EOF
	}
	return f.decode()
}

// Close ends the scan. It ignores the error because advance has returned the
// scan's errors.
func (f *matchScan) Close() { _ = f.scan.Close() }

// rawMatchScan is a source that yields the matching documents as they are stored.
type rawMatchScan struct{ *matchScan }

// Next implements source.
func (f rawMatchScan) Next() (bson.Raw, error) {
	ok, err := f.advance()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, io.EOF
	}
	return slices.Clone(f.scan.Raw()), nil
}

// encoder is a source that projects and encodes the documents of an iterator.
type encoder struct {
	query.Iterator
	projection *query.Projection // nil means none
}

// Next implements source. It returns an error for a document of more than 16 MiB.
func (e encoder) Next() (bson.Raw, error) {
	doc, err := e.Iterator.Next()
	if err != nil {
		return nil, err
	}
	if e.projection != nil {
		if doc, err = e.projection.Apply(doc); err != nil {
			return nil, err
		}
	}
	raw, err := codec.Marshal(doc)
	if err == nil && len(raw) > storage.MaxDocument {
		err = mongoerr.New(mongoerr.BSONObjectTooLarge, "BSONObj size: %d (0x%X) is invalid. Size must be between 0 and %d(16MB)", len(raw), len(raw), storage.MaxDocument)
	}
	return raw, err
}

// skipLimit is a source that skips the first skip documents of another source and
// then yields at most limit documents.
type skipLimit struct {
	source
	skip, limit int64 // a limit of 0 means none
	read        int64 // documents read from source, including skipped ones
}

// Next implements source.
func (w *skipLimit) Next() (bson.Raw, error) {
	for ; w.read < w.skip; w.read++ {
		if _, err := w.source.Next(); err != nil {
			return nil, err
		}
	}
	if w.limit > 0 && w.read == w.skip+w.limit {
		return nil, io.EOF
	}
	w.read++
	return w.source.Next()
}

// view returns a snapshot of the collection, or nil if it does not exist.
func (s *Server) view(ns string) (*storage.View, error) {
	for {
		coll := s.store.Collection(ns)
		if coll == nil {
			return nil, nil
		}
		view, err := coll.View()
		if !errors.Is(err, storage.ErrDropped) {
			return view, err
		}
	}
}

// idKey returns the storage key of the only document that filter can match, if
// the filter is {_id: value}. It returns nil for every other filter.
func idKey(filter bson.D) []byte {
	if len(filter) != 1 || filter[0].Key != "_id" {
		return nil
	}
	switch filter[0].Value.(type) {
	case bson.D, bson.A, primitive.Regex, nil:
		return nil
	}
	key, err := storage.AppendKey(nil, filter[0].Value)
	if err != nil {
		return nil
	}
	return key
}
