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

// Outbox is an outbox.Store for the documents of one collection. It is safe for
// concurrent use.
type Outbox struct {
	documents  *Collection
	watermarks *Collection // one document for each collection with outboxes
	saves      *coalesce.Group[*save]
}

var _ outbox.Store = (*Outbox)(nil)

// NewOutbox returns the outboxes of a collection, which must have the OutboxIndex and the
// OutboxTrimIndex.
func NewOutbox(documents *Collection) *Outbox {
	return &Outbox{documents, documents.beside("outboxes"), newBatches[*save]("update", documents)}
}

// Box implements outbox.Store.
func (o *Outbox) Box(ctx context.Context, document string) (outbox.Box, error) {
	var f storedBox
	err := o.documents.FindOne(ctx, bson.D{{Key: "_id", Value: document}}, options.FindOne().SetProjection(boxFields())).Decode(&f)
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return outbox.Box{}, outbox.ErrNoBox
	case err != nil:
		return outbox.Box{}, WrapError("find outbox", err)
	}
	return f.toBox(), nil
}

// ClaimBox implements outbox.Store.
func (o *Outbox) ClaimBox(ctx context.Context, b outbox.Box, due time.Time) error {
	b.Due, b.Trim = due, time.Time{}
	res, err := o.documents.UpdateOne(ctx, sameVersion(b), setBox(b))
	switch {
	case err != nil:
		return WrapError("claim outbox", err)
	case res.MatchedCount == 0:
		return outbox.ErrStale
	}
	return nil
}

// sameVersion returns a filter that matches the document of b while the version of its
// box is b.Version.
func sameVersion(b outbox.Box) bson.D {
	return bson.D{{Key: "_id", Value: b.Document}, {Key: "outboxVersion", Value: b.Version}}
}

// setBox returns the update that sets the times of a box to those of b, and increases its
// version by one. It also sets fields.
func setBox(b outbox.Box, fields ...bson.E) bson.D {
	set := append(bson.D{{Key: "outboxVersion", Value: b.Version + 1}}, fields...)
	var unset bson.D
	for _, field := range []struct {
		name string
		at   time.Time
	}{{"outboxDue", b.Due}, {"outboxTrim", b.Trim}} {
		if field.at.IsZero() {
			unset = append(unset, bson.E{Key: field.name, Value: ""})
		} else {
			set = append(set, bson.E{Key: field.name, Value: field.at})
		}
	}
	update := bson.D{{Key: "$set", Value: set}}
	if len(unset) > 0 {
		update = append(update, bson.E{Key: "$unset", Value: unset})
	}
	return update
}

// SaveBox implements outbox.Store. Concurrent saves share a command.
func (o *Outbox) SaveBox(ctx context.Context, b outbox.Box) error {
	s := &save{box: b}
	if err := o.saves.Do(ctx, "", o.saveBatch, s); err != nil {
		return WrapError("save outbox", err)
	}
	return s.err
}

// save is one call to SaveBox.
type save struct {
	box outbox.Box
	err error
}

// model returns the compare-and-set on the version of the box.
func (s *save) model() *mongo.UpdateOneModel {
	return mongo.NewUpdateOneModel().
		SetFilter(sameVersion(s.box)).
		SetUpdate(setBox(s.box, bson.E{Key: "outbox", Value: storedRecords(s.box)}))
}

// saveBatch sends the saves of a batch in one command and sets the error of each.
func (o *Outbox) saveBatch(ctx context.Context, batch []*save, _ func()) {
	writes := make([]mongo.WriteModel, len(batch))
	for i, s := range batch {
		writes[i] = s.model()
	}
	res, err := o.documents.BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false))
	for _, s := range batch {
		switch {
		case err != nil:
			s.err = WrapError("save outbox", err)
		case res.MatchedCount == int64(len(batch)):
		case len(batch) == 1:
			s.err = outbox.ErrStale
		default:
			// The reply contains only the number of saves that matched, not which ones.
			s.err = o.checkApplied(ctx, s)
		}
	}
}

// checkApplied reads the box of a save and returns ErrStale if the save was not applied.
func (o *Outbox) checkApplied(ctx context.Context, s *save) error {
	stored, err := o.Box(ctx, s.box.Document)
	switch {
	case errors.Is(err, outbox.ErrNoBox), err == nil && !isApplied(s.box, stored):
		return outbox.ErrStale
	default:
		return err
	}
}

