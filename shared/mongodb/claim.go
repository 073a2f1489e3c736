package mongodb

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Claim sets a field of documents to the time until, which identifies the claim, and returns
// the ids of those that it claimed. It claims a document if it matches the filter that
// belongs to its id in filters. It sends one command, and a second one if not all of the
// documents match.
//
// An error is that of WrapError, with what as the name of the command.
func Claim(ctx context.Context, c *Collection, what string, filters map[string]bson.D, field string, until time.Time) (claimed map[string]bool, err error) {
	var writes []mongo.WriteModel
	ids := make(bson.A, 0, len(filters))
	claimed = make(map[string]bool, len(filters))
	for id, filter := range filters {
		writes = append(writes, mongo.NewUpdateOneModel().
			SetFilter(append(bson.D{{Key: "_id", Value: id}}, filter...)).
			SetUpdate(bson.D{{Key: "$set", Value: bson.D{{Key: field, Value: until}}}}))
		ids = append(ids, id)
		claimed[id] = true
	}
	if len(writes) == 0 {
		return claimed, nil
	}
	res, err := c.BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false))
	switch {
	case err != nil:
		return nil, WrapError(what, err)
	case res.MatchedCount == int64(len(writes)):
		return claimed, nil
	}
	// The reply contains only the number of documents that matched.
	found, err := FindAll(ctx, c, what,
		bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}, {Key: field, Value: until}},
		options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}), IDOf)
	if err != nil {
		return nil, err
	}
	clear(claimed)
	for _, id := range found {
		claimed[id] = true
	}
	return claimed, nil
}
