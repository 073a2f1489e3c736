package mongoevents

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/mongodb"
)

// CountedHolds implements event.Holds.
func (s *Store) CountedHolds(ctx context.Context, eventID, after string, limit int) ([]event.Hold, error) {
	return s.findHolds(ctx, "find counted holds", bson.D{
		{Key: "eventId", Value: eventID},
		{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}},
		{Key: "state", Value: bson.D{{Key: "$in", Value: bson.A{string(event.Held), string(event.Sold)}}}},
	}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)))
}

// EventIDs implements event.Catalogue. Deleted events have no identity, so they are not in its
// index.
func (s *Store) EventIDs(ctx context.Context, after string, limit int) ([]event.Identified, error) {
	type identified struct {
		ID       string `bson:"_id"`
		Identity string `bson:"identity"`
	}
	return mongodb.FindAll(ctx, s.events, "find events in order",
		bson.D{{Key: "identity", Value: bson.D{{Key: "$gt", Value: after}}}},
		options.Find().
			SetSort(bson.D{{Key: "identity", Value: 1}}).
			SetLimit(int64(limit)).
			SetProjection(bson.D{{Key: "_id", Value: 1}, {Key: "identity", Value: 1}}),
		func(d identified) event.Identified { return event.Identified(d) })
}
