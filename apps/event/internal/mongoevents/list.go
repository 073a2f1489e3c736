package mongoevents

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/mongodb"
)

// ListEvents implements event.Catalogue. It returns the events without their marks, which
// only moves of seats need.
func (s *Store) ListEvents(ctx context.Context, q event.Query) ([]event.Event, error) {
	field, direction := order(q.Sort)
	cursor, err := s.events.Find(ctx, filter(q), options.Find().
		SetSort(bson.D{{Key: field, Value: direction}, {Key: "_id", Value: direction}}).
		SetLimit(int64(q.Limit)).
		SetProjection(bson.D{{Key: "outbox", Value: 0}, {Key: "seats.marks", Value: 0}}))
	if err != nil {
		return nil, mongodb.WrapError("list events", err)
	}
	var documents []eventDocument
	if err := cursor.All(ctx, &documents); err != nil {
		return nil, mongodb.WrapError("list events", err)
	}
	var events []event.Event
	for _, d := range documents {
		events = append(events, fromDocument(d))
	}
	return events, nil
}

// order returns the field that an order sorts by, and its direction.
func order(sort event.Sort) (field string, direction int) {
	switch sort {
	case event.ByName:
		return "name", 1
	case event.ByCreation:
		return "createdAt", 1
	case event.ByStartDesc:
		return "startsAt", -1
	case event.ByStart:
	}
	return "startsAt", 1
}

// filter returns the filter of a query. The indexes of the lists contain all fields of the
// filter except the status.
func filter(q event.Query) bson.D {
	var all bson.A
	add := func(key string, value any) { all = append(all, bson.D{{Key: key, Value: value}}) }
	if q.Category != "" {
		add("category", q.Category)
	}
	if q.OrganizerID != "" {
		add("organizerId", q.OrganizerID)
	}
	if !q.From.IsZero() {
		add("startsAt", bson.D{{Key: "$gte", Value: q.From}})
	}
	if !q.To.IsZero() {
		add("startsAt", bson.D{{Key: "$lt", Value: q.To}})
	}
	if q.After != nil {
		all = append(all, after(q.Sort, *q.After)...)
	}
	var statuses bson.A
	for _, status := range q.Statuses {
		if status != event.Deleted {
			statuses = append(statuses, string(status))
		}
	}
	add("status", bson.D{{Key: "$in", Value: statuses}})
	return bson.D{{Key: "$and", Value: all}}
}

// after returns conditions that match the events after a position. The first one lets the
// server start its index scan at the position. The second one excludes the position's own
// event, and those with the same value that come before it in the order.
func after(sort event.Sort, at event.Position) bson.A {
	field, direction := order(sort)
	var value any = at.Time
	if sort == event.ByName {
		value = at.Name
	}
	beyond := "$gt"
	if direction < 0 {
		beyond = "$lt"
	}
	return bson.A{
		bson.D{{Key: field, Value: bson.D{{Key: beyond + "e", Value: value}}}},
		bson.D{{Key: "$or", Value: bson.A{
			bson.D{{Key: field, Value: bson.D{{Key: beyond, Value: value}}}},
			bson.D{{Key: "_id", Value: bson.D{{Key: beyond, Value: at.ID}}}},
		}}},
	}
}

// FindIdentity implements event.Catalogue.
func (s *Store) FindIdentity(ctx context.Context, identity string) (string, error) {
	ids, err := s.ids(ctx, "find identity", bson.D{{Key: "identity", Value: identity}}, nil, 1)
	switch {
	case err != nil:
		return "", err
	case len(ids) == 0:
		return "", event.ErrNoEvent
	}
	return ids[0], nil
}

// MarkedEvents implements event.Catalogue.
func (s *Store) MarkedEvents(ctx context.Context, before time.Time, limit int) ([]string, error) {
	// The keys of the marks are the ids of holds, so no filter can name their fields. The
	// expression computes the time of the oldest mark.
	oldest := bson.D{{Key: "$min", Value: bson.D{{Key: "$map", Value: bson.D{
		{Key: "input", Value: bson.D{{Key: "$objectToArray", Value: "$seats.marks"}}},
		{Key: "as", Value: "mark"},
		{Key: "in", Value: "$$mark.v.movedAt"},
	}}}}}
	return s.ids(ctx, "find marked events", bson.D{
		marked(),
		{Key: "$expr", Value: bson.D{{Key: "$lt", Value: bson.A{oldest, before}}}},
	}, bson.D{{Key: "createdAt", Value: 1}}, limit)
}

// UnfinishedCancellations implements event.Catalogue.
func (s *Store) UnfinishedCancellations(ctx context.Context, limit int) ([]string, error) {
	return s.ids(ctx, "find cancelled events", append(unfinished(),
		bson.E{Key: "outbox", Value: bson.D{{Key: "$not", Value: bson.D{{Key: "$elemMatch", Value: bson.D{{Key: "sentAt", Value: nil}}}}}}},
	), bson.D{{Key: "seats.version", Value: 1}}, limit)
}

// EndedUnsold implements event.Catalogue.
func (s *Store) EndedUnsold(ctx context.Context, before time.Time, limit int) ([]string, error) {
	return s.ids(ctx, "find ended events", append(unsold(),
		bson.E{Key: "endsAt", Value: bson.D{{Key: "$lt", Value: before}}},
		bson.E{Key: "status", Value: bson.D{{Key: "$ne", Value: string(event.Deleted)}}},
	), bson.D{{Key: "endsAt", Value: 1}}, limit)
}

// ids returns the ids of up to limit events that match, in the given order. A nil sort
// means any order.
func (s *Store) ids(ctx context.Context, what string, filter, sort bson.D, limit int) ([]string, error) {
	opts := options.Find().SetLimit(int64(limit)).SetProjection(bson.D{{Key: "_id", Value: 1}})
	if sort != nil {
		opts.SetSort(sort)
	}
	cursor, err := s.events.Find(ctx, filter, opts)
	if err != nil {
		return nil, mongodb.WrapError(what, err)
	}
	var documents []struct {
		ID string `bson:"_id"`
	}
	if err := cursor.All(ctx, &documents); err != nil {
		return nil, mongodb.WrapError(what, err)
	}
	var ids []string
	for _, d := range documents {
		ids = append(ids, d.ID)
	}
	return ids, nil
}
