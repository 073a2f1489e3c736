package mongodb

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/coalesce"
)

// Finder reads documents by their ids. Those that come together are found by one
// command. It is safe for concurrent use.
type Finder[D any] struct {
	from       *mongo.Collection
	projection bson.D
	batches    *coalesce.Group[*find[D]]
}

type find[D any] struct {
	id       string
	document D
	err      error
}

// NewFinder returns finds in a collection whose ids are strings, of what a
// projection leaves.
func NewFinder[D any](from *mongo.Collection, projection bson.D) *Finder[D] {
	return &Finder[D]{from, projection, newBatches[*find[D]]("find", from)}
}

// Find returns a document as it is at some time after it was asked for. The error
// is mongo.ErrNoDocuments when there is none, or the driver's.
func (f *Finder[D]) Find(ctx context.Context, id string) (D, error) {
	one := &find[D]{id: id, err: mongo.ErrNoDocuments}
	if err := f.batches.Do(ctx, "", f.find, one); err != nil {
		one.err = err
	}
	return one.document, one.err
}

func (f *Finder[D]) find(ctx context.Context, round []*find[D], _ func()) {
	ids := make(bson.A, len(round))
	for i, one := range round {
		ids[i] = one.id
	}
	var found []bson.Raw
	cursor, err := f.from.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, options.Find().SetProjection(f.projection))
	if err == nil {
		err = cursor.All(ctx, &found)
	}
	for _, one := range round {
		if err != nil {
			one.err = err
			continue
		}
		for _, raw := range found {
			if id, ok := raw.Lookup("_id").StringValueOK(); ok && id == one.id {
				// Each by itself: what cannot be read fails nobody else.
				one.err = bson.Unmarshal(raw, &one.document)
			}
		}
	}
}
