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
	var d eventDocument
	err := s.events.FindOne(ctx, byID(id), options.FindOne().SetProjection(
		bson.D{{Key: "outbox", Value: 1}, {Key: "outboxVersion", Value: 1}, {Key: "outboxDue", Value: 1}})).Decode(&d)
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return outbox.Box{}, outbox.ErrNoBox
	case err != nil:
		return outbox.Box{}, failure("find outbox", err)
	}
	return toBox(d), nil
}

// SaveBox implements outbox.Store.
func (s *Store) SaveBox(ctx context.Context, b outbox.Box, due time.Time) error {
	set := bson.D{{Key: "outbox", Value: fromBox(b)}, {Key: "outboxVersion", Value: b.Version + 1}}
	var update bson.D
	if due.IsZero() {
		update = append(update, bson.E{Key: "$unset", Value: bson.D{{Key: "outboxDue", Value: ""}}})
	} else {
		set = append(set, bson.E{Key: "outboxDue", Value: due})
	}
	update = append(update, bson.E{Key: "$set", Value: set})
	res, err := s.events.UpdateOne(ctx, bson.D{{Key: "_id", Value: b.Document}, {Key: "outboxVersion", Value: b.Version}}, update)
	switch {
	case err != nil:
		return failure("save outbox", err)
	case res.MatchedCount == 0:
		return outbox.ErrStale
	}
	return nil
}

// DueBoxes implements outbox.Store.
func (s *Store) DueBoxes(ctx context.Context, now time.Time, limit int) ([]string, error) {
	return s.ids(ctx, "find due outboxes",
		bson.D{{Key: "outboxDue", Value: bson.D{{Key: "$lte", Value: now}}}}, bson.D{{Key: "outboxDue", Value: 1}}, limit)
}
