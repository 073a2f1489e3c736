package mongobookings_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/apps/booking/internal/mongobookings"
	"boxoffice/shared/apperr"
	"boxoffice/shared/outbox/outboxtest"
	"boxoffice/test/kit/commands"
	"boxoffice/test/kit/outboxes"
	"boxoffice/test/servers"
)

// opener opens stores on one server, each with its own database.
type opener struct {
	uri string
	n   atomic.Int64
}

// open returns a store with a new database, and its collection. The test fails if the
// store sends an unexpected command.
func (o *opener) open(t *testing.T) (*mongobookings.Store, *mongo.Collection) {
	t.Helper()
	name := fmt.Sprintf("test_booking_%s_%d", rand.Text()[:8], o.n.Add(1))
	store, err := mongobookings.Open(mongobookings.Config{URI: o.uri, Database: name, Monitor: commands.Check(t, "insert", "find", "update", "aggregate", "createIndexes")})
	if err != nil {
		t.Fatal(err)
	}
	client, err := mongo.Connect(options.Client().ApplyURI(o.uri))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := errors.Join(store.Close(ctx), client.Database(name).Drop(ctx), client.Disconnect(ctx)); err != nil {
			t.Error(err)
		}
	})
	for range 2 { // the second call finds existing indexes
		if err := store.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return store, client.Database(name).Collection("bookings")
}

func TestStoreConforms(t *testing.T) {
	o := &opener{uri: servers.StartMongo(t).URI}
	t.Run("bookings", func(t *testing.T) {
		bookingtest.Conform(t, func(t *testing.T) bookingtest.Subject {
			store, c := o.open(t)
			return bookingtest.Subject{Ports: store, Facts: func(t *testing.T) []booking.Fact { return outboxes.Facts[booking.Fact](t, c) }}
		})
	})
	t.Run("outboxes", func(t *testing.T) {
		outboxtest.Conform(t, func(t *testing.T) outboxtest.Subject {
			store, _ := o.open(t)
			return outboxtest.Subject{Store: store.Outbox(), Add: func(t *testing.T, document, id string, at time.Time) { add(t, store, document, id, at) }}
		})
	})
	t.Run("every query uses an index", func(t *testing.T) { testIndexes(t, o) })
	t.Run("only refused records and finished jobs are purged", func(t *testing.T) { testPurge(t, o) })
	t.Run("a booking that is confirmed during a query for live bookings is found once", func(t *testing.T) { testConfirmedMeanwhile(t, o) })
}

