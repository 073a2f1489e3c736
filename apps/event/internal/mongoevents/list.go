package mongoevents

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/mongodb"
)

// ListEvents implements event.Catalogue. It returns the events without their marks and
// log entries, which only writes of an event need.
//
// A page that starts after a position may take two queries: one for the events that have
// the same value in the order's field, and one for those beyond. Each scans exactly the
// index entries that it returns. A single query could not, because a range over two fields
// is not a range of the index.
func (s *Store) ListEvents(ctx context.Context, q event.Query) ([]event.Event, error) {
	if q.After == nil {
		return s.listEvents(ctx, q, q.Limit)
	}
	field, direction := order(q.Sort)
	var value any = q.After.Time
	if q.Sort == event.ByName {
		value = q.After.Name
	}
	beyond := "$gt"
	if direction < 0 {
		beyond = "$lt"
	}
	events, err := s.listEvents(ctx, q, q.Limit,
		bson.E{Key: field, Value: value}, bson.E{Key: "_id", Value: bson.D{{Key: beyond, Value: q.After.ID}}})
	if err != nil || len(events) == q.Limit {
		return events, err
	}
	rest, err := s.listEvents(ctx, q, q.Limit-len(events), bson.E{Key: field, Value: bson.D{{Key: beyond, Value: value}}})
	return append(events, rest...), err
}

// listEvents returns up to limit events that match q and all conditions, in the order of
// q. It ignores the position of q.
func (s *Store) listEvents(ctx context.Context, q event.Query, limit int, conditions ...bson.E) ([]event.Event, error) {
	field, direction := order(q.Sort)
	all := filter(q)
	for _, c := range conditions {
		all = append(all, bson.D{c})
	}
	return s.findEvents(ctx, "list events", bson.D{{Key: "$and", Value: all}}, options.Find().
		SetSort(bson.D{{Key: field, Value: direction}, {Key: "_id", Value: direction}}).
		SetLimit(int64(limit)))
}

// findEvents returns the events that match, without their marks and log entries.
func (s *Store) findEvents(ctx context.Context, what string, filter bson.D, opts *options.FindOptionsBuilder) ([]event.Event, error) {
	opts.SetProjection(withoutDerived(bson.D{{Key: "outbox", Value: 0}, {Key: "seats.marks", Value: 0}, {Key: "seats.entries", Value: 0}}))
	return mongodb.FindAll(ctx, s.events, what, filter, opts, fromDocument)
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

// filter returns the conditions of a query, except its position. The first one names a
// list, so that the query scans only entries of that list in an index. Of the others, only
// the bounds of the start in an order by start narrow the scan further.
func filter(q event.Query) bson.A {
	var all bson.A
	add := func(key string, value any) { all = append(all, bson.D{{Key: key, Value: value}}) }
	name, isExact := listOf(q.Statuses)
	switch {
	case q.OrganizerID != "":
		name = organizerList(name, q.OrganizerID)
	case q.Category != "":
		name = categoryList(name, q.Category)
	}
	add("lists", name)
	if q.OrganizerID != "" && q.Category != "" {
		add("category", q.Category)
	}
	if !isExact {
		statuses := bson.A{}
		for _, status := range q.Statuses {
			statuses = append(statuses, string(status))
		}
		add("status", bson.D{{Key: "$in", Value: statuses}})
	}
	if q.From != nil {
		add("startsAt", bson.D{{Key: "$gte", Value: *q.From}})
	}
	if q.To != nil {
		add("startsAt", bson.D{{Key: "$lt", Value: *q.To}})
	}
	return all
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
	return s.ids(ctx, "find marked events", bson.D{marked(), oldestBefore("seats.marks", "movedAt", before)},
		bson.D{{Key: "createdAt", Value: 1}}, limit)
}

// oldestBefore matches events in which the oldest of the documents in a map, by the time in
// their field, is older than the given time. The keys of the map are ids, so no filter can
// name the fields of its documents; an expression computes the time.
func oldestBefore(path, field string, before time.Time) bson.E {
	oldest := bson.D{{Key: "$min", Value: bson.D{{Key: "$map", Value: bson.D{
		{Key: "input", Value: bson.D{{Key: "$objectToArray", Value: "$" + path}}},
		{Key: "as", Value: "one"},
		{Key: "in", Value: "$$one.v." + field},
	}}}}}
	return bson.E{Key: "$expr", Value: bson.D{{Key: "$lt", Value: bson.A{oldest, before}}}}
}

// UnloggedEvents implements event.Catalogue.
func (s *Store) UnloggedEvents(ctx context.Context, before time.Time, limit int) ([]string, error) {
	return s.ids(ctx, "find unlogged events", bson.D{unlogged(), oldestBefore("seats.entries", "at", before)},
		bson.D{{Key: "createdAt", Value: 1}}, limit)
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
	), bson.D{{Key: "endsAt", Value: 1}}, limit)
}

// ids returns the ids of up to limit events that match, in the given order. A nil sort
// means any order.
func (s *Store) ids(ctx context.Context, what string, filter, sort bson.D, limit int) ([]string, error) {
	opts := options.Find().SetLimit(int64(limit)).SetProjection(bson.D{{Key: "_id", Value: 1}})
	if sort != nil {
		opts.SetSort(sort)
	}
	return mongodb.FindAll(ctx, s.events, what, filter, opts, mongodb.IDOf)
}
