package mongostore

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/outbox"
)

// Box implements outbox.Store.
func (s *Store) Box(ctx context.Context, id string) (outbox.Box, error) {
	var d document
	err := s.bookings.FindOne(ctx, byID(id), options.FindOne().SetProjection(
		bson.D{{Key: "outbox", Value: 1}, {Key: "outboxVersion", Value: 1}, {Key: "outboxDue", Value: 1}})).Decode(&d)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return outbox.Box{}, outbox.ErrNoBox
	}
	if err != nil {
		return outbox.Box{}, failure("find outbox", err)
	}
	return toBox(d), nil
}

// SaveBox implements outbox.Store.
func (s *Store) SaveBox(ctx context.Context, b outbox.Box, due time.Time) error {
	set := bson.D{{Key: "outbox", Value: fromBox(b)}, {Key: "outboxVersion", Value: b.Version + 1}}
	change := bson.D{}
	if due.IsZero() {
		change = append(change, bson.E{Key: "$unset", Value: bson.D{{Key: "outboxDue", Value: ""}}})
	} else {
		set = append(set, bson.E{Key: "outboxDue", Value: due})
	}
	change = append(change, bson.E{Key: "$set", Value: set})
	res, err := s.bookings.UpdateOne(ctx,
		bson.D{{Key: "_id", Value: b.Document}, {Key: "outboxVersion", Value: b.Version}}, change)
	if err != nil {
		return failure("save outbox", err)
	}
	if res.MatchedCount == 0 {
		return outbox.ErrStale
	}
	return nil
}

// DueBoxes implements outbox.Store.
func (s *Store) DueBoxes(ctx context.Context, now time.Time, limit int) ([]string, error) {
	cursor, err := s.bookings.Find(ctx,
		bson.D{{Key: "outboxDue", Value: bson.D{{Key: "$lte", Value: now}}}},
		options.Find().SetSort(bson.D{{Key: "outboxDue", Value: 1}, {Key: "_id", Value: 1}}).
			SetLimit(int64(limit)).SetProjection(byIDOnly()))
	if err != nil {
		return nil, failure("find due outboxes", err)
	}
	var found []struct {
		ID string `bson:"_id"`
	}
	if err := cursor.All(ctx, &found); err != nil {
		return nil, failure("find due outboxes", err)
	}
	var ids []string
	for _, d := range found {
		ids = append(ids, d.ID)
	}
	return ids, nil
}

func byIDOnly() bson.D { return bson.D{{Key: "_id", Value: 1}} }
