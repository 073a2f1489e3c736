package mongoevents

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/mongodb"
)

// Prepare makes the indexes that are not there. An index of the same name with
// other options is an error that names it.
func (s *Store) Prepare(ctx context.Context) error {
	for _, c := range []struct {
		collection *mongo.Collection
		indexes    []mongo.IndexModel
	}{
		{s.events, eventIndexes()},
		{s.holds, []mongo.IndexModel{
			index("to_settle", bson.D{{Key: "settleAt", Value: 1}}, options.Index().SetSparse(true)),
			index("to_purge", bson.D{{Key: "purgeAt", Value: 1}}, options.Index().SetExpireAfterSeconds(0)),
		}},
		{s.limits, []mongo.IndexModel{
			index("stamped", bson.D{{Key: "claimedAt", Value: 1}}, options.Index().SetSparse(true)),
		}},
	} {
		if _, err := c.collection.Indexes().CreateMany(ctx, c.indexes); err != nil {
			return fmt.Errorf("indexes of %s: %w", c.collection.Name(), err)
		}
	}
	return nil
}

func index(name string, keys bson.D, o *options.IndexOptionsBuilder) mongo.IndexModel {
	return mongo.IndexModel{Keys: keys, Options: o.SetName(name)}
}

// eventIndexes has one index for each order of a list, of all events, of a
// category and of an organizer, and one for each sweep, which holds only what the
// sweep is after.
func eventIndexes() []mongo.IndexModel {
	indexes := []mongo.IndexModel{
		index("identity", bson.D{{Key: "identity", Value: 1}}, options.Index().SetUnique(true).SetSparse(true)),
		// By what never changes: moves of seats do not touch it.
		index("marked", bson.D{{Key: "createdAt", Value: 1}}, options.Index().SetPartialFilterExpression(bson.D{marked()})),
		index("cancelled", bson.D{{Key: "seats.version", Value: 1}, {Key: "seats.committed", Value: 1}},
			options.Index().SetPartialFilterExpression(unfinished())),
		mongodb.OutboxIndex(),
		index("ended", bson.D{{Key: "endsAt", Value: 1}}, options.Index().SetPartialFilterExpression(unsold())),
	}
	for _, narrowed := range []string{"", "category", "organizerId"} {
		for _, field := range []string{"startsAt", "name", "createdAt"} {
			name, keys := "by_"+field, bson.D{{Key: field, Value: 1}, {Key: "_id", Value: 1}}
			if narrowed != "" {
				name, keys = narrowed+"_"+name, append(bson.D{{Key: narrowed, Value: 1}}, keys...)
			}
			indexes = append(indexes, index(name, keys, options.Index()))
		}
	}
	return indexes
}

// What the sweeps' indexes hold, and their filters begin with.

func marked() bson.E {
	return bson.E{Key: "seats.marks", Value: bson.D{{Key: "$gt", Value: bson.D{}}}}
}

func unfinished() bson.D {
	return bson.D{
		{Key: "status", Value: string(event.Cancelled)},
		{Key: "seats.committed", Value: bson.D{{Key: "$gt", Value: int64(0)}}},
	}
}

func unsold() bson.D { return bson.D{{Key: "seats.everSold", Value: false}} }
