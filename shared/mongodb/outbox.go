package mongodb

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/shared/coalesce"
	"boxoffice/shared/outbox"
)

// OutboxFields are a document's outbox, put inline into the document's type.
type OutboxFields struct {
	Records []record   `bson:"outbox"` // never null
	Version int64      `bson:"outboxVersion"`
	Due     *time.Time `bson:"outboxDue,omitempty"` // absent, so that the sparse index stays small
}

// record is a fact in its document, whose id is its subject.
type record struct {
	ID          string     `bson:"id"`
	Type        string     `bson:"type"`
	At          time.Time  `bson:"at"`
	Data        string     `bson:"data"` // as JSON, for people to read
	TraceParent string     `bson:"traceparent"`
	SentAt      *time.Time `bson:"sentAt"`
}

// NewOutboxFields is the outbox of a document that is inserted with these facts, in the
// trace of ctx.
func NewOutboxFields[F outbox.AnyFact](ctx context.Context, facts []F) OutboxFields {
	b := outbox.NewBox(ctx, "", facts)
	return OutboxFields{Records: fromBox(b), Version: b.Version, Due: NullTime(b.Due)}
}

// PushFacts is what adds facts to the outbox of a document in an update of it: nothing
// when there are none.
func PushFacts[F outbox.AnyFact](ctx context.Context, facts []F) bson.D {
	b := outbox.NewBox(ctx, "", facts)
	if len(b.Records) == 0 {
		return nil
	}
	return bson.D{
		{Key: "$push", Value: bson.D{{Key: "outbox", Value: bson.D{{Key: "$each", Value: fromBox(b)}}}}},
		{Key: "$inc", Value: bson.D{{Key: "outboxVersion", Value: int64(1)}}},
		{Key: "$min", Value: bson.D{{Key: "outboxDue", Value: b.Due}}},
	}
}

// OutboxIndex is for the relay's sweep. It alone is sparse: with a second key it
// would hold every document.
func OutboxIndex() mongo.IndexModel {
	return mongo.IndexModel{
		Keys: bson.D{{Key: "outboxDue", Value: 1}}, Options: options.Index().SetName("outbox").SetSparse(true),
	}
}

// WithoutOutbox leaves out of an answer what only the relay reads.
func WithoutOutbox() bson.D { return bson.D{{Key: "outbox", Value: 0}} }

// Outbox is the outboxes of a collection's documents. It is safe for concurrent
// use.
type Outbox struct {
	documents *mongo.Collection
	rewinds   *mongo.Collection // a document for each collection that has outboxes
	saves     *coalesce.Group[*save]
}

var _ outbox.Store = (*Outbox)(nil)

// NewOutbox returns the outboxes of a collection, which must have the OutboxIndex.
func NewOutbox(documents *mongo.Collection) *Outbox {
	return &Outbox{documents, documents.Database().Collection("outboxes"), newBatches[*save]("update", documents)}
}

// Box implements outbox.Store.
func (o *Outbox) Box(ctx context.Context, document string) (outbox.Box, error) {
	var f OutboxFields
	err := o.documents.FindOne(ctx, bson.D{{Key: "_id", Value: document}}, options.FindOne().SetProjection(
		bson.D{{Key: "outbox", Value: 1}, {Key: "outboxVersion", Value: 1}, {Key: "outboxDue", Value: 1}})).Decode(&f)
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return outbox.Box{}, outbox.ErrNoBox
	case err != nil:
		return outbox.Box{}, WrapError("find outbox", err)
	}
	return toBox(document, f), nil
}

// ClaimBox implements outbox.Store.
func (o *Outbox) ClaimBox(ctx context.Context, b outbox.Box, due time.Time) error {
	res, err := o.documents.UpdateOne(ctx, sameBox(b), bson.D{{Key: "$set", Value: bson.D{
		{Key: "outboxVersion", Value: b.Version + 1}, {Key: "outboxDue", Value: due},
	}}})
	switch {
	case err != nil:
		return WrapError("claim outbox", err)
	case res.MatchedCount == 0:
		return outbox.ErrStale
	}
	return nil
}

// sameBox finds a box where its version is still the same.
func sameBox(b outbox.Box) bson.D {
	return bson.D{{Key: "_id", Value: b.Document}, {Key: "outboxVersion", Value: b.Version}}
}

// SaveBox implements outbox.Store. Boxes that are saved at the same time go in one
// command.
func (o *Outbox) SaveBox(ctx context.Context, b outbox.Box, due time.Time) error {
	s := &save{box: b, due: due}
	if err := o.saves.Do(ctx, "", o.save, s); err != nil {
		return WrapError("save outbox", err)
	}
	return s.err
}

type save struct {
	box outbox.Box
	due time.Time
	err error
}

