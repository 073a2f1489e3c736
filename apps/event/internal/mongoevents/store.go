// Package mongoevents stores events, holds, limits and capacity logs in MongoDB.
//
// Every write is a conditional operation on one document, or several independent ones.
// There are four collections:
//
//	events        {_id, <definition>, status, version, seats: {..., version, marks, entries},
//	               opening, outbox, identity, lists, words, purgeAt}
//	holds         {_id: <hold>, state, settleAt, purgeAt, ...}
//	limits        {_id: <event>:<user>, used, by: {<hold>: quantity}, version, claimedAt, purgeAt}
//	capacity_log  {_id: <event>:<version>:<number>, at, cause, available, held, sold, ...}
//
// The last four fields of an event are derived from the others, for indexes. The identity
// (organizer, start and name) is unique. A deleted event has a purgeAt and none of the
// other three.
//
// TTL indexes make the database delete a released hold, a limit without entries, and a
// deleted event with an empty outbox after their purgeAt.
package mongoevents

import (
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/mongodb"
)

// Store implements all storage ports of the event app. It is safe for concurrent use.
type Store struct {
	*mongodb.Client
	events *mongodb.Collection
	holds  *mongodb.Collection
	limits *mongodb.Collection
	log    *mongodb.Collection
}

var (
	_ event.Events    = (*Store)(nil)
	_ event.Catalogue = (*Store)(nil)
	_ event.Holds     = (*Store)(nil)
	_ event.Limits    = (*Store)(nil)

	_ event.CapacityLog = (*Store)(nil)
)

// Config holds the parameters of Open.
type Config = mongodb.Config

// Open returns a store that connects when it is first used. Prepare must be called before
// any other method.
func Open(cfg Config) (*Store, error) {
	client, err := mongodb.Connect(cfg, "event")
	if err != nil {
		return nil, err
	}
	return &Store{
		Client: client,
		events: client.Collection("events"), holds: client.Collection("holds"), limits: client.Collection("limits"),
		log: client.Collection("capacity_log"),
	}, nil
}

// Outbox returns the outboxes of the events.
func (s *Store) Outbox() *mongodb.Outbox { return mongodb.NewOutbox(s.events) }
