package mongodb_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/mongodb"
	"boxoffice/shared/outbox"
	"boxoffice/shared/outbox/outboxtest"
	"boxoffice/test/servers"
)

// document is a document that consists of an outbox only.
type document struct {
	ID     string               `bson:"_id"`
	Outbox mongodb.OutboxFields `bson:",inline"`
}

func TestOutboxConforms(t *testing.T) {
	m := servers.StartMongo(t)
	client, err := mongodb.Connect(mongodb.Config{URI: m.URI, Database: m.Database}, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(context.WithoutCancel(t.Context())) })
	outboxtest.Conform(t, func(t *testing.T) outboxtest.Subject {
		c := client.Collection(t.Name())
		if err := c.CreateIndexes(t.Context(), []mongo.IndexModel{mongodb.OutboxIndex(), mongodb.OutboxTrimIndex()}); err != nil {
			t.Fatal(err)
		}
		add := func(t *testing.T, id, factID string, at time.Time) {
			t.Helper()
			facts := []outbox.Fact{{ID: factID, Type: "t", Subject: id, At: at, Data: []byte(`{}`)}}
			res, err := c.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: id}}, mongodb.PushFacts(t.Context(), facts))
			if err == nil && res.MatchedCount == 0 {
				_, err = c.InsertOne(t.Context(), document{ID: id, Outbox: mongodb.NewOutboxFields(t.Context(), facts)})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return outboxtest.Subject{Store: mongodb.NewOutbox(c), Add: add}
	})
}

// A sparse index with a single key contains only the documents whose boxes have the time.
func TestOutboxIndexesAreSparseWithASingleKey(t *testing.T) {
	for key, model := range map[string]mongo.IndexModel{
		"outboxDue": mongodb.OutboxIndex(), "outboxTrim": mongodb.OutboxTrimIndex(),
	} {
		index := options.IndexOptions{}
		for _, set := range model.Options.List() {
			if err := set(&index); err != nil {
				t.Fatal(err)
			}
		}
		keys := model.Keys.(bson.D)
		if len(keys) != 1 || keys[0].Key != key || index.Sparse == nil || !*index.Sparse {
			t.Errorf("got keys %v and options %+v, want a sparse index on %s alone", keys, index, key)
		}
	}
}

// A sweep for unpublished records examines no box that retains published ones, however many
// there are. A sweep that trims examines only boxes with expired records.
func TestSweepsExamineOnlyTheirBoxes(t *testing.T) {
	const retained, expired, due = 2000, 20, 10
	ctx := t.Context()
	m := servers.StartMongo(t)
	var finds []bson.Raw
	client, err := mongodb.Connect(mongodb.Config{URI: m.URI, Database: m.Database, Monitor: &event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			if e.CommandName == "find" {
				finds = append(finds, slices.Clone(e.Command))
			}
		},
	}}, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(context.WithoutCancel(ctx)) })
	server, err := mongo.Connect(options.Client().ApplyURI(m.URI))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Disconnect(context.WithoutCancel(ctx)) })
	c := client.Collection("documents")
	if err := c.CreateIndexes(ctx, []mongo.IndexModel{mongodb.OutboxIndex(), mongodb.OutboxTrimIndex()}); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	var documents []any
	add := func(prefix string, n int, due, trim *time.Time) {
		for i := range n {
			id := fmt.Sprint(prefix, i)
			d := document{ID: id, Outbox: mongodb.NewOutboxFields(ctx, []outbox.Fact{{ID: id, Type: "t", Subject: id, At: now, Data: []byte(`{}`)}})}
			d.Outbox.Due, d.Outbox.Trim = due, trim
			documents = append(documents, d)
		}
	}
	add("retained", retained, nil, new(now.Add(time.Hour)))
	add("expired", expired, nil, new(now.Add(-time.Hour)))
	add("due", due, new(now.Add(-time.Minute)), nil)
	if _, err := c.InsertMany(ctx, documents); err != nil {
		t.Fatal(err)
	}
	boxes := mongodb.NewOutbox(c)
	for name, tt := range map[string]struct {
		find func(context.Context, time.Time, int) ([]outbox.Box, error)
		want int64
	}{
		"due":     {boxes.DueBoxes, due},
		"expired": {boxes.RetainedBoxes, expired},
	} {
		finds = nil
		found, err := tt.find(ctx, now, 100)
		if err != nil || int64(len(found)) != tt.want || len(finds) != 1 {
			t.Fatalf("%s: got %d boxes with %d queries, %v, want %d with one", name, len(found), len(finds), err, tt.want)
		}
		keys, docs := examined(t, server.Database(m.Database), finds[0])
		if docs != tt.want || keys > tt.want+1 {
			t.Errorf("%s: got %d documents and %d keys examined, want %d", name, docs, keys, tt.want)
		}
	}
}

// examined returns how many index keys and documents the server examines for a find command.
func examined(t *testing.T, db *mongo.Database, find bson.Raw) (keys, docs int64) {
	t.Helper()
	var query bson.D
	for _, key := range []string{"find", "filter", "sort", "limit", "projection"} {
		query = append(query, bson.E{Key: key, Value: find.Lookup(key)})
	}
	var reply struct {
		Stats struct {
			Keys int64 `bson:"totalKeysExamined"`
			Docs int64 `bson:"totalDocsExamined"`
		} `bson:"executionStats"`
	}
	if err := db.RunCommand(t.Context(), bson.D{{Key: "explain", Value: query}, {Key: "verbosity", Value: "executionStats"}}).Decode(&reply); err != nil {
		t.Fatal(err)
	}
	return reply.Stats.Keys, reply.Stats.Docs
}
