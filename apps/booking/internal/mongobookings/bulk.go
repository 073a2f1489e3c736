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

// ClaimObligations implements booking.Store. It sends one command, and a second one if
// another process has claimed some of the bookings.
func (s *Store) ClaimObligations(ctx context.Context, bookings []booking.Booking, until time.Time) ([]booking.Booking, error) {
	writes := make([]mongo.WriteModel, len(bookings))
	ids := make([]string, len(bookings))
	claimed := make([]booking.Booking, len(bookings))
	for i, b := range bookings {
		writes[i] = mongo.NewUpdateOneModel().
			SetFilter(append(sameRevision(b), bson.E{Key: "dischargeAt", Value: b.DischargeAt})).
			SetUpdate(bson.D{{Key: "$set", Value: bson.D{{Key: "dischargeAt", Value: until}}}})
		ids[i] = b.ID
		b.DischargeAt = until
		claimed[i] = b
	}
	matched, err := s.write(ctx, "claim bookings", writes)
	if err != nil || matched == len(bookings) {
		return claimed, err
	}
	stored, err := s.byID(ctx, ids)
	if err != nil {
		return nil, err
	}
	claimed = claimed[:0]
	for _, id := range ids {
		if b := stored[id]; b.DischargeAt.Equal(until) {
			claimed = append(claimed, b)
		}
	}
	return claimed, nil
}

// StoreObligations implements booking.Store. It sends one command.
func (s *Store) StoreObligations(ctx context.Context, bookings []booking.Booking) error {
	writes := make([]mongo.WriteModel, len(bookings))
	for i, b := range bookings {
		update := unsetObligations(b)
		if b.Owes != (booking.Obligations{}) {
			update = append(update, bson.E{Key: "$set", Value: toObligations(b)})
		}
		writes[i] = mongo.NewUpdateOneModel().SetFilter(sameRevision(b)).SetUpdate(update)
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

// sameRevision returns a filter that matches the record of b as long as it does not change.
func sameRevision(b booking.Booking) bson.D {
	return bson.D{{Key: "_id", Value: b.ID}, {Key: "revision", Value: b.Revision}}
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