// add inserts a booking with a fact, or appends the fact to an existing booking.
func add(t *testing.T, store *mongobookings.Store, id, factID string, at time.Time) {
	t.Helper()
	f := booking.Fact{ID: factID, Type: "booking.created", Subject: id, At: at, Data: []byte(`{}`)}
	b := bookingtest.PendingBooking(id)
	err := store.InsertBooking(t.Context(), b, f)
	if errors.Is(err, booking.ErrExists) {
		err = store.ReplaceBooking(t.Context(), b, b.State, b.HoldNumber, f)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// testPurge checks purgeAt, the time from which MongoDB may delete a document. Only
// refused records and jobs that are done have one.
func testPurge(t *testing.T, o *opener) {
	store, c := o.open(t)
	refused := bookingtest.RefusedRecord("r")
	if err := errors.Join(store.InsertBooking(t.Context(), refused), store.InsertBooking(t.Context(), bookingtest.PendingBooking("b"))); err != nil {
		t.Fatal(err)
	}
	purgeAt := func(id string) *time.Time {
		var d struct {
			PurgeAt *time.Time `bson:"purgeAt"`
		}
		if err := c.FindOne(t.Context(), bson.D{{Key: "_id", Value: id}}).Decode(&d); err != nil {
			t.Fatal(err)
		}
		return d.PurgeAt
	}
	want := refused.PurgeAt
	if at := purgeAt("r"); at == nil || !at.Equal(want) {
		t.Errorf("refused record: got purgeAt %v, want %v", at, want)
	}
	next := bookingtest.PendingBooking("r")
	next.HoldNumber = 2
	if err := store.ReplaceBooking(t.Context(), next, booking.Refused, 2); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"b", "r"} {
		if at := purgeAt(id); at != nil {
			t.Errorf("booking %s: got purgeAt %v, want null", id, at)
		}
	}

	jobs := c.Database().Collection("cancellations")
	done := booking.Cancellation{EventID: "done", Version: 1, DoneAt: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	open := booking.Cancellation{EventID: "open", Version: 1, Due: done.DoneAt}
	if err := errors.Join(store.InsertCancellation(t.Context(), done), store.InsertCancellation(t.Context(), open)); err != nil {
		t.Fatal(err)
	}
	want, _ = done.PurgeAt()
	for _, one := range []bson.E{{Key: "purgeAt", Value: want}, {Key: "due", Value: done.DoneAt}} {
		exists := bson.E{Key: one.Key, Value: bson.D{{Key: "$exists", Value: true}}}
		for _, filter := range []bson.D{{one}, {exists}} {
			if n, err := jobs.CountDocuments(t.Context(), filter); err != nil || n != 1 {
				t.Errorf("jobs with %v: got %d, %v, want 1", filter, n, err)
			}
		}
	}
}

// testIndexes records the find commands of a store and checks that the query planner
// chooses an index for each.
func testIndexes(t *testing.T, o *opener) {
	_, c := o.open(t)
	var finds []bson.Raw
	store, err := mongobookings.Open(mongobookings.Config{URI: o.uri, Database: c.Database().Name(), Monitor: &event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			if e.CommandName == "find" {
				finds = append(finds, append(bson.Raw(nil), e.Command...))
			}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(t.Context())
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	after := &booking.Position{CreatedAt: now, ID: "b"}
	for _, q := range []booking.Query{
		{Limit: 2}, {Limit: 2, After: after}, {UserID: "u", Limit: 2, After: after}, {EventID: "e", Limit: 2}, {State: booking.Pending, Limit: 2},
	} {
		if _, err := store.ListBookings(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	_, err1 := store.DueBookings(t.Context(), "", now, 2)
	_, err2 := store.DueBookings(t.Context(), "e", now, 2)
	_, err3 := store.LiveBookings(t.Context(), "e", "", 2)
	_, err4 := store.Outbox().DueBoxes(t.Context(), now, 2)
	_, err5 := store.Outbox().RetainedBoxes(t.Context(), now, 2)
	_, err6 := store.DueCancellations(t.Context(), now, 2)
	_, err7 := store.OwingBookings(t.Context(), now, 2)
	_, err8 := store.CountPendingTickets(t.Context(), "u", now, 40)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8); err != nil {
		t.Fatal(err)
	}
	if len(finds) != 14 {
		t.Fatalf("got %d find commands, want 14", len(finds))
	}
	for _, find := range finds {
		var command bson.D
		if err := bson.Unmarshal(find, &command); err != nil {
			t.Fatal(err)
		}
		var query bson.D
		for _, e := range command {
			switch e.Key {
			case "find", "filter", "sort", "limit", "projection":
				query = append(query, e)
			}
		}
		plan, err := c.Database().RunCommand(t.Context(), bson.D{{Key: "explain", Value: query}, {Key: "verbosity", Value: "queryPlanner"}}).Raw()
		if err != nil {
			t.Fatal(err)
		}
		stages := map[string]bool{}
		if winning, err := plan.LookupErr("queryPlanner", "winningPlan"); err == nil {
			collectStages(winning.Document(), stages)
		}
		if !stages["IXSCAN"] || stages["COLLSCAN"] || stages["SORT"] {
			t.Errorf("%v: got stages %v, want IXSCAN, no COLLSCAN and no SORT; plan: %s", query, stages, plan)
		}
	}
}

// testConfirmedMeanwhile confirms a booking between the two queries of LiveBookings.
func testConfirmedMeanwhile(t *testing.T, o *opener) {
	writer, c := o.open(t)
	for _, id := range []string{"a", "b", "c"} {
		if err := writer.InsertBooking(t.Context(), bookingtest.PendingBooking(id)); err != nil {
			t.Fatal(err)
		}
	}
	queries := 0
	store, err := mongobookings.Open(mongobookings.Config{URI: o.uri, Database: c.Database().Name(), Monitor: &event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			if e.CommandName != "find" {
				return
			}
			if queries++; queries == 2 {
				confirmed := bookingtest.PendingBooking("b")
				confirmed.State = booking.Confirmed
				if err := writer.ReplaceBooking(t.Context(), confirmed, booking.Pending, 1); err != nil {
					t.Error(err)
				}
			}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(t.Context())
	live, err := store.LiveBookings(t.Context(), "e", "", 10)
	if err != nil || len(live) != 3 || live[0].ID != "a" || live[1].ID != "b" || live[1].State != booking.Confirmed || live[2].ID != "c" {
		t.Errorf("got %+v, %v, want a, b as confirmed, and c", live, err)
	}
}

// collectStages adds the names of a plan's stages to stages.
func collectStages(plan bson.Raw, stages map[string]bool) {
	elements, err := plan.Elements()
	if err != nil {
		return
	}
	for _, e := range elements {
		switch v := e.Value(); {
		case e.Key() == "stage":
			stages[v.StringValue()] = true
		case v.Type == bson.TypeEmbeddedDocument:
			collectStages(v.Document(), stages)
		case v.Type == bson.TypeArray:
			values, _ := v.Array().Values()
			for _, inner := range values {
				if inner.Type == bson.TypeEmbeddedDocument {
					collectStages(inner.Document(), stages)
				}
			}
		}
	}
}

func TestUnreachableServerIsAFailure(t *testing.T) {
	store, err := mongobookings.Open(mongobookings.Config{URI: "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50", Database: "booking"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	t.Cleanup(func() { _ = store.Close(t.Context()) })
	go cancel() // do not wait for the driver to give up
	_, err = store.GetBooking(ctx, "b")
	if err == nil || errors.Is(err, booking.ErrNoBooking) {
		t.Errorf("got %v, want a failure other than ErrNoBooking", err)
	}
	if code := apperr.From(err).Code; err != nil && code != apperr.Internal && code != apperr.Unavailable {
		t.Errorf("got code %s, want internal or unavailable", code)
	}
}
