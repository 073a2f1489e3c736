package invariant_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/invariant"
	"boxoffice/test/servers"
)

// keyed is what the key "k" of user "u" makes: the first half of SHA-256.
const keyed = "1b09740edf59566cefba200b35830f79"

// world is a store with one event, in which all is right, and what goes with it:
// a confirmed booking of two seats and a pending one of three under a limit, and
// one that was cancelled.
type world struct {
	t      *testing.T
	dbs    invariant.Databases
	ledger *invariant.Ledger
	facts  []invariant.Fact
	seats  eventapi.Availability
	listed map[string]bookingapi.Booking
}

func connect(t *testing.T) *mongo.Client {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(servers.StartMongo(t).URI))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	return client
}

func newWorld(t *testing.T, client *mongo.Client) *world {
	t.Helper()
	db := client.Database("invariant_" + bson.NewObjectID().Hex())
	t.Cleanup(func() { _ = db.Drop(context.Background()) })
	w := &world{t: t, dbs: invariant.Databases{Event: db, Booking: db}, ledger: &invariant.Ledger{}, listed: map[string]bookingapi.Booking{}}
	now := time.Now()
	w.insert("events", bson.M{
		"_id": "e", "maxPerUser": 5, "outbox": bson.A{record("f0", "event.created", now)},
		"seats": bson.M{"capacity": 10, "available": 5, "held": 3, "sold": 2, "version": 9, "marks": bson.M{}},
	})
	w.insert("limits", bson.M{"_id": "e:u", "eventId": "e", "userId": "u", "used": 5, "by": bson.M{"b1_1_x": 2, "b2_1_x": 3}})
	w.fact("f0", "event.created", "e")
	for _, b := range []struct {
		id, state, hold string
		quantity        int64
	}{{"b1", "confirmed", "sold", 2}, {"b2", "pending", "held", 3}, {"b3", "cancelled", "released", 1}} {
		w.insert("holds", bson.M{"_id": b.id + "_1_x", "eventId": "e", "userId": "u", "quantity": b.quantity, "state": b.hold, "limited": true})
		w.insert("bookings", bson.M{
			"_id": b.id, "state": b.state, "holdId": b.id + "_1_x", "eventId": "e", "userId": "u", "quantity": b.quantity,
			"expiresAt": now.Add(time.Hour), "outbox": bson.A{record("f"+b.id, "booking.created", now)},
		})
		w.fact("f"+b.id, "booking.created", b.id)
		w.listed[b.id] = bookingapi.Booking{ID: b.id, UserID: "u", EventID: "e", Quantity: b.quantity, Status: b.state}
		w.ledger.Booked(invariant.Attempt{UserID: "u", EventID: "e", Quantity: b.quantity, Status: 201, BookingID: b.id})
	}
	w.ledger.Changed(invariant.Change{BookingID: "b1", Status: 200})
	w.ledger.Changed(invariant.Change{BookingID: "b3", Cancel: true, Status: 200})
	w.seats = eventapi.Availability{EventID: "e", Capacity: 10, Available: 5, Held: 3, Sold: 2}
	return w
}

func record(id, kind string, sentAt any) bson.M {
	return bson.M{"id": id, "type": kind, "sentAt": sentAt}
}

func (w *world) insert(collection string, document bson.M) {
	w.t.Helper()
	if _, err := w.dbs.Event.Collection(collection).InsertOne(w.t.Context(), document); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) set(collection, id, field string, value any) {
	w.t.Helper()
	res, err := w.dbs.Event.Collection(collection).UpdateByID(w.t.Context(), id, bson.M{"$set": bson.M{field: value}})
	if err != nil || res.MatchedCount != 1 {
		w.t.Fatal(res, err)
	}
}

