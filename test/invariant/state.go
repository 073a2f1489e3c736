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

// State is what the stores, the streams and the gateway contain about some events.
type State struct {
	At       time.Time // the time before the stores were read
	Events   map[string]Event
	Holds    map[string]Hold
	Limits   []Limit
	Log      []Entry            // of the capacity logs
	Bookings map[string]Booking // except refused ones

	// Check ignores those of the following fields that are nil.
	Facts  []Fact                           // in the streams, duplicates included
	Seats  map[string]eventapi.Availability // reported by the gateway, by event id
	Listed map[string]bookingapi.Booking    // listed by the gateway for an admin, by booking id
}

// Event has the fields of an event's document that Check uses.
type Event struct {
	ID         string `bson:"_id"`
	Status     string `bson:"status"`
	MaxPerUser *int64 `bson:"maxPerUser"`
	Seats      struct {
		Capacity  int64           `bson:"capacity"`
		Available int64           `bson:"available"`
		Held      int64           `bson:"held"`
		Sold      int64           `bson:"sold"`
		Live      int64           `bson:"live"` // the number of holds that are held or sold
		Version   int64           `bson:"version"`
		Marks     map[string]Hold `bson:"marks"`
		// Entries are log entries that may not be in the capacity log yet.
		Entries map[string]Entry `bson:"entries"`
	} `bson:"seats"`
	Opening Entry    `bson:"opening"` // includes the log entries up to its version
	Outbox  []Record `bson:"outbox"`
}

// Hold has the fields of a hold's document that Check uses.
type Hold struct {
	ID        string     `bson:"_id"`
	EventID   string     `bson:"eventId"`
	UserID    string     `bson:"userId"`
	Quantity  int64      `bson:"quantity"`
	State     string     `bson:"state"`
	Limited   bool       `bson:"limited"`
	ExpiresAt *time.Time `bson:"expiresAt"`
	SettleAt  *time.Time `bson:"settleAt"` // when the event app asks the booking app about it
}

// Entry is an entry of a capacity log: a change of the counters.
type Entry struct {
	EventID   string `bson:"eventId"`
	Version   int64  `bson:"version"`
	Number    int    `bson:"number"`
	Through   int64  `bson:"through"` // of an opening entry
	Available int64  `bson:"available"`
	Held      int64  `bson:"held"`
	Sold      int64  `bson:"sold"`
}

// Limit is the document that counts one user's seats of one event.
type Limit struct {
	ID      string           `bson:"_id"`
	EventID string           `bson:"eventId"`
	UserID  string           `bson:"userId"`
	Used    int64            `bson:"used"`
	By      map[string]int64 `bson:"by"` // seats by hold id
}

// Booking has the fields of a booking's document that Check uses.
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

// Record is one fact in an outbox.
type Record struct {
	ID     string     `bson:"id"`
	Type   string     `bson:"type"`
	SentAt *time.Time `bson:"sentAt"` // nil until it is published
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

// isLive reports whether the booking has seats.
func (b Booking) isLive() bool { return b.State == pending || b.State == confirmed }

// Databases holds the databases of the event and booking apps.
type Databases struct {
	Event   *mongo.Database
	Booking *mongo.Database
}

// Read reads the documents about eventIDs from the stores. The result is not a snapshot,
// so Check may report violations while work is in progress.
func Read(ctx context.Context, dbs Databases, eventIDs []string) (State, error) {
	s := State{At: time.Now(), Events: map[string]Event{}, Holds: map[string]Hold{}, Bookings: map[string]Booking{}}
	in := func(field string) bson.D {
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
		{dbs.Booking.Collection("bookings"), in("eventId"), &bookings},
		{dbs.Event.Collection("holds"), in("eventId"), &holds},
		{dbs.Event.Collection("limits"), in("eventId"), &s.Limits},
		{dbs.Event.Collection("events"), in("_id"), &events},
		{dbs.Event.Collection("capacity_log"), in("eventId"), &s.Log}, // after the events: entries move from them to the log
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

// Expiring returns the number of pending bookings that expire within a minute, or
// have expired already.
func (s State) Expiring() (n int) {
	for _, b := range s.Bookings {
		if b.State == pending && b.ExpiresAt != nil && b.ExpiresAt.Before(s.At.Add(time.Minute)) {
			n++
		}
	}
	return n
}
