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

// numbered is a document whose number identifies the insert that stored it.
type numbered struct {
	ID string `bson:"_id"`
	N  int    `bson:"n"`
}

func TestConcurrentInsertsAndFindsShareCommandsButNotResults(t *testing.T) {
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
	c := client.Collection("numbered")
	inserter := mongodb.NewInserter(c)
	finder := mongodb.NewFinder[numbered](c, bson.D{{Key: "n", Value: 1}})

	const ids, insertsPerID = 60, 3
	var inserted [ids]atomic.Int64 // the number of successful inserts of each id
	var wg sync.WaitGroup
	for i := range ids * insertsPerID {
		id := i % ids
		wg.Go(func() {
			switch err := inserter.Insert(t.Context(), "", numbered{ID: fmt.Sprint("d", id), N: i}); {
			case err == nil:
				inserted[id].Add(1)
			case !errors.Is(err, mongodb.ErrTaken):
				t.Errorf("insert %d: got %v, want nil or %v", i, err, mongodb.ErrTaken)
			}
		})
	}
	wg.Wait()
	for id := range ids {
		if got := inserted[id].Load(); got != 1 {
			t.Errorf("successful inserts of d%d: got %d, want 1", id, got)
		}
	}

	// Finds of a document that cannot be decoded, or of a missing one, do not affect the
	// finds that share a command with them.
	if _, err := c.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "malformed"}, {Key: "n", Value: "one"}}); err != nil {
		t.Fatal(err)
	}
	for i := range ids * 2 {
		id := fmt.Sprint("d", i)
		if i%20 == 0 {
			wg.Go(func() {
				if d, err := finder.Find(t.Context(), "malformed"); err == nil || errors.Is(err, mongo.ErrNoDocuments) {
					t.Errorf("find a malformed document: got %+v, %v, want a decoding error", d, err)
				}
			})
		}
		wg.Go(func() {
			d, err := finder.Find(t.Context(), id)
			switch {
			case i < ids && (err != nil || d.ID != id || d.N%ids != i):
				t.Errorf("find %s: got %+v, %v, want the document", id, d, err)
			case i >= ids && !errors.Is(err, mongo.ErrNoDocuments):
				t.Errorf("find %s: got %+v, %v, want %v", id, d, err, mongo.ErrNoDocuments)
			}
		})
	}
	wg.Wait()
	if got, limit := commands.Load(), int64(ids*(insertsPerID+2)); got >= limit {
		t.Errorf("commands: got %d, want fewer than %d", got, limit)
	}

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := inserter.Insert(cancelled, "", numbered{ID: "late"}); err == nil || errors.Is(err, mongodb.ErrTaken) {
		t.Errorf("insert with a cancelled context: got %v, want the context's error", err)
	}
	if _, err := finder.Find(cancelled, "d1"); err == nil || errors.Is(err, mongo.ErrNoDocuments) {
		t.Errorf("find with a cancelled context: got %v, want the context's error", err)
	}
}
