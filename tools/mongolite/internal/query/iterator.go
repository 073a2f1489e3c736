package query

import (
	"errors"
	"io"

	"go.mongodb.org/mongo-driver/bson"
)

// Iterator iterates over documents.
type Iterator interface {
	// Next returns the next document. At the end it returns nil and io.EOF.
	Next() (bson.D, error)
	// Close ends the iteration and releases its resources. It may be called
	// more than once.
	Close()
}

// Documents returns an iterator over docs.
func Documents(docs []bson.D) Iterator {
	return &stream{close: func() { docs = nil }, next: func() (bson.D, error) {
		if len(docs) == 0 {
			return nil, io.EOF
		}
		doc := docs[0]
		docs = docs[1:]
		return doc, nil
	}}
}

// stream is an Iterator made of two functions.
type stream struct {
	next  func() (bson.D, error)
	close func()
}

func (s *stream) Next() (bson.D, error) { return s.next() }
func (s *stream) Close()                { s.close() }

// mapDocs returns an iterator that applies the function each to every document of
// in and yields the results.
func mapDocs(in Iterator, each func(bson.D) (bson.D, error)) Iterator {
	return &stream{close: in.Close, next: func() (bson.D, error) {
		doc, err := in.Next()
		if err != nil {
			return nil, err
		}
		return each(doc)
	}}
}

// gatherDocs returns an iterator over the documents that gather returns. The
// first call of Next calls gather, which reads all documents of in.
func gatherDocs(in Iterator, gather func(Iterator) ([]bson.D, error)) Iterator {
	var out Iterator
	return &stream{close: in.Close, next: func() (bson.D, error) {
		if out == nil {
			docs, err := gather(in)
			if err != nil {
				return nil, err
			}
			out = Documents(docs)
		}
		return out.Next()
	}}
}

// forEach calls do for each document of in. It stops at the first error of do or
// in and returns it.
func forEach(in Iterator, do func(bson.D) error) error {
	for {
		doc, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(doc)
		}
		if err != nil {
			return err
		}
	}
}
