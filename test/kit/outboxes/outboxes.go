// Package outboxes reads the outboxes in the documents of a MongoDB collection,
// independently of the store that wrote them.
package outboxes

import (
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/outbox"
)

// Facts returns the facts in all outboxes of a collection, whether they are published or
// not. They are ordered by document id, and those of one document as they are stored.
// Facts fails the test if it cannot read them.
func Facts[F outbox.AnyFact](t testing.TB, collection *mongo.Collection) []F {
	t.Helper()
	cursor, err := collection.Find(t.Context(), bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
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
	var facts []F
	for _, d := range documents {
		for _, r := range d.Outbox {
			facts = append(facts, F(outbox.Fact{ID: r.ID, Type: r.Type, Subject: d.ID, At: r.At.UTC(), Data: []byte(r.Data)}))
		}
	}
	return facts
}

// CountUnsent returns the number of documents that have an unpublished fact. It fails
// the test if it cannot count them.
func CountUnsent(t testing.TB, collection *mongo.Collection) int64 {
	t.Helper()
	n, err := collection.CountDocuments(t.Context(), bson.D{{Key: "outbox", Value: bson.D{
		{Key: "$elemMatch", Value: bson.D{{Key: "sentAt", Value: nil}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
