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
	"boxoffice/test/servers"
)

// open returns a prepared store and its database, whose commands are watched.
func open(t *testing.T, uri string, n *atomic.Int64) (*mongoevents.Store, *mongo.Database) {
	t.Helper()
	name := fmt.Sprintf("test_event_%s_%d", rand.Text()[:8], n.Add(1))
	store, err := mongoevents.Open(mongoevents.Config{URI: uri, Database: name, Monitor: watch(t)})
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
	for range 2 { // every start does it
		if err := store.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return store, client.Database(name)
}

// watch fails the test when the store uses a command that docs/mongodb.md does not
// list.
func watch(t *testing.T) *mongoevent.CommandMonitor {
	known := map[string]bool{
		"insert": true, "find": true, "getMore": true, "update": true, "createIndexes": true,
		"ping": true, "endSessions": true, "killCursors": true,
	}
	return &mongoevent.CommandMonitor{Started: func(_ context.Context, e *mongoevent.CommandStartedEvent) {
		if !known[e.CommandName] {
			t.Errorf("the store sent %s", e.CommandName)
		}
	}}
}

func TestStoreConforms(t *testing.T) {
	m := servers.StartMongo(t)
	var n atomic.Int64
	eventtest.Conform(t, func(t *testing.T) eventtest.Subject {
		store, db := open(t, m.URI, &n)
		events := db.Collection("events")
		return eventtest.Subject{
			Ports: store,
			Facts: func(t *testing.T) []event.Fact { return outbox(t, events) },
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
			return outboxtest.Subject{Store: store.Outbox(), Add: func(t *testing.T, document, id string, at time.Time) { add(t, store, document, id, at) }}
		})
	})
	t.Run("every list and sweep has its index", func(t *testing.T) { indexed(t, m.URI, &n) })
	t.Run("an index with other options", func(t *testing.T) { otherIndex(t, m.URI, &n) })
}

// outbox returns the facts of all events, by event.
func outbox(t *testing.T, events *mongo.Collection) []event.Fact {
	t.Helper()
	cursor, err := events.Find(t.Context(), bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		t.Fatal(err)
	}
	var documents []struct {
		ID     string `bson:"_id"`
		Outbox []struct {
			ID, Type, Data string
			At             time.Time
		}
	}
	if err := cursor.All(t.Context(), &documents); err != nil {
		t.Fatal(err)
	}
	var facts []event.Fact
	for _, d := range documents {
		for _, f := range d.Outbox {
			facts = append(facts, event.Fact{ID: f.ID, Type: f.Type, Subject: d.ID, At: f.At.UTC(), Data: []byte(f.Data)})
		}
	}
	return facts
}

// add writes an event with a fact, or adds a fact to it.
func add(t *testing.T, store *mongoevents.Store, id, factID string, at time.Time) {
	t.Helper()
	f := event.Fact{ID: factID, Type: "event.created", Subject: id, At: at, Data: []byte(`{}`)}
	err := store.InsertEvent(t.Context(), eventtest.Full(id), f)
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

// indexed asks the server how it answers what the store asks.
func indexed(t *testing.T, uri string, n *atomic.Int64) {
	_, db := open(t, uri, n)
	var asked []bson.Raw
	spy, err := mongoevents.Open(mongoevents.Config{URI: uri, Database: db.Name(), Monitor: &mongoevent.CommandMonitor{
		Started: func(_ context.Context, e *mongoevent.CommandStartedEvent) {
			if e.CommandName == "find" {
				asked = append(asked, append(bson.Raw(nil), e.Command...))
			}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spy.Close(context.WithoutCancel(t.Context())) })
	ask := func(_ any, err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, now := t.Context(), time.Now()
	for _, sort := range []event.Sort{event.ByStart, event.ByStartDesc, event.ByName, event.ByCreation} {
		queries := []event.Query{{}, {Category: "c"}, {OrganizerID: "o"}}
		if sort == event.ByStart || sort == event.ByStartDesc {
			queries = append(queries, event.Query{From: now, To: now.Add(time.Hour)})
		} // in another order the server may rather sort what lies in between
		for _, q := range queries {
			q.Statuses, q.Sort, q.Limit = []event.Status{event.Published}, sort, 20
			ask(spy.ListEvents(ctx, q))
			q.After = &event.Position{ID: "x", Time: now, Name: "n"}
			ask(spy.ListEvents(ctx, q))
		}
	}
	ask(spy.MarkedEvents(ctx, now, 1))
	ask(spy.UnfinishedCancellations(ctx, 1))
	ask(spy.EndedUnsold(ctx, now, 1))
	ask(spy.HoldsToSettle(ctx, now, 1))
	ask(spy.Outbox().DueBoxes(ctx, now, now.Add(time.Hour), 1))
	ask(spy.StampedLimits(ctx, now, 1))
	for _, find := range asked {
		command := bson.D{}
		for _, key := range []string{"find", "filter", "sort", "limit", "projection"} {
			if v, err := find.LookupErr(key); err == nil {
				command = append(command, bson.E{Key: key, Value: v})
			}
		}
		var plan struct {
			QueryPlanner struct {
				WinningPlan bson.Raw `bson:"winningPlan"`
			} `bson:"queryPlanner"`
		}
		if err := db.RunCommand(ctx, bson.D{{Key: "explain", Value: command}, {Key: "verbosity", Value: "queryPlanner"}}).Decode(&plan); err != nil {
			t.Fatal(err)
		}
		stages := stagesOf(plan.QueryPlanner.WinningPlan)
		if stages["COLLSCAN"] || stages["SORT"] || !stages["IXSCAN"] {
			t.Errorf("%s\nis answered by %s", find, plan.QueryPlanner.WinningPlan)
		}
	}
}

// stagesOf returns the stages anywhere in a plan.
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

func otherIndex(t *testing.T, uri string, n *atomic.Int64) {
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
		t.Error("it starts with an index that does something else")
	}
}

func TestGone(t *testing.T) {
	store, err := mongoevents.Open(mongoevents.Config{URI: "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50", Database: "event"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close(context.WithoutCancel(t.Context())) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go cancel() // rather than wait for the driver to give up
	_, err = store.GetEvent(ctx, "e")
	if err == nil || errors.Is(err, event.ErrNoEvent) {
		t.Errorf("got %v", err)
	}
	if code := apperr.From(err).Code; code != apperr.Internal && code != apperr.Unavailable {
		t.Errorf("code %s", code)
	}
}
