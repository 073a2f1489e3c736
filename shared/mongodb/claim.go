package mongodb

import (
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Claims describes how items of type T are claimed.
type Claims[T any] struct {
	Field string // the field that a claim sets
	// Match returns the id of an item's document, and what else must match for a claim: the
	// document must not have changed since the item was read.
	Match func(item T) (id string, filter bson.D)
	Set   func(item *T, until time.Time) // sets the field of the item
}

// Claim sets a field of the documents of items to the time until, which identifies the claim.
// It returns the items that it claimed, with the field set. It sends one command, and a second
// one if not all of the documents match.
//
// An error is that of WrapError, with what as the name of the command.
func (k Claims[T]) Claim(ctx context.Context, c *Collection, what string, items []T, until time.Time) ([]T, error) {
	if len(items) == 0 {
		return nil, nil
	}
	writes, ids := make([]mongo.WriteModel, len(items)), make([]string, len(items))
	for i, item := range items {
		id, filter := k.Match(item)
		writes[i] = mongo.NewUpdateOneModel().
			SetFilter(append(bson.D{{Key: "_id", Value: id}}, filter...)).
			SetUpdate(bson.D{{Key: "$set", Value: bson.D{{Key: k.Field, Value: until}}}})
		ids[i] = id
	}
	res, err := c.BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false))
	if err != nil {
		return nil, WrapError(what, err)
	}
	if res.MatchedCount < int64(len(writes)) {
		// The reply contains only the number of documents that matched.
		found, err := FindAll(ctx, c, what,
			bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}, {Key: k.Field, Value: until}},
			options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}), IDOf)
		if err != nil {
			return nil, err
		}
		ids = found
	}
	var claimed []T
	for _, item := range items {
		if id, _ := k.Match(item); slices.Contains(ids, id) {
			k.Set(&item, until)
			claimed = append(claimed, item)
		}
	}
	return claimed, nil
}
