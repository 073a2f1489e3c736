package mongodb

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/coalesce"
	"boxoffice/shared/telemetry"
)

const (
	// maxShared is how many writes share a command at most.
	maxShared = 32
	// patience is how long a write waits for the command before it.
	patience = time.Second
)

// newBatches is for what may share a command; those whose command another sends have
// a span of its name all the same.
func newBatches[T any](command string, of *mongo.Collection) *coalesce.Group[T] {
	return coalesce.New(coalesce.Config[T]{
		MaxItems: maxShared, Timeout: answerWithin, MaxWait: patience, Follow: telemetry.FollowerSpan(command + " " + of.Name()),
	})
}

// ErrTaken says that there is a document of this id, or one that is unique in
// another way.
var ErrTaken = errors.New("there is such a document")

// Inserter puts new documents into a collection. Those that come together go in one
// command, each by itself all the same. It is safe for concurrent use.
type Inserter struct {
	into    *mongo.Collection
	batches *coalesce.Group[*insert]
}

type insert struct {
	document any
	err      error
}

// NewInserter returns inserts into a collection.
func NewInserter(into *mongo.Collection) *Inserter {
	return &Inserter{into, newBatches[*insert]("insert", into)}
}

// Insert stores a document. Those about the same thing share a command, so that
// what is crowded keeps nobody else waiting. It
// returns ErrTaken when it cannot be there beside another, or the driver's error:
// then it is unknown whether it is.
func (i *Inserter) Insert(ctx context.Context, about string, document any) error {
	in := &insert{document: document}
	if err := i.batches.Do(ctx, about, i.insert, in); err != nil {
		return err
	}
	return in.err
}

func (i *Inserter) insert(ctx context.Context, round []*insert, _ func()) {
	documents := make([]any, len(round))
	for at, in := range round {
		documents[at] = in.document
	}
	_, err := i.into.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
	failed, partly := errors.AsType[mongo.BulkWriteException](err)
	partly = partly && failed.WriteConcernError == nil && len(failed.WriteErrors) > 0
	if !partly {
		for _, in := range round {
			in.err = err
		}
		return
	}
	for _, e := range failed.WriteErrors {
		round[e.Index].err = e
		if mongo.IsDuplicateKeyError(e.WriteError) {
			round[e.Index].err = ErrTaken
		}
	}
}
