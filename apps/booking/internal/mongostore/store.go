// Package mongostore keeps bookings in MongoDB: one document for each, with its
// outbox in it. Every write is one conditional operation on one document.
package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/apperr"
	"boxoffice/shared/outbox"
)

const (
	connectWithin = 5 * time.Second
	answerWithin  = 5 * time.Second
)

// Config is what Open needs.
type Config struct {
	URI      string
	Database string
	Monitor  *event.CommandMonitor // may be nil
}

// Store is booking's ports in MongoDB. It is safe for concurrent use.
type Store struct {
	client   *mongo.Client
	bookings *mongo.Collection
}

var (
	_ booking.Store  = (*Store)(nil)
	_ booking.Finder = (*Store)(nil)
	_ outbox.Store   = (*Store)(nil)
)

// Open returns a store that connects when it is first used.
func Open(cfg Config) (*Store, error) {
	client, err := mongo.Connect(options.Client().ApplyURI(cfg.URI).
		SetAppName("booking").
		SetMonitor(cfg.Monitor).
		SetServerSelectionTimeout(connectWithin).
		SetTimeout(answerWithin).
		SetReadPreference(readpref.Primary()).
		SetWriteConcern(writeconcern.Majority()))
	if err != nil {
		return nil, fmt.Errorf("mongodb: %w", err)
	}
	return &Store{client: client, bookings: client.Database(cfg.Database).Collection("bookings")}, nil
}

// Ping asks whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.client.Ping(ctx, nil) }

// Close ends the connections.
func (s *Store) Close(ctx context.Context) error { return s.client.Disconnect(ctx) }

// Prepare makes the indexes. One that is there with other options is an error.
func (s *Store) Prepare(ctx context.Context) error {
	if _, err := s.bookings.Indexes().CreateMany(ctx, indexes()); err != nil {
		return fmt.Errorf("indexes of bookings: %w", err)
	}
	return nil
}

// indexes has one for each order of a list, and one for each sweep.
func indexes() []mongo.IndexModel {
	index := func(name string, opts *options.IndexOptionsBuilder, keys ...bson.E) mongo.IndexModel {
		return mongo.IndexModel{Keys: bson.D(keys), Options: opts.SetName(name)}
	}
	asc := func(key string) bson.E { return bson.E{Key: key, Value: 1} }
	desc := func(key string) bson.E { return bson.E{Key: key, Value: -1} }
	return []mongo.IndexModel{
		index("newest", options.Index(), desc("createdAt"), desc("_id")),
		index("newest_of_user", options.Index(), asc("userId"), desc("createdAt"), desc("_id")),
		index("newest_of_event", options.Index(), asc("eventId"), desc("createdAt"), desc("_id")),
		index("newest_of_state", options.Index(), asc("state"), desc("createdAt"), desc("_id")),
		index("due", options.Index(), asc("state"), asc("expiresAt"), asc("_id")),
		index("due_of_event", options.Index(), asc("eventId"), asc("state"), asc("expiresAt"), asc("_id")),
		index("live_of_event", options.Index(), asc("eventId"), asc("state"), asc("_id")),
		index("outbox", options.Index().SetSparse(true), asc("outboxDue"), asc("_id")),
		index("purge", options.Index().SetExpireAfterSeconds(0), asc("purgeAt")),
	}
}

// InsertBooking implements booking.Store.
func (s *Store) InsertBooking(ctx context.Context, b booking.Booking, facts ...booking.Fact) error {
	d := document{ID: b.ID, Fields: toFields(b), Outbox: toRecords(facts, outbox.TraceParent(ctx))}
	if len(facts) > 0 {
		due := firstOf(facts)
		d.OutboxVersion, d.OutboxDue = 1, &due
	}
	_, err := s.bookings.InsertOne(ctx, d)
	if mongo.IsDuplicateKeyError(err) {
		return booking.ErrExists
	}
	if err != nil {
		return failure("insert booking", err)
	}
	return nil
}

// Booking implements booking.Store.
func (s *Store) Booking(ctx context.Context, id string) (booking.Booking, error) {
	var d document
	err := s.bookings.FindOne(ctx, byID(id), options.FindOne().SetProjection(withoutOutbox())).Decode(&d)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return booking.Booking{}, booking.ErrNoBooking
	}
	if err != nil {
		return booking.Booking{}, failure("find booking", err)
	}
	return fromDocument(d), nil
}

// ReplaceBooking implements booking.Store.
func (s *Store) ReplaceBooking(ctx context.Context, b booking.Booking, state booking.State, n int64, facts ...booking.Fact) error {
	change := bson.D{{Key: "$set", Value: toFields(b)}}
	if len(facts) > 0 {
		records := toRecords(facts, outbox.TraceParent(ctx))
		change = append(change,
			bson.E{Key: "$push", Value: bson.D{{Key: "outbox", Value: bson.D{{Key: "$each", Value: records}}}}},
			bson.E{Key: "$inc", Value: bson.D{{Key: "outboxVersion", Value: int64(1)}}},
			bson.E{Key: "$min", Value: bson.D{{Key: "outboxDue", Value: firstOf(facts)}}},
		)
	}
	res, err := s.bookings.UpdateOne(ctx,
		bson.D{{Key: "_id", Value: b.ID}, {Key: "state", Value: string(state)}, {Key: "n", Value: n}}, change)
	if err != nil {
		return failure("replace booking", err)
	}
	if res.MatchedCount == 0 {
		return booking.ErrStale
	}
	return nil
}

// withoutOutbox leaves out what only the relay reads.
func withoutOutbox() bson.D { return bson.D{{Key: "outbox", Value: 0}} }

// failure is what the service makes of an error of the driver's.
func failure(what string, err error) error {
	err = fmt.Errorf("mongodb: %s: %w", what, err)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	return apperr.Lost(err)
}