// isApplied reports whether SaveBox(saved) took effect, given the box that is stored
// some time afterwards. It relies on how others change a box: a writer only appends
// records, and a relay stores the times at which it published records, which usually
// differ from those of another relay.
//
// For example, a relay reads version 4 with the unpublished record f1, publishes it
// and saves f1 as sent at 12:00:01.
//
//   - The save is applied as version 5. A writer then appends f2, which makes
//     version 6. The stored box is version 6: [f1 sent at 12:00:01, f2]. It begins with
//     the saved records, so the save was applied.
//   - The writer is first: version 5 is [f1 unsent, f2], and the save matches nothing.
//     The stored box does not begin with the saved records, so the save was stale.
//
// In two cases the answer may be wrong, which is harmless:
//
//   - If the save leaves no records and other writes followed it, isApplied reports
//     false. The relay then reads the box again and continues from what is stored.
//   - If another relay saved the very same times, or if the save changes no records,
//     isApplied may report true for a stale save. The records that the save contained
//     are stored all the same.
func isApplied(saved, stored outbox.Box) bool {
	n := len(saved.Records)
	if stored.Version <= saved.Version || len(stored.Records) < n {
		return false
	}
	if stored.Version == saved.Version+1 {
		// Exactly one write happened: this save, or the one that made it stale.
		if len(stored.Records) > n || !sameMilliseconds(stored.Due, saved.Due) || !sameMilliseconds(stored.Trim, saved.Trim) {
			return false
		}
	} else if n == 0 {
		return false
	}
	return slices.EqualFunc(stored.Records[:n], saved.Records, func(a, b outbox.Record) bool {
		return a.ID == b.ID && sameMilliseconds(a.SentAt, b.SentAt)
	})
}

// sameMilliseconds compares times with the precision of BSON.
func sameMilliseconds(a, b time.Time) bool {
	return a.Truncate(time.Millisecond).Equal(b.Truncate(time.Millisecond))
}

// DueBoxes implements outbox.Store.
func (o *Outbox) DueBoxes(ctx context.Context, t time.Time, limit int) ([]outbox.Box, error) {
	return o.boxesBefore(ctx, "find due outboxes", "outboxDue", t, limit)
}

// RetainedBoxes implements outbox.Store.
func (o *Outbox) RetainedBoxes(ctx context.Context, t time.Time, limit int) ([]outbox.Box, error) {
	return o.boxesBefore(ctx, "find retained outboxes", "outboxTrim", t, limit)
}

// boxesBefore returns the boxes whose time in field is before t, ordered by that time. It
// returns at most limit of them.
func (o *Outbox) boxesBefore(ctx context.Context, what, field string, t time.Time, limit int) ([]outbox.Box, error) {
	return FindAll(ctx, o.documents, what,
		bson.D{{Key: field, Value: bson.D{{Key: "$lt", Value: t}}}},
		options.Find().SetSort(bson.D{{Key: field, Value: 1}}).SetLimit(int64(limit)).SetProjection(boxFields()),
		storedBox.toBox)
}

// RaiseWatermark implements outbox.Store.
func (o *Outbox) RaiseWatermark(ctx context.Context, t time.Time) error {
	var err error
	for range 2 { // if two upserts create the document at once, one of them fails
		_, err = o.watermarks.UpdateOne(ctx, bson.D{{Key: "_id", Value: o.documents.Name()}},
			bson.D{{Key: "$max", Value: bson.D{{Key: "since", Value: t}}}}, options.UpdateOne().SetUpsert(true))
		if !mongo.IsDuplicateKeyError(err) {
			break
		}
	}
	if err != nil {
		return WrapError("raise watermark of outboxes", err)
	}
	return nil
}

// Watermark implements outbox.Store.
func (o *Outbox) Watermark(ctx context.Context) (time.Time, error) {
	var found struct {
		Since time.Time `bson:"since"`
	}
	err := o.watermarks.FindOne(ctx, bson.D{{Key: "_id", Value: o.documents.Name()}}).Decode(&found)
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, WrapError("find watermark of outboxes", err)
	}
	return found.Since.UTC(), nil
}
