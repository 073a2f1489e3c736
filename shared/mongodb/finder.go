package mongodb

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/coalesce"
)

// Finder reads documents by their ids. Concurrent reads share a command, and each gets
// its own result. It is safe for concurrent use.
type Finder[D any] struct {
	collection *Collection
	projection bson.D
	batches    *coalesce.Group[*find[D]]
}

type find[D any] struct {
	id       string
	document D
	err      error
}

// NewFinder returns a Finder for a collection whose ids are strings. It reads the fields
// that projection includes.
func NewFinder[D any](collection *Collection, projection bson.D) *Finder[D] {
	return &Finder[D]{collection, projection, newBatches[*find[D]]("find", collection)}
}

// Find returns the document with the given id, as it was at some time during the call.
// It returns mongo.ErrNoDocuments if there is no such document.
func (f *Finder[D]) Find(ctx context.Context, id string) (D, error) {
	one := &find[D]{id: id, err: mongo.ErrNoDocuments}
	if err := f.batches.Do(ctx, "", f.find, one); err != nil {
		one.err = err
	}
	return one.document, one.err
}

// find reads the documents of a batch and sets the result of each find.
func (f *Finder[D]) find(ctx context.Context, batch []*find[D], _ func()) {
	ids := make(bson.A, len(batch))
	for i, one := range batch {
		ids[i] = one.id
	}
	var found []bson.Raw
	err := f.collection.FindEach(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, func(raw bson.Raw) error {
		found = append(found, slices.Clone(raw))
		return nil
	}, options.Find().SetProjection(f.projection))
	for _, one := range batch {
		if err != nil {
			one.err = err
			continue
		}
		for _, raw := range found {
			if id, ok := raw.Lookup("_id").StringValueOK(); ok && id == one.id {
				// Each find decodes its own copy, so that a document that cannot be
				// decoded fails only the calls that read it.
				one.err = bson.Unmarshal(raw, &one.document)
			}
		}
	}
}
