package mongoevents

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/event/internal/event"
)

// CountedHolds implements event.Holds.
func (s *Store) CountedHolds(ctx context.Context, eventID, after string, limit int) ([]event.Hold, error) {
	return s.findHolds(ctx, "find counted holds", bson.D{
		{Key: "eventId", Value: eventID},
		{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}},
		{Key: "state", Value: bson.D{{Key: "$in", Value: bson.A{string(event.Held), string(event.Sold)}}}},
	}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)))
}

// EventIDs implements event.Catalogue.
func (s *Store) EventIDs(ctx context.Context, after string, limit int) ([]string, error) {
	return s.ids(ctx, "find events in order", bson.D{
		{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}},
		{Key: "status", Value: bson.D{{Key: "$ne", Value: string(event.Deleted)}}},
	}, bson.D{{Key: "_id", Value: 1}}, limit)
}
