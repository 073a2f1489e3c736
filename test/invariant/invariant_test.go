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

// keyedID is the id of the booking that user "u" makes under the key "k": the first half
// of a SHA-256 sum, in hexadecimal.
const keyedID = "1b09740edf59566cefba200b35830f79"

// world is a system with one event, in which every invariant holds. The event allows
// each user five seats. It has a confirmed booking of two seats, a pending one of three
// and a cancelled one of one.
type world struct {
	t      *testing.T
	dbs    invariant.Databases
	ledger *invariant.Ledger
	facts  []invariant.Fact
	seats  eventapi.Availability
	listed map[string]bookingapi.Booking
}

// connect starts a MongoDB server and connects to it.
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
		"seats": bson.M{"capacity": 10, "available": 5, "held": 3, "sold": 2, "live": 2, "version": 9, "marks": bson.M{}, "entries": bson.M{
			"8-0": bson.M{"version": 8, "number": 0, "available": 0, "held": -2, "sold": 2},
			"9-0": bson.M{"version": 9, "number": 0, "available": 1, "held": -1, "sold": 0},
		}},
		"opening": bson.M{"through": 1, "available": 10, "held": 0, "sold": 0},
	})
	w.insert("capacity_log", bson.M{"_id": "e:1:0", "eventId": "e", "version": 1, "number": 0, "available": 10, "held": 0, "sold": 0})
	w.insert("capacity_log", bson.M{"_id": "e:2:0", "eventId": "e", "version": 2, "number": 0, "available": -6, "held": 6, "sold": 0})
	w.insert("capacity_log", bson.M{"_id": "e:8:0", "eventId": "e", "version": 8, "number": 0, "available": 0, "held": -2, "sold": 2})
	w.insert("capacity_log", bson.M{"_id": "f:2:0", "eventId": "f", "version": 2, "number": 0, "available": 1, "held": 0, "sold": 0})
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
		w.ledger.RecordAttempt(invariant.Attempt{UserID: "u", EventID: "e", Quantity: b.quantity, Status: 201, BookingID: b.id})
	}
	w.ledger.RecordChange(invariant.Change{BookingID: "b1", Status: 200})
	w.ledger.RecordChange(invariant.Change{BookingID: "b3", Cancel: true, Status: 200})
	w.seats = eventapi.Availability{EventID: "e", Capacity: 10, Available: 5, Held: 3, Sold: 2}
	return w
}

// record returns an outbox record.
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
		w.t.Fatalf("set %s of %s in %s: got %+v, %v, want one document to match", field, id, collection, res, err)
	}
}

