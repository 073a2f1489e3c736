package mongobookings

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/mongodb"
)

// cancellationDocument is a booking.Cancellation.
type cancellationDocument struct {
	EventID   string     `bson:"_id"`
	Version   int64      `bson:"version"`
	Due       *time.Time `bson:"due,omitempty"` // absent in jobs that are done, so that the sparse index stays small
	Claim     string     `bson:"claim"`
	After     string     `bson:"after"`
	Cancelled int64      `bson:"cancelled"`
	DoneAt    *time.Time `bson:"doneAt,omitempty"`
	PurgeAt   *time.Time `bson:"purgeAt,omitempty"` // MongoDB may delete the document from then on
}

// cancellationIndexes returns the indexes for the query for due jobs and for the purge of
// jobs that are done.
func cancellationIndexes() []mongo.IndexModel {
	return []mongo.IndexModel{
		index("due", options.Index().SetSparse(true), asc("due")),
		index("purge", options.Index().SetExpireAfterSeconds(0), asc("purgeAt")),
	}
}

func toCancellation(c booking.Cancellation) cancellationDocument {
	d := cancellationDocument{
		EventID: c.EventID, Version: c.Version, Due: mongodb.NullTime(c.Due), Claim: c.Claim, After: c.After,
		Cancelled: c.Cancelled, DoneAt: mongodb.NullTime(c.DoneAt),
	}
	if at, ok := c.PurgeAt(); ok {
		d.PurgeAt = &at
	}
	return d
}

func fromCancellation(d cancellationDocument) booking.Cancellation {
	return booking.Cancellation{
		EventID: d.EventID, Version: d.Version, Due: mongodb.ZeroTime(d.Due), Claim: d.Claim, After: d.After,
		Cancelled: d.Cancelled, DoneAt: mongodb.ZeroTime(d.DoneAt),
	}
}

// InsertCancellation implements booking.Cancellations.
func (s *Store) InsertCancellation(ctx context.Context, c booking.Cancellation) error {
	_, err := s.cancellations.InsertOne(ctx, toCancellation(c))
	switch {
	case mongo.IsDuplicateKeyError(err):
		return booking.ErrExists
	case err != nil:
		return mongodb.WrapError("insert cancellation", err)
	}
	return nil
}

// GetCancellation implements booking.Cancellations.
func (s *Store) GetCancellation(ctx context.Context, eventID string) (booking.Cancellation, error) {
	var d cancellationDocument
	err := s.cancellations.FindOne(ctx, bson.D{{Key: "_id", Value: eventID}}).Decode(&d)
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return booking.Cancellation{}, booking.ErrNoCancellation
	case err != nil:
		return booking.Cancellation{}, mongodb.WrapError("find cancellation", err)
	}
	return fromCancellation(d), nil
}

// ReplaceCancellation implements booking.Cancellations.
func (s *Store) ReplaceCancellation(ctx context.Context, c booking.Cancellation) error {
	version := c.Version
	c.Version++
	res, err := s.cancellations.ReplaceOne(ctx,
		bson.D{{Key: "_id", Value: c.EventID}, {Key: "version", Value: version}}, toCancellation(c))
	switch {
	case err != nil:
		return mongodb.WrapError("replace cancellation", err)
	case res.MatchedCount == 0:
		return booking.ErrStale
	}
	return nil
}

// DueCancellations implements booking.Cancellations.
func (s *Store) DueCancellations(ctx context.Context, now time.Time, limit int) ([]booking.Cancellation, error) {
	return mongodb.FindAll(ctx, s.cancellations, "find due cancellations",
		bson.D{{Key: "due", Value: bson.D{{Key: "$lte", Value: now}}}},
		options.Find().SetSort(bson.D{{Key: "due", Value: 1}}).SetLimit(int64(limit)), fromCancellation)
}
