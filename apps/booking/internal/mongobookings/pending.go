package mongobookings

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/mongodb"
)

// pendingBooking is the part of a pending booking that matters for the limit. Its index
// contains all of it, so that a count reads no documents.
type pendingBooking struct {
	quantity  int64
	expiresAt time.Time
}

func newPendingMatcher(bookings *mongodb.Collection) *mongodb.Matcher[pendingBooking] {
	fields := bson.D{{Key: "_id", Value: 0}, {Key: "userId", Value: 1}, {Key: "quantity", Value: 1}, {Key: "expiresAt", Value: 1}}
	return mongodb.NewMatcher(bookings, "userId", fields, func(raw bson.Raw) pendingBooking {
		quantity, _ := raw.Lookup("quantity").Int64OK()
		expiresAt, _ := raw.Lookup("expiresAt").TimeOK()
		return pendingBooking{quantity, expiresAt}
	})
}

// CountPendingTickets implements booking.Finder. Concurrent counts share a command, in
// which the time of one of them stands for that of all. Because a booking has at least one
// ticket, most+1 bookings are enough.
func (s *Store) CountPendingTickets(ctx context.Context, userID string, now time.Time, most int64) (int64, error) {
	found, err := s.pending.Match(ctx, userID, bson.D{
		{Key: "state", Value: string(booking.Pending)}, {Key: "expiresAt", Value: bson.D{{Key: "$gt", Value: now}}},
	}, most+1)
	if err != nil {
		return 0, mongodb.WrapError("count pending tickets", err)
	}
	var tickets int64
	for _, b := range found {
		if b.expiresAt.After(now) {
			tickets += b.quantity
		}
	}
	return tickets, nil
}
