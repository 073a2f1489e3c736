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
	Records []record `bson:"outbox"` // never null
	Version int64    `bson:"outboxVersion"`
	// Either time is absent if it is the zero time, so that the sparse index on it stays
	// small.
	Due  *time.Time `bson:"outboxDue,omitempty"`
	Trim *time.Time `bson:"outboxTrim,omitempty"`
}

// storedBox is the part of a document that the projection boxFields returns.
type storedBox struct {
	ID           string `bson:"_id"`
	OutboxFields `bson:",inline"`
}

// boxFields returns the projection of the fields that hold an outbox.
func boxFields() bson.D {
	return bson.D{{Key: "outbox", Value: 1}, {Key: "outboxVersion", Value: 1}, {Key: "outboxDue", Value: 1}, {Key: "outboxTrim", Value: 1}}
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

// OutboxIndex returns the index of the boxes that are due. It has a single key, because a
// sparse index with two keys contains every document that has either.
func OutboxIndex() mongo.IndexModel { return sparseIndex("outbox", "outboxDue") }

// OutboxTrimIndex returns the index of the boxes that retain published records. It is
// separate from the OutboxIndex, so that a sweep for unpublished records examines no others.
func OutboxTrimIndex() mongo.IndexModel { return sparseIndex("outbox_trim", "outboxTrim") }

func sparseIndex(name, key string) mongo.IndexModel {
	return mongo.IndexModel{Keys: bson.D{{Key: key, Value: 1}}, Options: options.Index().SetName(name).SetSparse(true)}
}

// WithoutOutbox returns a projection that excludes the records of the outbox, which
// only the relay reads.
func WithoutOutbox() bson.D { return bson.D{{Key: "outbox", Value: 0}} }

// toBox converts the stored fields of a document to its box.
func (f storedBox) toBox() outbox.Box {
	b := outbox.Box{Document: f.ID, Version: f.Version, Due: ZeroTime(f.Due), Trim: ZeroTime(f.Trim)}
	for _, r := range f.Records {
		b.Records = append(b.Records, outbox.Record{
			ID: r.ID, Type: r.Type, Subject: f.ID, At: r.At.UTC(), Data: []byte(r.Data),
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
