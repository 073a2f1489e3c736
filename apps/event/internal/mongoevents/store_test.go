package mongoevents_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	mongoevent "go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/apps/event/internal/mongoevents"
	"boxoffice/shared/apperr"
	"boxoffice/shared/outbox/outboxtest"
	"boxoffice/test/kit/commands"
	"boxoffice/test/kit/outboxes"
	"boxoffice/test/servers"
)

// open returns a prepared store and its database. It checks the commands that the store
// sends.
func open(t *testing.T, uri string, n *atomic.Int64) (*mongoevents.Store, *mongo.Database) {
	t.Helper()
	name := fmt.Sprintf("test_event_%s_%d", rand.Text()[:8], n.Add(1))
	store, err := mongoevents.Open(mongoevents.Config{URI: uri, Database: name, Monitor: commands.Check(t, "insert", "find", "update", "delete", "createIndexes")})
	if err != nil {
		t.Fatal(err)
	}
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
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
	for range 2 { // each start of the app calls Prepare, so it must be idempotent
		if err := store.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return store, client.Database(name)
}

func TestStoreConforms(t *testing.T) {
	m := servers.StartMongo(t)
	var n atomic.Int64
	eventtest.Conform(t, func(t *testing.T) eventtest.Subject {
		store, db := open(t, m.URI, &n)
		events := db.Collection("events")
		return eventtest.Subject{
			Ports: store,
			Facts: func(t *testing.T) []event.Fact { return outboxes.Facts[event.Fact](t, events) },
			Publish: func(t *testing.T) {
				t.Helper()
				_, err := events.UpdateMany(t.Context(), bson.D{}, bson.D{{Key: "$set", Value: bson.D{{Key: "outbox.$[].sentAt", Value: time.Now()}}}})
				if err != nil {
					t.Fatal(err)
				}
			},
		}
	})
	t.Run("outboxes", func(t *testing.T) {
		outboxtest.Conform(t, func(t *testing.T) outboxtest.Subject {
			store, _ := open(t, m.URI, &n)
			return outboxtest.Subject{Store: store.Outbox(), Add: func(t *testing.T, document, id string, at time.Time) { addFact(t, store, document, id, at) }}
		})
	})
	t.Run("every sweep uses an index", func(t *testing.T) { testIndexes(t, m.URI, &n) })
	t.Run("beside many other events", func(t *testing.T) {
		store, db := open(t, m.URI, &n)
		fillAll(t, db, store)
		t.Run("lists examine only what they return", func(t *testing.T) { testListIndexes(t, m.URI, db) })
		t.Run("searches examine only what they return", func(t *testing.T) { testSearchIndex(t, m.URI, db, store) })
	})
	t.Run("deleted events are purged once their facts are published", func(t *testing.T) { testPurge(t, m.URI, &n) })
	t.Run("a page of the log examines nothing else", func(t *testing.T) { testLogPageIsRead(t, m.URI, &n) })
	t.Run("Prepare refuses an index with different keys", func(t *testing.T) { testIndexWithDifferentKeys(t, m.URI, &n) })
}

// addFact adds a fact to an event, and inserts the event if there is none.
func addFact(t *testing.T, store *mongoevents.Store, id, factID string, at time.Time) {
	t.Helper()
	f := event.Fact{ID: factID, Type: "event.created", Subject: id, At: at, Data: []byte(`{}`)}
	err := store.InsertEvent(t.Context(), eventtest.NewEvent(id), f)
	if errors.Is(err, event.ErrExists) {
		var e event.Event
		if e, err = store.GetEvent(t.Context(), id); err == nil {
			err = store.WriteDefinition(t.Context(), e, e.Version, f)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// testIndexes checks the server's plans for the queries of sweeps.
func testIndexes(t *testing.T, uri string, n *atomic.Int64) {
	_, db := open(t, uri, n)
	spy, queries := openSpy(t, uri, db)
	run := func(_ any, err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, now := t.Context(), time.Now()
	run(spy.MarkedEvents(ctx, now, 1))
	run(spy.UnloggedEvents(ctx, now, 1))
	run(spy.ListEntries(ctx, event.EntryQuery{EventID: "e", Before: event.EntryPosition{Version: 9}, Limit: 20}))
	run(spy.OldestEntries(ctx, "e", 0, 20))
	run(spy.OldLogs(ctx, now, 20))
	run(spy.DeleteEntries(ctx, "e", 9, 20))
	run(spy.CountedHolds(ctx, "e", "a", 20))
	run(spy.EventIDs(ctx, "a", 20))
	run(spy.UnfinishedCancellations(ctx, 1))
	run(spy.EndedUnsold(ctx, now, 1))
	run(spy.HoldsToSettle(ctx, now, 1))
	run(spy.Outbox().DueBoxes(ctx, now, 1))
	run(spy.Outbox().RetainedBoxes(ctx, now, 1))
	run(spy.StampedLimits(ctx, now, 1))
	for _, find := range queries() {
		if p := explain(t, db, find); p.stages["COLLSCAN"] || p.stages["SORT"] || !p.stages["IXSCAN"] {
			t.Errorf("query %s\nhas the stages %v", find, p.stages)
		}
	}
}

// openSpy returns a store with the database, and a function that returns the find commands
// that the store has sent since the last call.
func openSpy(t *testing.T, uri string, db *mongo.Database) (spy *mongoevents.Store, queries func() []bson.Raw) {
	t.Helper()
	var sent []bson.Raw
	spy, err := mongoevents.Open(mongoevents.Config{URI: uri, Database: db.Name(), Monitor: &mongoevent.CommandMonitor{
		Started: func(_ context.Context, e *mongoevent.CommandStartedEvent) {
			if e.CommandName == "find" {
				sent = append(sent, append(bson.Raw(nil), e.Command...))
			}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spy.Close(context.WithoutCancel(t.Context())) })
	return spy, func() []bson.Raw {
		defer func() { sent = nil }()
		return sent
	}
}

// plan is what explain reports about a query.
type plan struct {
	stages         map[string]bool
	keys           int64 // examined
	docs, returned int64 // examined, returned
}

func explain(t *testing.T, db *mongo.Database, find bson.Raw) plan {
	t.Helper()
	command := bson.D{}
	for _, key := range []string{"find", "filter", "sort", "limit", "projection"} {
		if v, err := find.LookupErr(key); err == nil {
			command = append(command, bson.E{Key: key, Value: v})
		}
	}
	var reply struct {
		QueryPlanner struct {
			WinningPlan bson.Raw `bson:"winningPlan"`
		} `bson:"queryPlanner"`
		ExecutionStats struct {
			Returned int64 `bson:"nReturned"`
			Keys     int64 `bson:"totalKeysExamined"`
			Docs     int64 `bson:"totalDocsExamined"`
		} `bson:"executionStats"`
	}
	if err := db.RunCommand(t.Context(), bson.D{{Key: "explain", Value: command}, {Key: "verbosity", Value: "executionStats"}}).Decode(&reply); err != nil {
		t.Fatal(err)
	}
	stats := reply.ExecutionStats
	return plan{stagesOf(reply.QueryPlanner.WinningPlan), stats.Keys, stats.Docs, stats.Returned}
}

// A page of the capacity log is read from the index of the ids: the server examines no more
// documents than it returns, whatever other entries there are.
func testLogPageIsRead(t *testing.T, uri string, n *atomic.Int64) {
	store, db := open(t, uri, n)
	for _, id := range []string{"a", "e", "z"} {
		var entries []event.Entry
		for version := range int64(50) {
			entries = append(entries, eventtest.NewEntry(version, 0))
		}
		if err := store.InsertEntries(t.Context(), id, entries); err != nil {
			t.Fatal(err)
		}
	}
	spy, queries := openSpy(t, uri, db)
	page, err := spy.ListEntries(t.Context(), event.EntryQuery{EventID: "e", After: 3, Before: event.EntryPosition{Version: 40}, Limit: 20})
	if err != nil || len(page) != 20 {
		t.Fatalf("got %d entries, %v, want 20", len(page), err)
	}
	for _, find := range queries() {
		if p := explain(t, db, find); p.returned != 20 || p.docs > p.returned || p.keys > p.returned+1 {
			t.Errorf("got %+v, want 20 returned and no more examined", p)
		}
	}
}

// stagesOf returns the stages at all levels of a plan.
func stagesOf(plan bson.Raw) map[string]bool {
	found := map[string]bool{}
	elements, _ := plan.Elements()
	for _, e := range elements {
		if e.Key() == "stage" {
			found[e.Value().StringValue()] = true
		}
		if sub, ok := e.Value().DocumentOK(); ok {
			for stage := range stagesOf(sub) {
				found[stage] = true
			}
		}
	}
	return found
}

func testIndexWithDifferentKeys(t *testing.T, uri string, n *atomic.Int64) {
	store, db := open(t, uri, n)
	holds := db.Collection("holds")
	if err := holds.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := holds.Indexes().CreateOne(t.Context(), mongo.IndexModel{
		Keys: bson.D{{Key: "state", Value: 1}}, Options: options.Index().SetName("to_settle"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Prepare(t.Context()); err == nil {
		t.Error("Prepare: got no error for an index with different keys, want one")
	}
}

func TestUnreachableServerIsNotErrNoEvent(t *testing.T) {
	store, err := mongoevents.Open(mongoevents.Config{URI: "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50", Database: "event"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close(context.WithoutCancel(t.Context())) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go cancel() // so that the test does not wait until the driver gives up
	_, err = store.GetEvent(ctx, "e")
	if err == nil || errors.Is(err, event.ErrNoEvent) {
		t.Errorf("got %v, want a failure", err)
	}
	if code := apperr.From(err).Code; code != apperr.Internal && code != apperr.Unavailable {
		t.Errorf("got code %s, want internal or unavailable", code)
	}
}
