package mongobookings

import (
	"context"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/mongodb"
)

// ListBookings implements booking.Finder.
func (s *Store) ListBookings(ctx context.Context, q booking.Query) ([]booking.Booking, error) {
	filter := listFilter(q)
	if a := q.After; a != nil {
		filter = append(filter, bson.E{Key: "$or", Value: bson.A{
			bson.D{{Key: "createdAt", Value: bson.D{{Key: "$lt", Value: a.CreatedAt}}}},
			bson.D{{Key: "createdAt", Value: a.CreatedAt}, {Key: "_id", Value: bson.D{{Key: "$lt", Value: a.ID}}}},
		}})
	}
	return s.find(ctx, "list bookings", filter, bson.D{{Key: "createdAt", Value: -1}, {Key: "_id", Value: -1}}, q.Limit)
}

// CountBookings implements booking.Finder.
func (s *Store) CountBookings(ctx context.Context, q booking.Query) (int64, error) {
	q.After = nil
	n, err := s.bookings.CountDocuments(ctx, listFilter(q), options.Count().SetLimit(int64(q.Limit)))
	if err != nil {
		return 0, mongodb.WrapError("count bookings", err)
	}
	return n, nil
}

// listFilter returns the filter for a list. It always compares createdAt with a time,
// which excludes refused records: their createdAt is null.
func listFilter(q booking.Query) bson.D {
	var filter bson.D
	for _, f := range []struct{ key, value string }{
		{"userId", q.UserID}, {"eventId", q.EventID}, {"state", string(q.State)},
	} {
		if f.value != "" {
			filter = append(filter, bson.E{Key: f.key, Value: f.value})
		}
	}
	from := time.Time{} // before every booking
	if q.From != nil {
		from = *q.From
	}
	created := bson.D{{Key: "$gte", Value: from}}
	if q.To != nil {
		created = append(created, bson.E{Key: "$lt", Value: *q.To})
	}
	if q.After != nil {
		created = append(created, bson.E{Key: "$lte", Value: q.After.CreatedAt}) // lets the index scan start at q.After
	}
	return append(filter, bson.E{Key: "createdAt", Value: created})
}

// DueBookings implements booking.Finder.
func (s *Store) DueBookings(ctx context.Context, eventID string, now time.Time, limit int) ([]booking.Booking, error) {
	filter := bson.D{
		{Key: "state", Value: string(booking.Pending)},
		{Key: "expiresAt", Value: bson.D{{Key: "$lte", Value: now}}},
	}
	if eventID != "" {
		filter = append(filter, bson.E{Key: "eventId", Value: eventID})
	}
	return s.find(ctx, "find due bookings", filter, bson.D{{Key: "expiresAt", Value: 1}, {Key: "_id", Value: 1}}, limit)
}

// OwingBookings implements booking.Finder.
func (s *Store) OwingBookings(ctx context.Context, now time.Time, limit int) ([]booking.Booking, error) {
	return s.find(ctx, "find owing bookings", bson.D{{Key: "dischargeAt", Value: bson.D{{Key: "$lte", Value: now}}}},
		bson.D{{Key: "dischargeAt", Value: 1}}, limit)
}

// LiveBookings implements booking.Finder. It sends one query for each state, so that each
// reads its bookings from the index in order and stops at the limit. One query for both
// states would have to sort all live bookings of the event.
//
// A booking may be confirmed between the two queries, but never becomes pending again. The
// query for confirmed bookings is therefore the second one: it finds what the first one
// missed. A booking that both find was confirmed meanwhile.
func (s *Store) LiveBookings(ctx context.Context, eventID, after string, limit int) ([]booking.Booking, error) {
	var live []booking.Booking
	for _, state := range []booking.State{booking.Pending, booking.Confirmed} {
		found, err := s.find(ctx, "find live bookings", bson.D{
			{Key: "eventId", Value: eventID},
			{Key: "state", Value: string(state)},
			{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}},
		}, bson.D{{Key: "_id", Value: 1}}, limit)
		if err != nil {
			return nil, err
		}
		live = mergeByID(live, found)
	}
	return live[:min(len(live), limit)], nil
}

// mergeByID merges two lists that are sorted by id. If both contain a booking, the result
// has that of newer.
func mergeByID(older, newer []booking.Booking) []booking.Booking {
	merged := make([]booking.Booking, 0, len(older)+len(newer))
	for len(older) > 0 && len(newer) > 0 {
		switch order := strings.Compare(older[0].ID, newer[0].ID); {
		case order < 0:
			merged, older = append(merged, older[0]), older[1:]
		case order == 0:
			older = older[1:]
		default:
			merged, newer = append(merged, newer[0]), newer[1:]
		}
	}
	return append(append(merged, older...), newer...)
}

// find returns the bookings that match filter. action names the query in errors.
func (s *Store) find(ctx context.Context, action string, filter, order bson.D, limit int) ([]booking.Booking, error) {
	return mongodb.FindAll(ctx, s.bookings, action, filter,
		options.Find().SetSort(order).SetLimit(int64(limit)).SetProjection(mongodb.WithoutOutbox()), fromDocument)
}
