package mongodb_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"boxoffice/shared/mongodb"
	"boxoffice/test/servers"
)

type numbered struct {
	ID string `bson:"_id"`
	N  int    `bson:"n"`
}

// Of writes and reads that share commands each has its own answer.
func TestWhatComesTogether(t *testing.T) {
	m := servers.StartMongo(t)
	var commands atomic.Int64
	client, err := mongodb.Connect(mongodb.Config{URI: m.URI, Database: m.Database, Monitor: &event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			if e.CommandName == "insert" || e.CommandName == "find" {
				commands.Add(1)
			}
		},
	}}, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(context.WithoutCancel(t.Context())) })
	c := client.DB.Collection("numbered")
	inserts := mongodb.NewInserter(c)
	finds := mongodb.NewFinder[numbered](c, bson.D{{Key: "n", Value: 1}})

	const ids, times = 60, 3
	var there [ids]atomic.Int64 // how often an insert of the id went well
	var wg sync.WaitGroup
	for i := range ids * times {
		id := i % ids
		wg.Go(func() {
			switch err := inserts.Insert(t.Context(), "", numbered{ID: fmt.Sprint("d", id), N: i}); {
			case err == nil:
				there[id].Add(1)
			case !errors.Is(err, mongodb.ErrTaken):
				t.Errorf("insert %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for id := range ids {
		if n := there[id].Load(); n != 1 {
			t.Errorf("d%d was inserted %d times", id, n)
		}
	}
	if _, err := c.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "unreadable"}, {Key: "n", Value: "one"}}); err != nil {
		t.Fatal(err)
	}
	for i := range ids * 2 {
		id := fmt.Sprint("d", i)
		if i%20 == 0 {
			wg.Go(func() {
				if d, err := finds.Find(t.Context(), "unreadable"); err == nil || errors.Is(err, mongo.ErrNoDocuments) {
					t.Errorf("find what cannot be read: got %+v, %v", d, err)
				}
			})
		}
		wg.Go(func() {
			d, err := finds.Find(t.Context(), id)
			switch {
			case i < ids && (err != nil || d.ID != id || d.N%ids != i):
				t.Errorf("find %s: got %+v, %v", id, d, err)
			case i >= ids && !errors.Is(err, mongo.ErrNoDocuments):
				t.Errorf("find %s: got %+v, %v", id, d, err)
			}
		})
	}
	wg.Wait()
	if n := commands.Load(); n >= ids*(times+2) {
		t.Errorf("%d commands: nothing was shared", n)
	}

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := inserts.Insert(canceled, "", numbered{ID: "late"}); err == nil || errors.Is(err, mongodb.ErrTaken) {
		t.Errorf("insert of one who has left: %v", err)
	}
	if _, err := finds.Find(canceled, "d1"); err == nil || errors.Is(err, mongo.ErrNoDocuments) {
		t.Errorf("find of one who has left: %v", err)
	}
}
