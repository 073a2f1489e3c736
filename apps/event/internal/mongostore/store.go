// Package mongostore keeps events, holds and limits in MongoDB.
//
// Three collections, and every write is one conditional operation on one document:
//
//	events  {_id, identity, <definition>, status, version, seats: {..., version, marks}, outbox}
//	holds   {_id: <hold>, state, settleAt, purgeAt, ...}
//	limits  {_id: <event>:<user>, used, by: {<hold>: quantity}, version, claimedAt}
//
// The identity (organizer, start and name) is what no two events share; a deleted
// one has none. A released hold is dropped by the database at its purgeAt.
package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	mongoevent "go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"boxoffice/apps/event/internal/event"
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
	Monitor  *mongoevent.CommandMonitor // may be nil
}

// Store is all stores of the event app, in MongoDB. It is safe for concurrent use.
type Store struct {
	client *mongo.Client
	events *mongo.Collection
	holds  *mongo.Collection
	limits *mongo.Collection
}

var (
	_ event.Events    = (*Store)(nil)
	_ event.Catalogue = (*Store)(nil)
	_ event.Holds     = (*Store)(nil)
	_ event.Limits    = (*Store)(nil)
	_ outbox.Store    = (*Store)(nil)
)

// Open returns a store that connects when it is first used. Prepare it before.
func Open(cfg Config) (*Store, error) {
	client, err := mongo.Connect(options.Client().ApplyURI(cfg.URI).
		SetAppName("event").
		SetMonitor(cfg.Monitor).
		SetServerSelectionTimeout(connectWithin).
		SetTimeout(answerWithin).
		SetReadPreference(readpref.Primary()).
		SetWriteConcern(writeconcern.Majority()))
	if err != nil {
		return nil, fmt.Errorf("mongodb: %w", err)
	}
	db := client.Database(cfg.Database)
	return &Store{
		client: client, events: db.Collection("events"), holds: db.Collection("holds"), limits: db.Collection("limits"),
	}, nil
}

// Ping asks whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.client.Ping(ctx, nil) }

// Close ends the connections.
func (s *Store) Close(ctx context.Context) error { return s.client.Disconnect(ctx) }

// failure is what the service makes of an error of the driver's. No caller passes
// one about a duplicate, which would name what is in the documents.
func failure(what string, err error) error {
	err = fmt.Errorf("mongodb: %s: %w", what, err)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	return apperr.Lost(err)
}
