package mongodb_test

import (
	"context"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
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
		if err := c.CreateIndexes(t.Context(), []mongo.IndexModel{mongodb.OutboxIndex()}); err != nil {
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

// A sparse index with a single key contains only the documents whose boxes have a due time.
func TestOutboxIndexIsSparseWithASingleKey(t *testing.T) {
	index := options.IndexOptions{}
	for _, set := range mongodb.OutboxIndex().Options.List() {
		if err := set(&index); err != nil {
			t.Fatal(err)
		}
	}
	keys := mongodb.OutboxIndex().Keys.(bson.D)
	if len(keys) != 1 || keys[0].Key != "outboxDue" || index.Sparse == nil || !*index.Sparse {
		t.Errorf("got keys %v and options %+v, want a sparse index on outboxDue alone", keys, index)
	}
}
