package mongoevents

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/mongodb"
)

// entryDocument is an event.Entry, either inside its event or, with the id and the event's
// id, as a document of its own.
type entryDocument struct {
	ID        string    `bson:"_id,omitempty"`
	EventID   string    `bson:"eventId,omitempty"`
	Version   int64     `bson:"version"`
	Number    int       `bson:"number"`
	At        time.Time `bson:"at"`
	Cause     string    `bson:"cause"`
	Available int64     `bson:"available"`
	Held      int64     `bson:"held"`
	Sold      int64     `bson:"sold"`
	HoldID    string    `bson:"holdId,omitempty"`
	TraceID   string    `bson:"traceId,omitempty"`
}

// openingDocument is an event.Opening. Events that were stored before there was a log have
// none, which is read as the zero Opening.
type openingDocument struct {
	Through   int64     `bson:"through"`
	At        time.Time `bson:"at"`
	Available int64     `bson:"available"`
	Held      int64     `bson:"held"`
	Sold      int64     `bson:"sold"`
}

func toEntry(e event.Entry) entryDocument {
	return entryDocument{
		Version: e.Version, Number: e.Number, At: e.At, Cause: string(e.Cause),
		Available: e.Change.Available, Held: e.Change.Held, Sold: e.Change.Sold, HoldID: e.HoldID, TraceID: e.TraceID,
	}
}

// toEntries returns entries by their ids. It never returns nil.
func toEntries(entries []event.Entry) map[string]entryDocument {
	documents := make(map[string]entryDocument, len(entries))
	for _, e := range entries {
		documents[e.ID()] = toEntry(e)
	}
	return documents
}

func fromEntry(d entryDocument) event.Entry {
	return event.Entry{
		Version: d.Version, Number: d.Number, At: d.At.UTC(), Cause: event.Cause(d.Cause),
		Change: event.Change{Available: d.Available, Held: d.Held, Sold: d.Sold}, HoldID: d.HoldID, TraceID: d.TraceID,
	}
}

// fromEntries returns the entries of an event in ascending order.
func fromEntries(documents map[string]entryDocument) []event.Entry {
	var entries []event.Entry
	for _, d := range documents {
		entries = append(entries, fromEntry(d))
	}
	slices.SortFunc(entries, func(a, b event.Entry) int {
		return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(a.Number, b.Number))
	})
	return entries
}

func toOpening(o event.Opening) openingDocument {
	return openingDocument{Through: o.Through, At: o.At, Available: o.Sum.Available, Held: o.Sum.Held, Sold: o.Sum.Sold}
}

func fromOpening(d openingDocument) event.Opening {
	if d.Through == 0 {
		return event.Opening{}
	}
	return event.Opening{
		Through: d.Through, At: d.At.UTC(), Sum: event.Change{Available: d.Available, Held: d.Held, Sold: d.Sold},
	}
}

// entryID returns the id of an entry's document. The ids of an event's entries are in the
// order of the entries, so the index of _id serves every query for one event. An event's id
// contains no colon, so no id of another event is among them.
func entryID(eventID string, p event.EntryPosition) string {
	return fmt.Sprintf("%s:%04d", writeID(eventID, p.Version), p.Number)
}

// writeID returns the prefix of the ids of the entries of one write. It is less than all of
// them, and greater than the ids of entries of earlier writes. It pads the version to the
// 19 digits of the greatest one.
func writeID(eventID string, version int64) string { return fmt.Sprintf("%s:%019d", eventID, version) }

// afterVersion matches the entries of an event that are later than a version.
func afterVersion(eventID string, version int64) bson.E {
	return bson.E{Key: "$gte", Value: writeID(eventID, version+1)}
}

// InsertEntries implements event.CapacityLog.
func (s *Store) InsertEntries(ctx context.Context, eventID string, entries []event.Entry) error {
	documents := make([]entryDocument, len(entries))
	for i, e := range entries {
		documents[i] = toEntry(e)
		documents[i].ID, documents[i].EventID = entryID(eventID, event.EntryPosition{Version: e.Version, Number: e.Number}), eventID
	}
	return insertAbsent(ctx, s.log, "insert log entries", documents)
}

