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
		collection *mongodb.Collection
		indexes    []mongo.IndexModel
	}{
		{s.events, eventIndexes()},
		{s.holds, []mongo.IndexModel{
			index("by_event", bson.D{{Key: "eventId", Value: 1}, {Key: "_id", Value: 1}}, options.Index()),
			index("to_settle", bson.D{{Key: "settleAt", Value: 1}}, options.Index().SetSparse(true)),
			index("to_purge", bson.D{{Key: "purgeAt", Value: 1}}, options.Index().SetExpireAfterSeconds(0)),
		}},
		{s.limits, []mongo.IndexModel{
			index("stamped", bson.D{{Key: "claimedAt", Value: 1}}, options.Index().SetSparse(true)),
			index("to_purge", bson.D{{Key: "purgeAt", Value: 1}}, options.Index().SetExpireAfterSeconds(0)),
		}},
		{s.log, []mongo.IndexModel{index("old", bson.D{{Key: "at", Value: 1}}, options.Index())}},
	} {
		if err := c.collection.CreateIndexes(ctx, c.indexes); err != nil {
			return fmt.Errorf("create indexes of %s: %w", c.collection.Name(), err)
		}
	}
	return nil
}

func index(name string, keys bson.D, o *options.IndexOptionsBuilder) mongo.IndexModel {
	return mongo.IndexModel{Keys: keys, Options: o.SetName(name)}
}

// eventIndexes returns the indexes of the events. Each field that lists are sorted by has
// one, which serves all lists; see derivedDocument. Each sweep has a partial or sparse
// index, which leaves out events that the sweep cannot match. A move of seats changes no
// key of the indexes of lists and words.
func eventIndexes() []mongo.IndexModel {
	indexes := []mongo.IndexModel{
		index("identity", bson.D{{Key: "identity", Value: 1}}, options.Index().SetUnique(true).SetSparse(true)),
		// The keys of these two indexes never change. A move therefore updates them only if
		// the event had no marks, or no entries, before.
		index("marked", bson.D{{Key: "createdAt", Value: 1}}, options.Index().SetPartialFilterExpression(bson.D{marked()})),
		index("unlogged", bson.D{{Key: "createdAt", Value: 1}}, options.Index().SetPartialFilterExpression(bson.D{unlogged()})),
		index("cancelled", bson.D{{Key: "seats.version", Value: 1}, {Key: "seats.committed", Value: 1}},
			options.Index().SetPartialFilterExpression(unfinished())),
		mongodb.OutboxIndex(),
		mongodb.OutboxTrimIndex(),
		index("ended_unsold", bson.D{{Key: "endsAt", Value: 1}}, options.Index().SetPartialFilterExpression(unsold())),
		index("words", bson.D{{Key: "words", Value: 1}, {Key: "startsAt", Value: 1}}, options.Index()),
		index("to_purge", bson.D{{Key: "purgeAt", Value: 1}},
			options.Index().SetExpireAfterSeconds(0).SetPartialFilterExpression(purgeable())),
	}
	for _, field := range []string{"startsAt", "name", "createdAt"} {
		indexes = append(indexes, index("list_by_"+field,
			bson.D{{Key: "lists", Value: 1}, {Key: field, Value: 1}, {Key: "_id", Value: 1}}, options.Index()))
	}
	return indexes
}

// marked matches events that have marks. It is the filter of the partial index "marked". A
// query can use the index only if it contains the same filter.
func marked() bson.E {
	return bson.E{Key: "seats.marks", Value: bson.D{{Key: "$gt", Value: bson.D{}}}}
}

// unlogged matches events that have log entries. It is the filter of the partial index
// "unlogged".
func unlogged() bson.E {
	return bson.E{Key: "seats.entries", Value: bson.D{{Key: "$gt", Value: bson.D{}}}}
}

// unfinished matches cancelled events with committed seats, as the index "cancelled" does.
func unfinished() bson.D {
	return bson.D{
		{Key: "status", Value: string(event.Cancelled)},
		{Key: "seats.committed", Value: bson.D{{Key: "$gt", Value: int64(0)}}},
	}
}

// unsold matches events that never sold a ticket and are not deleted, as the index
// "ended_unsold" does.
func unsold() bson.D {
	return bson.D{
		{Key: "seats.everSold", Value: false},
		{Key: "identity", Value: bson.D{{Key: "$exists", Value: true}}},
	}
}

// purgeable matches deleted events whose outboxes are empty. A fact leaves the outbox one
// day after it was published, so the TTL index "to_purge" never contains an event with an
// unpublished fact, however long the broker is unreachable.
func purgeable() bson.D {
	return bson.D{
		{Key: "purgeAt", Value: bson.D{{Key: "$exists", Value: true}}},
		{Key: "outbox", Value: bson.A{}},
	}
}
