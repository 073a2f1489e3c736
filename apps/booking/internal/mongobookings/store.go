// Package mongobookings stores bookings in MongoDB, and the jobs that cancel them with
// their events. A booking and its outbox are one document, a job is another, and every
// write is one conditional operation on one document.
package mongobookings

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/mongodb"
)

// Store implements booking.Store, booking.Finder and booking.Cancellations. It is safe for
// concurrent use.
type Store struct {
	*mongodb.Client
	bookings      *mongodb.Collection
	inserts       *mongodb.Inserter
	finds         *mongodb.Finder[document]
	pending       *mongodb.Matcher[pendingBooking]
	cancellations *mongodb.Collection
}

var (
	_ booking.Store         = (*Store)(nil)
	_ booking.Finder        = (*Store)(nil)
	_ booking.Cancellations = (*Store)(nil)
)

// Config configures Open.
type Config = mongodb.Config

// Open returns a Store. It does not wait for a connection: the driver connects on
// first use.
func Open(cfg Config) (*Store, error) {
	client, err := mongodb.Connect(cfg, "booking")
	if err != nil {
		return nil, err
	}
	bookings := client.Collection("bookings")
	return &Store{
		Client: client, bookings: bookings, inserts: mongodb.NewInserter(bookings),
		finds:         mongodb.NewFinder[document](bookings, mongodb.WithoutOutbox()),
		pending:       newPendingMatcher(bookings),
		cancellations: client.Collection("cancellations"),
	}, nil
}

// Outbox returns the outbox of the facts about bookings.
func (s *Store) Outbox() *mongodb.Outbox { return mongodb.NewOutbox(s.bookings) }

// Prepare creates the missing indexes. It returns an error if an index exists with
// different options.
func (s *Store) Prepare(ctx context.Context) error {
	if err := s.bookings.CreateIndexes(ctx, indexes()); err != nil {
		return fmt.Errorf("create indexes of bookings: %w", err)
	}
	if err := s.cancellations.CreateIndexes(ctx, cancellationIndexes()); err != nil {
		return fmt.Errorf("create indexes of cancellations: %w", err)
	}
	return nil
}

func index(name string, opts *options.IndexOptionsBuilder, keys ...bson.E) mongo.IndexModel {
	return mongo.IndexModel{Keys: bson.D(keys), Options: opts.SetName(name)}
}

func asc(key string) bson.E { return bson.E{Key: key, Value: 1} }

// InsertBooking implements booking.Store.
func (s *Store) InsertBooking(ctx context.Context, b booking.Booking, facts ...booking.Fact) error {
	err := s.inserts.Insert(ctx, b.EventID, newDocument(ctx, b, facts))
	switch {
	case errors.Is(err, mongodb.ErrTaken):
		return booking.ErrExists
	case err != nil:
		return mongodb.WrapError("insert booking", err)
	}
	return nil
}

// GetBooking implements booking.Store.
func (s *Store) GetBooking(ctx context.Context, id string) (booking.Booking, error) {
	d, err := s.finds.Find(ctx, id)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return booking.Booking{}, booking.ErrNoBooking
	}
	if err != nil {
		return booking.Booking{}, mongodb.WrapError("find booking", err)
	}
	return fromDocument(d), nil
}

// replacement returns the compare-and-set of a change.
func replacement(ctx context.Context, c booking.Change) (filter, update bson.D) {
	filter = bson.D{{Key: "_id", Value: c.Booking.ID}, {Key: "state", Value: string(c.State)}, {Key: "n", Value: c.HoldNumber}}
	update = append(bson.D{{Key: "$set", Value: storedFields(c.Booking)}}, mongodb.PushFacts(ctx, c.Facts)...)
	return filter, append(update, unsetObligations(c.Booking)...)
}

// ReplaceBooking implements booking.Store.
func (s *Store) ReplaceBooking(ctx context.Context, b booking.Booking, state booking.State, holdNumber int64, facts ...booking.Fact) error {
	filter, update := replacement(ctx, booking.Change{Booking: b, State: state, HoldNumber: holdNumber, Facts: facts})
	res, err := s.bookings.UpdateOne(ctx, filter, update)
	if err != nil {
		return mongodb.WrapError("replace booking", err)
	}
	if res.MatchedCount == 0 {
		return booking.ErrStale
	}
	return nil
}