func (w *world) remove(collection, id string) {
	w.t.Helper()
	if _, err := w.dbs.Event.Collection(collection).DeleteOne(w.t.Context(), bson.M{"_id": id}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) fact(id, kind, subject string) {
	w.facts = append(w.facts, invariant.Fact{ID: id, Type: kind, Subject: subject, EventID: "e"})
}

// check reads the stores, and checks them together with the rest of the world.
func (w *world) check() []invariant.Violation {
	w.t.Helper()
	s, err := invariant.Read(w.t.Context(), w.dbs, []string{"e"})
	if err != nil {
		w.t.Fatal(err)
	}
	s.Facts, s.Seats, s.Listed = w.facts, map[string]eventapi.Availability{"e": w.seats}, w.listed
	return invariant.Check(s, w.ledger)
}

// attempt returns an attempt of user "u" to book one seat.
func attempt(status int, key, bookingID string) invariant.Attempt {
	return invariant.Attempt{UserID: "u", EventID: "e", Key: key, Quantity: 1, Status: status, BookingID: bookingID}
}

// defect is damage to a world, and the invariants that Check must then report.
type defect struct {
	inject func(w *world)
	want   []string
}

func defects() map[string]defect {
	return map[string]defect{
		"no defect": {func(*world) {}, nil},
		"more seats taken than the capacity": {func(w *world) {
			w.set("events", "e", "seats.capacity", 4)
			w.set("events", "e", "seats.available", -1)
			w.set("capacity_log", "e:2:0", "available", -12)
			w.seats.Capacity, w.seats.Available = 4, -1
		}, []string{"I1"}},
		"a log entry is missing":           {func(w *world) { w.remove("capacity_log", "e:2:0") }, []string{"I2"}},
		"a log entry is in the event only": {func(w *world) { w.remove("capacity_log", "e:8:0") }, nil},
		"a seat is lost": {func(w *world) {
			w.set("events", "e", "seats.available", 4)
			w.seats.Available = 4
		}, []string{"I2"}},
		"a counter differs from the holds": {func(w *world) {
			w.set("events", "e", "seats.held", 2)
			w.set("events", "e", "seats.available", 6)
			w.seats.Held, w.seats.Available = 2, 6
		}, []string{"I2"}},
		"the live holds are miscounted":              {func(w *world) { w.set("events", "e", "seats.live", 3) }, []string{"I2"}},
		"the gateway reports other counters":         {func(w *world) { w.seats.Available = 6 }, []string{"I2"}},
		"a hold lags behind its booking":             {func(w *world) { w.set("holds", "b1_1_x", "state", "held") }, []string{"I2"}},
		"a booking names a hold that does not exist": {func(w *world) { w.set("bookings", "b2", "holdId", "b2_2_x") }, []string{"I2", "I6"}},
		"a hold has no live booking":                 {func(w *world) { w.set("holds", "b3_1_x", "state", "held") }, []string{"I2", "I6", "I8"}},
		"a reported booking is missing":              {func(w *world) { w.ledger.RecordAttempt(attempt(201, "", "b9")) }, []string{"I3"}},
		"a reported booking is refused": {func(w *world) {
			w.set("bookings", "b3", "state", "refused")
			delete(w.listed, "b3")
			w.facts = slices.DeleteFunc(w.facts, func(f invariant.Fact) bool { return f.ID == "fb3" })
		}, []string{"I3"}},
		"a booking is missing from the list": {func(w *world) { delete(w.listed, "b3") }, []string{"I3"}},
		"a refused key has a booking": {func(w *world) {
			w.ledger.RecordAttempt(attempt(409, "k", ""))
			w.addCancelled(keyedID)
		}, []string{"I3"}},
		"a booking was never requested": {func(w *world) { w.addCancelled("b4") }, []string{"I3"}},
		"a client does not know the outcome of its booking": {func(w *world) {
			w.ledger.RecordAttempt(attempt(0, "", ""))
			w.addCancelled("b4")
		}, nil},
		"an acknowledged cancel is lost":  {func(w *world) { w.ledger.RecordChange(invariant.Change{BookingID: "b2", Cancel: true, Status: 200}) }, []string{"I3"}},
		"an acknowledged confirm is lost": {func(w *world) { w.ledger.RecordChange(invariant.Change{BookingID: "b2", Status: 200}) }, []string{"I3"}},
		"one key has two bookings": {func(w *world) {
			w.addCancelled(keyedID)
			w.addCancelled("b4")
			w.ledger.RecordAttempt(attempt(503, "k", ""))
			w.ledger.RecordAttempt(attempt(201, "k", keyedID))
			w.ledger.RecordAttempt(attempt(201, "k", "b4"))
		}, []string{"I3", "I4"}},
		"a key is refused after its booking": {func(w *world) {
			w.addCancelled(keyedID)
			w.ledger.RecordAttempt(attempt(201, "k", keyedID))
			w.ledger.RecordAttempt(attempt(409, "k", ""))
		}, []string{"I4"}},
		"a retry reports the booking of a request without a reply": {func(w *world) {
			w.addCancelled(keyedID)
			w.ledger.RecordAttempt(attempt(0, "k", ""))
			w.ledger.RecordAttempt(attempt(201, "k", keyedID))
			w.ledger.RecordAttempt(attempt(201, "k", keyedID))
		}, nil},
		"one booking has two holds": {func(w *world) {
			w.insert("holds", bson.M{"_id": "b2_2_x", "eventId": "e", "userId": "u", "quantity": 3, "state": "held"})
			w.set("events", "e", "seats.held", 6)
			w.set("events", "e", "seats.available", 2)
			w.seats.Held, w.seats.Available = 6, 2
		}, []string{"I2", "I4", "I6"}},
		"a fact is in the stream twice":           {func(w *world) { w.fact("fb1", "booking.created", "b1") }, []string{"I5"}},
		"a fact is missing from the stream":       {func(w *world) { w.facts = w.facts[1:] }, []string{"I5"}},
		"a fact is in no outbox":                  {func(w *world) { w.fact("f9", "booking.created", "b9") }, []string{"I5"}},
		"an earlier cancellation is in no outbox": {func(w *world) { w.fact("f9", "event.cancelled", "e") }, nil},
		"a booking is pending past its expiry":    {func(w *world) { w.set("bookings", "b2", "expiresAt", time.Now().Add(-time.Second)) }, []string{"I6"}},
		"a fact of a booking is not published":    {func(w *world) { w.set("bookings", "b1", "outbox.0.sentAt", nil) }, []string{"I7"}},
		"a fact of an event is not published":     {func(w *world) { w.set("events", "e", "outbox.0.sentAt", nil) }, []string{"I7"}},
		"a user exceeds the limit":                {func(w *world) { w.set("events", "e", "maxPerUser", 4) }, []string{"I8"}},
		"a limit has lost an entry":               {func(w *world) { w.set("limits", "e:u", "by", bson.M{"b1_1_x": 2}) }, []string{"I8"}},
		"a limit document is missing":             {func(w *world) { w.remove("limits", "e:u") }, []string{"I8"}},
		"a limit counts a released hold": {func(w *world) {
			w.set("limits", "e:u", "by.b3_1_x", 1)
			w.set("limits", "e:u", "used", 6)
		}, []string{"I8"}},
	}
}

// addCancelled adds a cancelled booking of one seat, which changes no counter.
func (w *world) addCancelled(id string) {
	w.insert("bookings", bson.M{"_id": id, "state": "cancelled", "eventId": "e", "userId": "u", "quantity": 1, "outbox": bson.A{}})
	w.listed[id] = bookingapi.Booking{ID: id, UserID: "u", EventID: "e", Quantity: 1, Status: "cancelled"}
}

// Check must report a defect in the stores, the stream, the gateway or the replies under
// exactly the invariants that it breaks.
func TestCheckReportsTheInvariantsThatADefectBreaks(t *testing.T) {
	client := connect(t)
	for name, d := range defects() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, client)
			d.inject(w)
			found := w.check()
			var got []string
			for _, v := range found {
				got = append(got, v.Invariant)
			}
			if got = slices.Compact(got); !slices.Equal(got, d.want) {
				t.Errorf("got %v, want %v: %v", got, d.want, found)
			}
		})
	}
}
