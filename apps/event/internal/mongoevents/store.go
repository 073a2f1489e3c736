// Package mongoevents keeps events, holds and limits in MongoDB.
//
// Three collections, and every write is one conditional operation on one document:
//
//	events  {_id, identity, <definition>, status, version, seats: {..., version, marks}, outbox}
//	holds   {_id: <hold>, state, settleAt, purgeAt, ...}
//	limits  {_id: <event>:<user>, used, by: {<hold>: quantity}, version, claimedAt}
//
// The identity (organizer, start and name) is what no two events share; a deleted
// one has none. A released hold is dropped by the database at its purgeAt.
package mongoevents

import (
	"go.mongodb.org/mongo-driver/v2/mongo"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/mongodb"
)

// Store is all stores of the event app, in MongoDB. It is safe for concurrent use.
type Store struct {
	*mongodb.Client
	events *mongo.Collection
	holds  *mongo.Collection
	limits *mongo.Collection
}

var (
	_ event.Events    = (*Store)(nil)
	_ event.Catalogue = (*Store)(nil)
	_ event.Holds     = (*Store)(nil)
	_ event.Limits    = (*Store)(nil)
)

// Config is what Open needs.
type Config = mongodb.Config

// Open returns a store that connects when it is first used. Prepare it before.
func Open(cfg Config) (*Store, error) {
	client, err := mongodb.Connect(cfg, "event")
	if err != nil {
		return nil, err
	}
	return &Store{
		Client: client,
		events: client.DB.Collection("events"), holds: client.DB.Collection("holds"), limits: client.DB.Collection("limits"),
	}, nil
}

// Outbox is where the facts about events wait.
func (s *Store) Outbox() *mongodb.Outbox { return mongodb.NewOutbox(s.events) }