// ListEntries implements event.CapacityLog.
func (s *Store) ListEntries(ctx context.Context, q event.EntryQuery) ([]event.Entry, error) {
	return s.findEntries(ctx, "list log entries",
		bson.D{afterVersion(q.EventID, q.After), {Key: "$lt", Value: entryID(q.EventID, q.Before)}}, -1, q.Limit)
}

// OldestEntries implements event.CapacityLog.
func (s *Store) OldestEntries(ctx context.Context, eventID string, after int64, limit int) ([]event.Entry, error) {
	return s.findEntries(ctx, "find oldest log entries",
		bson.D{afterVersion(eventID, after), {Key: "$lt", Value: endOfLog(eventID)}}, 1, limit)
}

// endOfLog returns a string that is greater than all ids of the entries of an event, and less
// than those of other events' entries that follow.
func endOfLog(eventID string) string { return eventID + ";" } // a semicolon follows the colon

// findEntries returns up to limit entries whose ids are in a range.
func (s *Store) findEntries(ctx context.Context, what string, ids bson.D, direction, limit int) ([]event.Entry, error) {
	return mongodb.FindAll(ctx, s.log, what, bson.D{{Key: "_id", Value: ids}},
		options.Find().SetSort(bson.D{{Key: "_id", Value: direction}}).SetLimit(int64(limit)), fromEntry)
}

// OldLogs implements event.CapacityLog.
func (s *Store) OldLogs(ctx context.Context, before time.Time, limit int) ([]string, error) {
	all, err := mongodb.FindAll(ctx, s.log, "find old log entries", bson.D{{Key: "at", Value: bson.D{{Key: "$lt", Value: before}}}},
		options.Find().SetSort(bson.D{{Key: "at", Value: 1}}).SetLimit(int64(limit)).SetProjection(bson.D{{Key: "eventId", Value: 1}}),
		func(d entryDocument) string { return d.EventID })
	var ids []string
	known := map[string]bool{}
	for _, id := range all {
		if !known[id] {
			known[id] = true
			ids = append(ids, id)
		}
	}
	return ids, err
}

// DeleteEntries implements event.CapacityLog.
func (s *Store) DeleteEntries(ctx context.Context, eventID string, through int64, limit int) (int, error) {
	// The last id bounds the delete, which cannot have a limit.
	found, err := mongodb.FindAll(ctx, s.log, "find folded log entries", bson.D{{Key: "_id", Value: bson.D{
		{Key: "$gte", Value: writeID(eventID, 0)}, {Key: "$lt", Value: throughVersion(eventID, through)},
	}}}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)).SetProjection(bson.D{{Key: "_id", Value: 1}}), mongodb.IDOf)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	_, err = s.log.DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{
		{Key: "$gte", Value: found[0]}, {Key: "$lte", Value: found[len(found)-1]},
	}}})
	if err != nil {
		return 0, mongodb.WrapError("delete folded log entries", err)
	}
	return len(found), nil
}

// throughVersion returns a string that is greater than the ids of an event's entries up to a
// version, and less than those of later entries.
func throughVersion(eventID string, version int64) string { return writeID(eventID, version) + ";" }

// WriteOpening implements event.Events.
func (s *Store) WriteOpening(ctx context.Context, eventID string, through int64, next event.Opening) error {
	var stored any = through
	if through == 0 {
		stored = bson.D{{Key: "$in", Value: bson.A{int64(0), nil}}} // null also matches events without the field
	}
	res, err := s.events.UpdateOne(ctx, bson.D{{Key: "_id", Value: eventID}, {Key: "opening.through", Value: stored}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "opening", Value: toOpening(next)}}}})
	return staleUnlessMatched(res, "write opening entry", err)
}
