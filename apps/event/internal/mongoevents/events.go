package mongoevents

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/mongodb"
	"boxoffice/shared/outbox"
)

// InsertEvent implements event.Events.
func (s *Store) InsertEvent(ctx context.Context, e event.Event, fact event.Fact) error {
	_, err := s.events.InsertOne(ctx, toDocument(e, mongodb.NewOutboxFields(ctx, []event.Fact{fact})))
	switch {
	case err == nil:
		return nil
	case !mongo.IsDuplicateKeyError(err):
		return mongodb.WrapError("insert event", err)
	}
	// Only the text of the server's error says whether the id or the identity is taken, so
	// look for the id.
	switch _, err := s.GetEvent(ctx, e.ID); {
	case err == nil:
		return event.ErrExists
	case errors.Is(err, event.ErrNoEvent):
		return event.ErrNameTaken
	default:
		return err
	}
}

// GetEvent implements event.Events.
func (s *Store) GetEvent(ctx context.Context, id string) (event.Event, error) {
	var d eventDocument
	err := s.events.FindOne(ctx, byID(id), options.FindOne().SetProjection(withoutDerived(mongodb.WithoutOutbox()))).Decode(&d)
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return event.Event{}, event.ErrNoEvent
	case err != nil:
		return event.Event{}, mongodb.WrapError("find event", err)
	}
	return fromDocument(d), nil
}

// WriteSeats implements event.Events.
func (s *Store) WriteSeats(ctx context.Context, w event.SeatsWrite) error {
	set := bson.D{
		{Key: "seats.available", Value: w.Available},
		{Key: "seats.held", Value: w.Held},
		{Key: "seats.sold", Value: w.Sold},
		{Key: "seats.committed", Value: w.Held + w.Sold},
		{Key: "seats.live", Value: w.Live},
		{Key: "seats.everSold", Value: w.EverSold},
		{Key: "seats.version", Value: w.Version + 1},
		{Key: "seats.entries", Value: toEntries(w.Entries)},
	}
	for id, mark := range w.Set {
		set = append(set, bson.E{Key: markPath(id), Value: toHold(mark)})
	}
	update := bson.D{{Key: "$set", Value: set}}
	if len(w.Cleared) > 0 {
		var unset bson.D
		for _, id := range w.Cleared {
			unset = append(unset, bson.E{Key: markPath(id), Value: ""})
		}
		update = append(update, bson.E{Key: "$unset", Value: unset})
	}
	res, err := s.events.UpdateOne(ctx, bson.D{{Key: "_id", Value: w.EventID}, {Key: "seats.version", Value: w.Version}}, update)
	return staleUnlessMatched(res, "write seats", err)
}

// markPath returns the path of a hold's mark. The id contains neither . nor $.
func markPath(holdID string) string { return "seats.marks." + holdID }

