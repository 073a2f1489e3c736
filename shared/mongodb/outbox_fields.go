package mongodb

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/outbox"
)

// OutboxFields are the fields of a document that hold its outbox. Embed them inline in
// the document's type.
type OutboxFields struct {
	Records []record   `bson:"outbox"` // never null
	Version int64      `bson:"outboxVersion"`
	Due     *time.Time `bson:"outboxDue,omitempty"` // absent if the box is never due, so that the sparse index stays small
}

// record is an outbox.Record as it is stored. Its subject is the document's id.
type record struct {
	ID          string     `bson:"id"`
	Type        string     `bson:"type"`
	At          time.Time  `bson:"at"`
	Data        string     `bson:"data"` // JSON as text, so that it is readable in mongosh
	TraceParent string     `bson:"traceparent"`
	SentAt      *time.Time `bson:"sentAt"`
}

// NewOutboxFields returns the outbox fields of a document that is inserted together with
// facts. The records carry the trace of ctx.
func NewOutboxFields[F outbox.AnyFact](ctx context.Context, facts []F) OutboxFields {
	b := outbox.NewBox(ctx, "", facts)
	return OutboxFields{Records: storedRecords(b), Version: b.Version, Due: NullTime(b.Due)}
}

// PushFacts returns the update operators that add facts to the outbox of a document, or
// nil if there are no facts. The records carry the trace of ctx.
func PushFacts[F outbox.AnyFact](ctx context.Context, facts []F) bson.D {
	b := outbox.NewBox(ctx, "", facts)
	if len(b.Records) == 0 {
		return nil
	}
	return bson.D{
		{Key: "$push", Value: bson.D{{Key: "outbox", Value: bson.D{{Key: "$each", Value: storedRecords(b)}}}}},
		{Key: "$inc", Value: bson.D{{Key: "outboxVersion", Value: int64(1)}}},
		{Key: "$min", Value: bson.D{{Key: "outboxDue", Value: b.Due}}},
	}
}

// OutboxIndex returns the index that the relay's sweep needs. It has a single key,
// because a sparse index with two keys contains every document that has either.
func OutboxIndex() mongo.IndexModel {
	return mongo.IndexModel{
		Keys: bson.D{{Key: "outboxDue", Value: 1}}, Options: options.Index().SetName("outbox").SetSparse(true),
	}
}

// WithoutOutbox returns a projection that excludes the records of the outbox, which
// only the relay reads.
func WithoutOutbox() bson.D { return bson.D{{Key: "outbox", Value: 0}} }

// toBox converts the stored fields of a document to its box.
func toBox(document string, f OutboxFields) outbox.Box {
	b := outbox.Box{Document: document, Version: f.Version, Due: ZeroTime(f.Due)}
	for _, r := range f.Records {
		b.Records = append(b.Records, outbox.Record{
			ID: r.ID, Type: r.Type, Subject: document, At: r.At.UTC(), Data: []byte(r.Data),
			TraceParent: r.TraceParent, SentAt: ZeroTime(r.SentAt),
		})
	}
	return b
}

// storedRecords converts the records of a box to the form in which they are stored.
func storedRecords(b outbox.Box) []record {
	records := make([]record, len(b.Records))
	for i, r := range b.Records {
		records[i] = record{
			ID: r.ID, Type: r.Type, At: r.At, Data: string(r.Data), TraceParent: r.TraceParent, SentAt: NullTime(r.SentAt),
		}
	}
	return records
}