func (w *world) drop(collection, id string) {
	w.t.Helper()
	if _, err := w.dbs.Event.Collection(collection).DeleteOne(w.t.Context(), bson.M{"_id": id}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) fact(id, kind, subject string) {
	w.facts = append(w.facts, invariant.Fact{ID: id, Type: kind, Subject: subject, EventID: "e"})
}

func (w *world) check() []invariant.Violation {
	w.t.Helper()
	s, err := invariant.Read(w.t.Context(), w.dbs, []string{"e"})
	if err != nil {
		w.t.Fatal(err)
	}
	s.Facts, s.Seats, s.Listed = w.facts, map[string]eventapi.Availability{"e": w.seats}, w.listed
	return invariant.Check(s, w.ledger)
}

func asked(status int, key, bookingID string) invariant.Attempt {
	return invariant.Attempt{UserID: "u", EventID: "e", Key: key, Quantity: 1, Status: status, BookingID: bookingID}
}

// seeds are violations, by what is wrong, with the invariants that must be named.
func seeds() map[string]struct {
	seed func(w *world)
	want []string
} {
	return map[string]struct {
		seed func(w *world)
		want []string
	}{
		"nothing": {func(*world) {}, nil},
		"more taken than there is": {func(w *world) {
			w.set("events", "e", "seats.capacity", 4)
			w.set("events", "e", "seats.available", -1)
			w.seats.Capacity, w.seats.Available = 4, -1
		}, []string{"I1"}},
		"a seat that is nowhere": {func(w *world) {
			w.set("events", "e", "seats.available", 4)
			w.seats.Available = 4
		}, []string{"I2"}},
		"a counter beside its holds": {func(w *world) {
			w.set("events", "e", "seats.held", 2)
			w.set("events", "e", "seats.available", 6)
			w.seats.Held, w.seats.Available = 2, 6
		}, []string{"I2"}},
		"another answer at the edge":  {func(w *world) { w.seats.Available = 6 }, []string{"I2"}},
		"a hold that lags":            {func(w *world) { w.set("holds", "b1_1_x", "state", "held") }, []string{"I2"}},
		"a hold of another size":      {func(w *world) { w.set("bookings", "b2", "holdId", "b2_2_x") }, []string{"I2", "I6"}},
		"a hold that nobody has":      {func(w *world) { w.set("holds", "b3_1_x", "state", "held") }, []string{"I2", "I6", "I8"}},
		"a booking answered and gone": {func(w *world) { w.ledger.Booked(asked(201, "", "b9")) }, []string{"I3"}},
		"a booking that is refused": {func(w *world) {
			w.set("bookings", "b3", "state", "refused")
			delete(w.listed, "b3")
			w.facts = slices.DeleteFunc(w.facts, func(f invariant.Fact) bool { return f.ID == "fb3" })
		}, []string{"I3"}},
		"a booking missing from the list": {func(w *world) { delete(w.listed, "b3") }, []string{"I3"}},
		"a booking after a refusal": {func(w *world) {
			w.ledger.Booked(asked(409, "k", ""))
			w.add(keyed)
		}, []string{"I3"}},
		"a booking nobody asked for": {func(w *world) { w.add("b4") }, []string{"I3"}},
		"a booking of unknown fate": {func(w *world) {
			w.ledger.Booked(asked(0, "", ""))
			w.add("b4")
		}, nil},
		"a cancellation forgotten": {func(w *world) { w.ledger.Changed(invariant.Change{BookingID: "b2", Cancel: true, Status: 200}) }, []string{"I3"}},
		"a confirmation forgotten": {func(w *world) { w.ledger.Changed(invariant.Change{BookingID: "b2", Status: 200}) }, []string{"I3"}},
		"two bookings of one key": {func(w *world) {
			w.add(keyed)
			w.add("b4")
			w.ledger.Booked(asked(503, "k", ""))
			w.ledger.Booked(asked(201, "k", keyed))
			w.ledger.Booked(asked(201, "k", "b4"))
		}, []string{"I3", "I4"}},
		"a key refused after its booking": {func(w *world) {
			w.add(keyed)
			w.ledger.Booked(asked(201, "k", keyed))
			w.ledger.Booked(asked(409, "k", ""))
		}, []string{"I4"}},
		"an unknown outcome settled": {func(w *world) {
			w.add(keyed)
			w.ledger.Booked(asked(0, "k", ""))
			w.ledger.Booked(asked(201, "k", keyed))
			w.ledger.Booked(asked(201, "k", keyed))
		}, nil},
		"two holds of one booking": {func(w *world) {
			w.insert("holds", bson.M{"_id": "b2_2_x", "eventId": "e", "userId": "u", "quantity": 3, "state": "held"})
			w.set("events", "e", "seats.held", 6)
			w.set("events", "e", "seats.available", 2)
			w.seats.Held, w.seats.Available = 6, 2
		}, []string{"I2", "I4", "I6"}},
		"a fact twice":               {func(w *world) { w.fact("fb1", "booking.created", "b1") }, []string{"I5"}},
		"a fact that never came":     {func(w *world) { w.facts = w.facts[1:] }, []string{"I5"}},
		"a fact that nobody wrote":   {func(w *world) { w.fact("f9", "booking.created", "b9") }, []string{"I5"}},
		"pending past its expiry":    {func(w *world) { w.set("bookings", "b2", "expiresAt", time.Now().Add(-time.Second)) }, []string{"I6"}},
		"a booking's outbox is full": {func(w *world) { w.set("bookings", "b1", "outbox.0.sentAt", nil) }, []string{"I7"}},
		"an event's outbox is full":  {func(w *world) { w.set("events", "e", "outbox.0.sentAt", nil) }, []string{"I7"}},
		"more than the limit":        {func(w *world) { w.set("events", "e", "maxPerUser", 4) }, []string{"I8"}},
		"a limit that lost an entry": {func(w *world) { w.set("limits", "e:u", "by", bson.M{"b1_1_x": 2}) }, []string{"I8"}},
		"a limit that lost its user": {func(w *world) { w.drop("limits", "e:u") }, []string{"I8"}},
		"a limit that keeps an entry": {func(w *world) {
			w.set("limits", "e:u", "by.b3_1_x", 1)
			w.set("limits", "e:u", "used", 6)
		}, []string{"I8"}},
	}
}

// add makes a cancelled booking of one seat, which moves no counter.
func (w *world) add(id string) {
	w.insert("bookings", bson.M{"_id": id, "state": "cancelled", "eventId": "e", "userId": "u", "quantity": 1, "outbox": bson.A{}})
	w.listed[id] = bookingapi.Booking{ID: id, UserID: "u", EventID: "e", Quantity: 1, Status: "cancelled"}
}

// Whatever is wrong in the store, the stream, at the edge or in an answer is
// found and named, and nothing else is.
func TestViolationsAreNamed(t *testing.T) {
	client := connect(t)
	for name, c := range seeds() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, client)
			c.seed(w)
			found := w.check()
			var got []string
			for _, v := range found {
				got = append(got, v.Invariant)
			}
			if got = slices.Compact(got); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v: %v", got, c.want, found)
			}
		})
	}
}
