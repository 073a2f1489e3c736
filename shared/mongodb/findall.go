package mongodb

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// FindAll returns the documents of a collection that match filter, each converted by
// convert. It keeps all of them in memory, so opts should set a limit. An error is that of
// WrapError, with what as the name of the query.
func FindAll[D, T any](ctx context.Context, c *Collection, what string, filter bson.D, opts *options.FindOptionsBuilder, convert func(D) T) ([]T, error) {
	var all []T
	err := c.FindEach(ctx, filter, func(raw bson.Raw) error {
		var d D
		if err := bson.Unmarshal(raw, &d); err != nil {
			return err
		}
		all = append(all, convert(d))
		return nil
	}, opts)
	if err != nil {
		return nil, WrapError(what, err)
	}
	return all, nil
}

// WithID is the part of a document that a projection of _id returns.
type WithID struct {
	ID string `bson:"_id"`
}

// IDOf returns the id.
func IDOf(d WithID) string { return d.ID }
