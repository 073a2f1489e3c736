package mongobookings

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/mongodb"
)

// ReplaceBookings implements booking.Store. It sends one command. The reply contains only the
// number of changes that matched. If that is not all of them, the bookings are read to find
// out which.
func (s *Store) ReplaceBookings(ctx context.Context, changes []booking.Change) []error {
	writes := make([]mongo.WriteModel, len(changes))
	for i, c := range changes {
		filter, update := replacement(ctx, c)
		writes[i] = mongo.NewUpdateOneModel().SetFilter(filter).SetUpdate(update)
	}
	errs := make([]error, len(changes))
	matched, err := s.write(ctx, "replace bookings", writes)
	if err != nil {
		return fillErrors(errs, err)
	}
	if matched == len(changes) {
		return errs
	}
	ids := make([]string, len(changes))
	for i, c := range changes {
		ids[i] = c.Booking.ID
	}
	stored, err := s.byID(ctx, ids)
	if err != nil {
		return fillErrors(errs, err)
	}
	for i, c := range changes {
		if stored[c.Booking.ID] != c.Booking {
			errs[i] = booking.ErrStale
		}
	}
	return errs
}

func fillErrors(errs []error, err error) []error {
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// ClaimObligations implements booking.Store.
func (s *Store) ClaimObligations(ctx context.Context, bookings []booking.Booking, until time.Time) ([]booking.Booking, error) {
	return mongodb.Claims[booking.Booking]{
		Field: "dischargeAt",
		Match: func(b booking.Booking) (string, bson.D) {
			return b.ID, bson.D{{Key: "revision", Value: b.Revision}, {Key: "dischargeAt", Value: b.DischargeAt}}
		},
		Set: func(b *booking.Booking, until time.Time) { b.DischargeAt = until },
	}.Claim(ctx, s.bookings, "claim bookings", bookings, until)
}

// StoreObligations implements booking.Store. It sends one command.
func (s *Store) StoreObligations(ctx context.Context, bookings []booking.Booking) error {
	writes := make([]mongo.WriteModel, len(bookings))
	for i, b := range bookings {
		update := unsetObligations(b)
		if b.Owes != (booking.Obligations{}) {
			update = append(update, bson.E{Key: "$set", Value: toObligations(b)})
		}
		writes[i] = mongo.NewUpdateOneModel().SetFilter(bson.D{{Key: "_id", Value: b.ID}, {Key: "revision", Value: b.Revision}}).SetUpdate(update)
	}
	_, err := s.write(ctx, "store obligations", writes)
	return err
}

// unsetObligations returns the part of an update that removes the obligations of a booking
// that has none.
func unsetObligations(b booking.Booking) bson.D {
	if b.Owes != (booking.Obligations{}) {
		return nil
	}
	return bson.D{{Key: "$unset", Value: bson.D{{Key: "owes", Value: ""}, {Key: "dischargeAt", Value: ""}}}}
}

// write sends independent updates in one command, and returns how many matched.
func (s *Store) write(ctx context.Context, what string, writes []mongo.WriteModel) (matched int, err error) {
	res, err := s.bookings.BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false))
	if err != nil {
		return 0, mongodb.WrapError(what, err)
	}
	return int(res.MatchedCount), nil
}

// byID returns the records that exist, by id.
func (s *Store) byID(ctx context.Context, ids []string) (map[string]booking.Booking, error) {
	found, err := s.find(ctx, "find bookings", bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, bson.D{}, len(ids))
	if err != nil {
		return nil, err
	}
	byID := make(map[string]booking.Booking, len(found))
	for _, b := range found {
		byID[b.ID] = b
	}
	return byID, nil
}
