package outboxes_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/outbox"
	"boxoffice/test/kit/outboxes"
	"boxoffice/test/servers"
)

func TestFactsAndCountUnsentReadWhatIsStored(t *testing.T) {
	m := servers.StartMongo(t)
	client, err := mongo.Connect(options.Client().ApplyURI(m.URI))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) })
	collection := client.Database(m.Database).Collection("documents")
	at := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	record := func(id string, sentAt any) bson.M {
		return bson.M{"id": id, "type": "made", "data": "{}", "at": at, "sentAt": sentAt}
	}
	if _, err := collection.InsertMany(t.Context(), []any{
		bson.M{"_id": "b", "outbox": bson.A{record("3", nil)}},
		bson.M{"_id": "a", "outbox": bson.A{record("2", at), record("1", nil)}},
		bson.M{"_id": "c", "outbox": bson.A{record("4", at)}},
	}); err != nil {
		t.Fatal(err)
	}
	want := []outbox.Fact{
		{ID: "2", Type: "made", Subject: "a", At: at, Data: []byte("{}")},
		{ID: "1", Type: "made", Subject: "a", At: at, Data: []byte("{}")},
		{ID: "3", Type: "made", Subject: "b", At: at, Data: []byte("{}")},
		{ID: "4", Type: "made", Subject: "c", At: at, Data: []byte("{}")},
	}
	if got := outboxes.Facts[outbox.Fact](t, collection); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("facts: got %v, want %v", got, want)
	}
	if got := outboxes.CountUnsent(t, collection); got != 2 {
		t.Errorf("documents with unsent facts: got %d, want 2", got)
	}
}