// WriteDefinition implements event.Events.
func (s *Store) WriteDefinition(ctx context.Context, e event.Event, version int64, facts ...event.Fact) error {
	set, err := fields(toDefinition(e))
	if err != nil {
		return mongodb.WrapError("write event", err)
	}
	set = append(set,
		bson.E{Key: "organizerId", Value: e.OrganizerID},
		bson.E{Key: "createdAt", Value: e.CreatedAt},
		bson.E{Key: "fingerprint", Value: e.Fingerprint},
		bson.E{Key: "seats.capacity", Value: e.Seats.Capacity},
		bson.E{Key: "seats.available", Value: e.Seats.Available},
		bson.E{Key: "seats.held", Value: e.Seats.Held},
		bson.E{Key: "seats.sold", Value: e.Seats.Sold},
		bson.E{Key: "seats.committed", Value: e.Seats.Committed()},
		bson.E{Key: "seats.live", Value: e.Seats.Live},
		bson.E{Key: "seats.everSold", Value: e.Seats.EverSold},
		bson.E{Key: "seats.version", Value: e.Seats.Version + 1},
		bson.E{Key: "seats.entries", Value: toEntries(e.Seats.Entries)},
	)
	derived, missing, err := derivedFields(e)
	if err != nil {
		return mongodb.WrapError("write event", err)
	}
	update := bson.D{{Key: "$set", Value: append(set, derived...)}}
	if len(missing) > 0 {
		update = append(update, bson.E{Key: "$unset", Value: missing})
	}
	update = append(update, mongodb.PushFacts(ctx, facts)...)
	filter := bson.D{
		{Key: "_id", Value: e.ID}, {Key: "version", Value: version}, {Key: "seats.version", Value: e.Seats.Version},
	}
	// Few facts follow the cancellation of an event, so they need no bound.
	isBounded := e.Status != event.Cancelled && e.Status != event.Deleted
	if isBounded {
		full := fmt.Sprintf("outbox.%d", event.MaxFacts-len(facts))
		filter = append(filter, bson.E{Key: full, Value: bson.D{{Key: "$exists", Value: false}}})
	}
	res, err := s.events.UpdateOne(ctx, filter, update)
	switch {
	case mongo.IsDuplicateKeyError(err):
		return event.ErrNameTaken
	case err == nil && res.MatchedCount == 0 && isBounded:
		return s.makeRoom(ctx, e.ID, len(facts))
	}
	return staleUnlessMatched(res, "write event", err)
}

// makeRoom is called after a write of an event with n new facts matched nothing. If there
// is no room for the facts, it drops the oldest published ones, so that half of the outbox
// is free. It returns ErrStale, or ErrOutboxFull if there is still no room.
func (s *Store) makeRoom(ctx context.Context, id string, n int) error {
	box, err := s.Outbox().Box(ctx, id)
	switch {
	case errors.Is(err, outbox.ErrNoBox), err == nil && len(box.Records)+n <= event.MaxFacts:
		return event.ErrStale
	case err != nil:
		return err
	}
	excess := len(box.Records) + n - event.MaxFacts/2
	box.Records = slices.DeleteFunc(box.Records, func(r outbox.Record) bool {
		isDropped := excess > 0 && !r.SentAt.IsZero()
		if isDropped {
			excess--
		}
		return isDropped
	})
	if len(box.Records)+n > event.MaxFacts {
		return event.ErrOutboxFull
	}
	if err := s.saveBox(ctx, box); err != nil {
		return err
	}
	return event.ErrStale
}

// DropFacts implements event.Events.
func (s *Store) DropFacts(ctx context.Context, id, kind string) error {
	box, err := s.Outbox().Box(ctx, id)
	switch {
	case errors.Is(err, outbox.ErrNoBox):
		return event.ErrNoEvent
	case err != nil:
		return err
	}
	before := len(box.Records)
	box.Records = slices.DeleteFunc(box.Records, func(r outbox.Record) bool { return r.Type == kind })
	if len(box.Records) == before {
		return nil
	}
	return s.saveBox(ctx, box)
}

// saveBox saves a box from which facts were dropped. It returns event.ErrStale if the
// stored box has changed; nothing has happened then.
func (s *Store) saveBox(ctx context.Context, box outbox.Box) error {
	// Without the dropped facts, the box may be due later than box.Due. The relay then
	// finds nothing to do at that time.
	err := s.Outbox().SaveBox(ctx, box)
	if errors.Is(err, outbox.ErrStale) {
		return event.ErrStale
	}
	return err
}

// fields returns the fields of a document, for an update that sets each of them.
func fields(document any) (bson.D, error) {
	data, err := bson.Marshal(document)
	if err != nil {
		return nil, err
	}
	var d bson.D
	return d, bson.Unmarshal(data, &d)
}

// staleUnlessMatched returns event.ErrStale if an update matched no document.
func staleUnlessMatched(res *mongo.UpdateResult, what string, err error) error {
	switch {
	case err != nil:
		return mongodb.WrapError(what, err)
	case res.MatchedCount == 0:
		return event.ErrStale
	}
	return nil
}

func byID(id string) bson.D { return bson.D{{Key: "_id", Value: id}} }
