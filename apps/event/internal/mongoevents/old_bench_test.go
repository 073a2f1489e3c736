package mongoevents_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/apps/event/internal/mongoevents"
	"boxoffice/test/servers"
)

var flagOld = flag.Int("old", 0, "number of deleted events, and of limits without entries, that BenchmarkOldRecords inserts")

// BenchmarkOldRecords measures the queries of lists and sweeps among a thousand events, without
// and with many deleted events and limits without entries. It runs only with -args -old N:
//
//	go test ./apps/event/internal/mongoevents -run '^$' -bench OldRecords -benchtime 200x -args -old 1000000
func BenchmarkOldRecords(b *testing.B) {
	if *flagOld == 0 {
		b.Skip("-old is 0")
	}
	m := servers.StartMongo(b)
	store, err := mongoevents.Open(mongoevents.Config{URI: m.URI, Database: m.Database})
	if err != nil {
		b.Fatal(err)
	}
	client, err := mongo.Connect(options.Client().ApplyURI(m.URI))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(b.Context()), 10*time.Second)
		defer cancel()
		_ = errors.Join(store.Close(ctx), client.Disconnect(ctx))
	})
	if err := store.Prepare(b.Context()); err != nil {
		b.Fatal(err)
	}
	insertLive(b, store)
	b.Run("without", func(b *testing.B) { benchQueries(b, store) })
	insertOld(b, store, client.Database(m.Database))
	b.Run("with", func(b *testing.B) { benchQueries(b, store) })
}

// old is a time at which all events of the benchmark have ended.
var old = time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)

// insertLive inserts a thousand events, and a hold and a limit with an entry for each.
func insertLive(b *testing.B, store *mongoevents.Store) {
	b.Helper()
	for i := range 1000 {
		e := eventtest.NewEvent(fmt.Sprintf("live%04d", i))
		e.Name, e.OrganizerID = e.ID, "organizer"
		h := eventtest.NewHold(e.ID+"_1_x", e.ID, 1)
		_, claimed := store.Claim(b.Context(), event.Claim{
			LimitKey: event.LimitKey{EventID: e.ID, UserID: "u"}, HoldID: h.ID, Quantity: 1, Max: 4, At: e.CreatedAt,
		})
		err := errors.Join(claimed, store.InsertHolds(b.Context(), []event.Hold{h}),
			store.InsertEvent(b.Context(), e, event.Fact{ID: e.ID, Type: "t", Subject: e.ID, At: e.CreatedAt, Data: []byte(`{}`)}))
		if err != nil {
			b.Fatal(err)
		}
	}
}

// insertOld inserts copies of a deleted event, whose facts were published, and of a limit
// without entries. The database would drop them in 2050.
func insertOld(b *testing.B, store *mongoevents.Store, db *mongo.Database) {
	b.Helper()
	purgeAt := old.AddDate(10, 0, 0)
	e := eventtest.NewEvent("deleted")
	e.Name, e.Status = "deleted", event.Deleted
	key := event.LimitKey{EventID: "deleted", UserID: "u"}
	_, claimed := store.Claim(b.Context(), event.Claim{LimitKey: key, HoldID: "h", Quantity: 1, Max: 4, At: e.CreatedAt})
	l, found := store.GetLimit(b.Context(), key)
	err := errors.Join(claimed, found, store.ClearStamp(b.Context(), l), store.GiveBack(b.Context(), key, "h", 1, purgeAt),
		store.InsertEvent(b.Context(), e, event.Fact{ID: "f", Type: "t", Subject: e.ID, At: e.CreatedAt, Data: []byte(`{}`)}))
	if err != nil {
		b.Fatal(err)
	}
	empty := bson.D{{Key: "$set", Value: bson.D{{Key: "outbox", Value: bson.A{}}, {Key: "purgeAt", Value: purgeAt}}}, {Key: "$unset", Value: bson.D{{Key: "outboxDue", Value: ""}}}}
	if _, err := db.Collection("events").UpdateByID(b.Context(), e.ID, empty); err != nil {
		b.Fatal(err)
	}
	for collection, id := range map[string]string{"events": e.ID, "limits": key.String()} {
		var d bson.D
		if err := db.Collection(collection).FindOne(b.Context(), bson.D{{Key: "_id", Value: id}}).Decode(&d); err != nil {
			b.Fatal(err)
		}
		insertCopies(b, db.Collection(collection), d)
	}
}

// insertCopies inserts flagOld copies of a document with ids of their own.
func insertCopies(b *testing.B, c *mongo.Collection, d bson.D) {
	b.Helper()
	const chunk = 2000
	for done := 0; done < *flagOld; done += chunk {
		documents := make([]bson.D, min(chunk, *flagOld-done))
		for i := range documents {
			documents[i] = append(bson.D{{Key: "_id", Value: fmt.Sprintf("a-old%08d", done+i)}}, withoutID(d)...)
		}
		if _, err := c.InsertMany(b.Context(), documents, options.InsertMany().SetOrdered(false)); err != nil {
			b.Fatal(err)
		}
	}
}

func withoutID(d bson.D) bson.D {
	var rest bson.D
	for _, e := range d {
		if e.Key != "_id" {
			rest = append(rest, e)
		}
	}
	return rest
}

// benchQueries measures each query of the lists and of the periodic work.
func benchQueries(b *testing.B, store *mongoevents.Store) {
	ctx := b.Context()
	public := []event.Status{event.Published, event.Cancelled}
	for name, query := range map[string]func() error{
		"list": func() error { _, err := store.ListEvents(ctx, event.Query{Statuses: public, Limit: 20}); return err },
		"list by organizer": func() error {
			_, err := store.ListEvents(ctx, event.Query{Statuses: public, OrganizerID: "organizer", Limit: 20})
			return err
		},
		"list of admins": func() error {
			_, err := store.ListEvents(ctx, event.Query{Statuses: append(public, event.Draft), Limit: 20})
			return err
		},
		"ended, unsold":   func() error { _, err := store.EndedUnsold(ctx, old, 500); return err },
		"marks":           func() error { _, err := store.MarkedEvents(ctx, old, 128); return err },
		"unlogged":        func() error { _, err := store.UnloggedEvents(ctx, old, 128); return err },
		"cancelled":       func() error { _, err := store.UnfinishedCancellations(ctx, 500); return err },
		"holds to settle": func() error { _, err := store.HoldsToSettle(ctx, old, 128); return err },
		"stamped limits":  func() error { _, err := store.StampedLimits(ctx, old, 128); return err },
		"event ids":       func() error { _, err := store.EventIDs(ctx, "", 100); return err },
		"due outboxes":    func() error { _, err := store.Outbox().DueBoxes(ctx, old, 64); return err },
		"a limit": func() error {
			_, err := store.GetLimit(ctx, event.LimitKey{EventID: "live0001", UserID: "u"})
			return err
		},
		"an event": func() error { _, err := store.GetEvent(ctx, "live0001"); return err },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := query(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
