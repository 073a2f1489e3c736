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

// selection says which documents a statement is about, and in what order.
type selection struct {
	filter *query.Filter
	sort   *query.Sort // nil for any order
	hint   any         // nil, a name or a key pattern
}

func (c *call) selection(filter, sort bson.D, hint any) (sel selection, err error) {
	if sel.filter, err = query.CompileFilter(filter, c.vars); err != nil {
		return sel, err
	}
	if len(sort) == 1 && sort[0].Key == "$natural" { // the order of a look at all documents
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

// open plans the selection and begins to walk the documents that match.
func (sel selection) open(r *storage.Reader, check func() error) (*found, *plan.Plan, error) {
	p, err := plan.Choose(r.Indexes(), sel.filter.Source(), sel.sort, sel.hint)
	if err != nil {
		return nil, nil, err
	}
	scan := r.Scan(p.Index, slices.Clone(p.Ranges), p.Reverse)
	return &found{scan: scan, filter: sel.filter, all: len(sel.filter.Source()) == 0, check: check}, p, nil
}

// iterate walks the documents that match in the order of the sort; limit is
// how many of them will be read at most, 0 for all.
func (sel selection) iterate(r *storage.Reader, check func() error, limit int) (query.Iterator, *found, error) {
	f, p, err := sel.open(r, check)
	if err != nil {
		return nil, nil, err
	}
	if sel.sort == nil || p.Sorted {
		return f, f, nil
	}
	return query.SortDocs(f, sel.sort, limit), f, nil
}

// found walks the documents that match a filter. It implements query.Iterator.
type found struct {
	scan   *storage.Scan
	filter *query.Filter
	all    bool         // every document matches
	check  func() error // why to stop, nil to go on
	seen   int
	doc    bson.D // the decoded document, nil until it is asked for
}

// advance moves to the next document that matches; false at the end.
func (f *found) advance() (bool, error) {
	for f.scan.Next() {
		if f.seen++; f.seen%256 == 0 {
			if err := f.check(); err != nil {
				return false, err
			}
		}
		f.doc = nil
		if f.all {
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

func (f *found) decode() (bson.D, error) {
	var err error
	if f.doc == nil {
		f.doc, err = codec.Unmarshal(f.scan.Raw())
	}
	return f.doc, err
}

// Next returns the next document that matches, io.EOF at the end.
func (f *found) Next() (bson.D, error) {
	ok, err := f.advance()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, io.EOF
	}
	return f.decode()
}

// Close ends the walk.
func (f *found) Close() { _ = f.scan.Close() } // what it read was checked by Err

// rawFound yields the documents that match as they are stored.
type rawFound struct{ *found }

func (f rawFound) Next() (bson.Raw, error) {
	ok, err := f.advance()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, io.EOF
	}
	return slices.Clone(f.scan.Raw()), nil
}

// encoder yields the documents of an iterator, projected.
type encoder struct {
	query.Iterator
	projection *query.Projection // nil for none
}

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

// window leaves out the first skip documents and all behind limit more.
type window struct {
	source
	skip, limit int64 // a limit of 0 is none
	n           int64
}

func (w *window) Next() (bson.Raw, error) {
	for ; w.n < w.skip; w.n++ {
		if _, err := w.source.Next(); err != nil {
			return nil, err
		}
	}
	if w.limit > 0 && w.n == w.skip+w.limit {
		return nil, io.EOF
	}
	w.n++
	return w.source.Next()
}

// view returns the collection as it is now, nil if there is none of that name.
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

// idKey returns the key of the one document that the filter {_id: value} can
// match, nil for any other filter.
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