// model is the write where the version is still the box's.
func (s *save) model() *mongo.UpdateOneModel {
	set := bson.D{{Key: "outbox", Value: fromBox(s.box)}, {Key: "outboxVersion", Value: s.box.Version + 1}}
	var update bson.D
	if s.due.IsZero() {
		update = append(update, bson.E{Key: "$unset", Value: bson.D{{Key: "outboxDue", Value: ""}}})
	} else {
		set = append(set, bson.E{Key: "outboxDue", Value: s.due})
	}
	return mongo.NewUpdateOneModel().
		SetFilter(sameBox(s.box)).
		SetUpdate(append(update, bson.E{Key: "$set", Value: set}))
}

func (o *Outbox) save(ctx context.Context, round []*save, _ func()) {
	writes := make([]mongo.WriteModel, len(round))
	for i, s := range round {
		writes[i] = s.model()
	}
	res, err := o.documents.BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false))
	for _, s := range round {
		switch {
		case err != nil:
			s.err = WrapError("save outbox", err)
		case res.MatchedCount == int64(len(round)):
		case len(round) == 1:
			s.err = outbox.ErrStale
		default:
			s.err = o.judge(ctx, s)
		}
	}
}

// judge finds out whether one of a round was stale: the answer had but the number
// of those that were not.
func (o *Outbox) judge(ctx context.Context, s *save) error {
	b, err := o.Box(ctx, s.box.Document)
	switch {
	case errors.Is(err, outbox.ErrNoBox), err == nil && !s.left(b):
		return outbox.ErrStale
	default:
		return err
	}
}

// left reports whether a box is as the save left it, or as others did who found it
// so: they add records behind those that are there, and nobody else writes the same
// times.
func (s *save) left(b outbox.Box) bool {
	same := func(a, b time.Time) bool { return a.Truncate(time.Millisecond).Equal(b.Truncate(time.Millisecond)) }
	ours := s.box.Records
	if b.Version <= s.box.Version || len(b.Records) < len(ours) {
		return false
	}
	if b.Version == s.box.Version+1 && (len(b.Records) > len(ours) || !same(b.Due, s.due)) {
		return false
	}
	return (len(ours) > 0 || b.Version == s.box.Version+1) &&
		slices.EqualFunc(b.Records[:len(ours)], ours, func(a, b outbox.Record) bool { return a.ID == b.ID && same(a.SentAt, b.SentAt) })
}

// DueBoxes implements outbox.Store.
func (o *Outbox) DueBoxes(ctx context.Context, from, to time.Time, limit int) ([]string, error) {
	return o.ids(ctx, "find due outboxes",
		bson.D{{Key: "outboxDue", Value: bson.D{{Key: "$gte", Value: from}, {Key: "$lt", Value: to}}}},
		bson.D{{Key: "outboxDue", Value: 1}}, limit)
}

// Rewind implements outbox.Store.
func (o *Outbox) Rewind(ctx context.Context, since time.Time) error {
	var err error
	for range 2 { // of two that insert it at once, one learns that it is there
		_, err = o.rewinds.UpdateOne(ctx, bson.D{{Key: "_id", Value: o.documents.Name()}},
			bson.D{{Key: "$max", Value: bson.D{{Key: "since", Value: since}}}}, options.UpdateOne().SetUpsert(true))
		if !mongo.IsDuplicateKeyError(err) {
			break
		}
	}
	if err != nil {
		return WrapError("rewind outboxes", err)
	}
	return nil
}

// Since implements outbox.Store.
func (o *Outbox) Since(ctx context.Context) (time.Time, error) {
	var found struct {
		Since time.Time `bson:"since"`
	}
	err := o.rewinds.FindOne(ctx, bson.D{{Key: "_id", Value: o.documents.Name()}}).Decode(&found)
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, WrapError("find rewinds of outboxes", err)
	}
	return found.Since.UTC(), nil
}

// ids returns the ids of documents that match, in an order.
func (o *Outbox) ids(ctx context.Context, what string, filter, order bson.D, limit int) ([]string, error) {
	cursor, err := o.documents.Find(ctx, filter, options.Find().
		SetSort(order).SetLimit(int64(limit)).SetProjection(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return nil, WrapError(what, err)
	}
	var found []struct {
		ID string `bson:"_id"`
	}
	if err := cursor.All(ctx, &found); err != nil {
		return nil, WrapError(what, err)
	}
	var ids []string
	for _, d := range found {
		ids = append(ids, d.ID)
	}
	return ids, nil
}

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

func fromBox(b outbox.Box) []record {
	records := make([]record, len(b.Records))
	for i, r := range b.Records {
		records[i] = record{
			ID: r.ID, Type: r.Type, At: r.At, Data: string(r.Data), TraceParent: r.TraceParent, SentAt: NullTime(r.SentAt),
		}
	}
	return records
}
