package mongodb

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/coalesce"
)

// ErrTaken is returned by Insert if another document has the same id, or the same value
// of another unique index.
var ErrTaken = errors.New("a document with this unique key exists")

// Inserter inserts documents into a collection. Concurrent inserts share a command, and
// each gets its own result. It is safe for concurrent use.
type Inserter struct {
	collection *Collection
	batches    *coalesce.Group[*insert]
}

type insert struct {
	document any
	err      error
}

// NewInserter returns an Inserter for a collection.
func NewInserter(collection *Collection) *Inserter {
	return &Inserter{collection, newBatches[*insert]("insert", collection)}
}

// Insert stores a document. Only inserts with the same subject share commands, so a busy
// subject does not delay the others.
//
// It returns ErrTaken if the document conflicts with a stored one. After any other error
// it is unknown whether the document was stored.
func (i *Inserter) Insert(ctx context.Context, subject string, document any) error {
	in := &insert{document: document}
	if err := i.batches.Do(ctx, subject, i.insert, in); err != nil {
		return err
	}
	return in.err
}

// insert stores the documents of a batch and sets the error of each insert.
func (i *Inserter) insert(ctx context.Context, batch []*insert, _ func()) {
	documents := make([]any, len(batch))
	for at, in := range batch {
		documents[at] = in.document
	}
	_, err := i.collection.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
	failed, isBulk := errors.AsType[mongo.BulkWriteException](err)
	if !isBulk || failed.WriteConcernError != nil || len(failed.WriteErrors) == 0 {
		// The command succeeded or failed as a whole.
		for _, in := range batch {
			in.err = err
		}
		return
	}
	for _, e := range failed.WriteErrors {
		batch[e.Index].err = e
		if mongo.IsDuplicateKeyError(e.WriteError) {
			batch[e.Index].err = ErrTaken
		}
	}
}
