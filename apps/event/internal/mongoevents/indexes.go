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

// Prepare creates the missing indexes. It returns an error if an index with the same name
// but different keys or options exists.
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
			return fmt.Errorf("create indexes of %s: %w", c.collection.Name(), err)
		}
	}
	return nil
}

func index(name string, keys bson.D, o *options.IndexOptionsBuilder) mongo.IndexModel {
	return mongo.IndexModel{Keys: keys, Options: o.SetName(name)}
}

// eventIndexes returns the indexes of the events. Each order of a list has three: for all
// events, for those of a category and for those of an organizer. Each sweep has a partial
// or sparse index, which leaves out events that the sweep cannot match.
func eventIndexes() []mongo.IndexModel {
	indexes := []mongo.IndexModel{
		index("identity", bson.D{{Key: "identity", Value: 1}}, options.Index().SetUnique(true).SetSparse(true)),
		// The key of this index never changes. A move therefore updates the index only if the
		// event had no marks before.
		index("marked", bson.D{{Key: "createdAt", Value: 1}}, options.Index().SetPartialFilterExpression(bson.D{marked()})),
		index("cancelled", bson.D{{Key: "seats.version", Value: 1}, {Key: "seats.committed", Value: 1}},
			options.Index().SetPartialFilterExpression(unfinished())),
		mongodb.OutboxIndex(),
		index("ended", bson.D{{Key: "endsAt", Value: 1}}, options.Index().SetPartialFilterExpression(unsold())),
	}
	for _, prefix := range []string{"", "category", "organizerId"} {
		for _, field := range []string{"startsAt", "name", "createdAt"} {
			name, keys := "by_"+field, bson.D{{Key: field, Value: 1}, {Key: "_id", Value: 1}}
			if prefix != "" {
				name, keys = prefix+"_"+name, append(bson.D{{Key: prefix, Value: 1}}, keys...)
			}
			indexes = append(indexes, index(name, keys, options.Index()))
		}
	}
	return indexes
}

// marked matches events that have marks. It is the filter of the partial index "marked". A
// query can use the index only if it contains the same filter.
func marked() bson.E {
	return bson.E{Key: "seats.marks", Value: bson.D{{Key: "$gt", Value: bson.D{}}}}
}

// unfinished matches cancelled events with committed seats, as the index "cancelled" does.
func unfinished() bson.D {
	return bson.D{
		{Key: "status", Value: string(event.Cancelled)},
		{Key: "seats.committed", Value: bson.D{{Key: "$gt", Value: int64(0)}}},
	}
}

// unsold matches events that never sold a ticket, as the index "ended" does.
func unsold() bson.D { return bson.D{{Key: "seats.everSold", Value: false}} }
