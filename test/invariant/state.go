// Package invariant holds a running system against what must be true of seats and
// bookings, from outside: it reads the stores, the stream of facts and the edge,
// and compares them with one another and with a ledger of what clients were
// answered. What it finds is named as in the booking protocol:
//
//	I1  no event has more seats taken than it has
//	I2  counters, holds and live bookings make the same sums
//	I3  what was answered 201 is there, what was refused is not
//	I4  one key is one booking with one hold, however often it was sent
//	I5  each fact is in the stream once
//	I6  nothing is pending past its expiry, no hold outlives its booking
//	I7  every outbox is drained
//	I8  no user has more of an event than its limit
//
// I1 holds at every instant, the others when nothing is under way and the sweeps
// have had their time.
package invariant

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// State is what the stores, the stream and the edge say of some events.
type State struct {
	At       time.Time // not after the reading began
	Events   map[string]Event
	Holds    map[string]Hold
	Limits   []Limit
	Bookings map[string]Booking // refused records are none

	// What is nil was not read, and is not compared.
	Facts  []Fact                           // of the streams, each as often as it is there
	Seats  map[string]eventapi.Availability // as the edge says, by event
	Listed map[string]bookingapi.Booking    // as the edge lists them for an admin
}

// Event is an event's document, as far as it matters here.
type Event struct {
	ID         string `bson:"_id"`
	MaxPerUser *int64 `bson:"maxPerUser"`
	Seats      struct {
		Capacity  int64           `bson:"capacity"`
		Available int64           `bson:"available"`
		Held      int64           `bson:"held"`
		Sold      int64           `bson:"sold"`
		Version   int64           `bson:"version"`
		Marks     map[string]Hold `bson:"marks"`
	} `bson:"seats"`
	Outbox []Record `bson:"outbox"`
}

// Hold is the document of a hold.
type Hold struct {
	ID        string     `bson:"_id"`
	EventID   string     `bson:"eventId"`
	UserID    string     `bson:"userId"`
	Quantity  int64      `bson:"quantity"`
	State     string     `bson:"state"`
	Limited   bool       `bson:"limited"`
	ExpiresAt *time.Time `bson:"expiresAt"`
	SettleAt  *time.Time `bson:"settleAt"` // when its booking is asked about
}

// Limit is the document of what a user has of an event.
type Limit struct {
	ID      string           `bson:"_id"`
	EventID string           `bson:"eventId"`
	UserID  string           `bson:"userId"`
	Used    int64            `bson:"used"`
	By      map[string]int64 `bson:"by"`
}

// Booking is a booking's document.
type Booking struct {
	ID        string     `bson:"_id"`
	State     string     `bson:"state"`
	HoldID    string     `bson:"holdId"`
	EventID   string     `bson:"eventId"`
	UserID    string     `bson:"userId"`
	Quantity  int64      `bson:"quantity"`
	ExpiresAt *time.Time `bson:"expiresAt"`
	Outbox    []Record   `bson:"outbox"`
}

// Record is a fact in an outbox.
type Record struct {
	ID     string     `bson:"id"`
	Type   string     `bson:"type"`
	SentAt *time.Time `bson:"sentAt"`
}

// States of the documents.
const (
	held      = "held"
	sold      = "sold"
	released  = "released"
	pending   = bookingapi.StatusPending
	confirmed = bookingapi.StatusConfirmed
	cancelled = bookingapi.StatusCancelled
	refused   = "refused"
)

// live reports whether seats stand behind the booking.
func (b Booking) live() bool { return b.State == pending || b.State == confirmed }

// Databases are where the apps keep their documents.
type Databases struct {
	Event   *mongo.Database
	Booking *mongo.Database
}

// Read returns what the stores have of these events. It is no snapshot: it says
// something when nothing is under way.
func Read(ctx context.Context, dbs Databases, eventIDs []string) (State, error) {
	s := State{At: time.Now(), Events: map[string]Event{}, Holds: map[string]Hold{}, Bookings: map[string]Booking{}}
	of := func(field string) bson.D {
		return bson.D{{Key: field, Value: bson.D{{Key: "$in", Value: eventIDs}}}}
	}
	var events []Event
	var holds []Hold
	var bookings []Booking
	for _, read := range []struct {
		from   *mongo.Collection
		filter bson.D
		into   any
	}{
		{dbs.Booking.Collection("bookings"), of("eventId"), &bookings},
		{dbs.Event.Collection("holds"), of("eventId"), &holds},
		{dbs.Event.Collection("limits"), of("eventId"), &s.Limits},
		{dbs.Event.Collection("events"), of("_id"), &events},
	} {
		cursor, err := read.from.Find(ctx, read.filter)
		if err != nil {
			return s, fmt.Errorf("read %s: %w", read.from.Name(), err)
		}
		if err := cursor.All(ctx, read.into); err != nil {
			return s, fmt.Errorf("read %s: %w", read.from.Name(), err)
		}
	}
	for _, e := range events {
		s.Events[e.ID] = e
	}
	for _, h := range holds {
		s.Holds[h.ID] = h
	}
	for _, b := range bookings {
		if b.State != refused {
			s.Bookings[b.ID] = b
		}
	}
	return s, nil
}

// Lapsing is how many bookings are pending and lapse within a minute.
func (s State) Lapsing() (n int) {
	for _, b := range s.Bookings {
		if b.State == pending && b.ExpiresAt != nil && b.ExpiresAt.Before(s.At.Add(time.Minute)) {
			n++
		}
	}
	return n
}
