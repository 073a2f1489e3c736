package mongoevents

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/mongodb"
)

// GetHolds implements event.Holds.
func (s *Store) GetHolds(ctx context.Context, ids []string) (map[string]event.Hold, error) {
	found, err := s.findHolds(ctx, "find holds", bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, options.Find())
	if err != nil {
		return nil, err
	}
	holds := make(map[string]event.Hold, len(found))
	for _, h := range found {
		holds[h.ID] = h
	}
	return holds, nil
}

func (s *Store) findHolds(ctx context.Context, what string, filter bson.D, opts *options.FindOptionsBuilder) ([]event.Hold, error) {
	return mongodb.FindAll(ctx, s.holds, what, filter, opts, fromHold)
}

// InsertHolds implements event.Holds.
func (s *Store) InsertHolds(ctx context.Context, holds []event.Hold) error {
	documents := make([]holdDocument, len(holds))
	for i, h := range holds {
		documents[i] = toHold(h)
	}
	return insertAbsent(ctx, s.holds, "insert holds", documents)
}

// insertAbsent inserts the documents whose ids are not taken. It leaves the others as they
// are stored.
func insertAbsent[D any](ctx context.Context, c *mongodb.Collection, what string, documents []D) error {
	// An unordered insert continues after an id that is taken.
	_, err := c.InsertMany(ctx, documents, options.InsertMany().SetOrdered(false))
	if err != nil && !failedOnlyOnTakenIDs(err) {
		return mongodb.WrapError(what, err)
	}
	return nil
}

// failedOnlyOnTakenIDs reports whether err means that a bulk insert inserted all documents
// except those whose ids were taken.
func failedOnlyOnTakenIDs(err error) bool {
	failed, ok := errors.AsType[mongo.BulkWriteException](err)
	if !ok || failed.WriteConcernError != nil || len(failed.WriteErrors) == 0 {
		return false
	}
	return !slices.ContainsFunc(failed.WriteErrors, func(e mongo.BulkWriteError) bool {
		return !mongo.IsDuplicateKeyError(e.WriteError)
	})
}

// MoveHolds implements event.Holds. It sends one command. The reply contains only the number
// of holds that moved. If that is not all of them, the holds are read to find out which exist.
func (s *Store) MoveHolds(ctx context.Context, holds []event.Hold) (missing map[string]bool, err error) {
	writes := make([]mongo.WriteModel, len(holds))
	ids := make([]string, len(holds))
	for i, to := range holds {
		d := toHold(to)
		set := bson.D{{Key: "state", Value: d.State}, {Key: "movedAt", Value: d.MovedAt}}
		if d.PurgeAt != nil {
			set = append(set, bson.E{Key: "purgeAt", Value: *d.PurgeAt})
		}
		writes[i] = mongo.NewUpdateOneModel().
			SetFilter(bson.D{{Key: "_id", Value: to.ID}, {Key: "state", Value: bson.D{{Key: "$in", Value: statesBefore(to.State)}}}}).
			SetUpdate(bson.D{{Key: "$set", Value: set}, {Key: "$unset", Value: bson.D{{Key: "settleAt", Value: ""}}}})
		ids[i] = to.ID
	}
	res, err := s.holds.BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false))
	switch {
	case err != nil:
		return nil, mongodb.WrapError("move holds", err)
	case res.MatchedCount == int64(len(holds)):
		return nil, nil
	}
	// The others have reached their states or later ones, or do not exist.
	found, err := s.GetHolds(ctx, ids)
	if err != nil {
		return nil, err
	}
	missing = map[string]bool{}
	for _, id := range ids {
		if _, exists := found[id]; !exists {
			missing[id] = true
		}
	}
	return missing, nil
}

// statesBefore returns the states from which a hold can move to the given one.
func statesBefore(state event.HoldState) bson.A {
	switch state {
	case event.Sold:
		return bson.A{string(event.Held)}
	case event.Released:
		return bson.A{string(event.Held), string(event.Sold)}
	case event.Held:
	}
	return bson.A{}
}

// PostponeSettle implements event.Holds.
func (s *Store) PostponeSettle(ctx context.Context, at map[string]time.Time) error {
	if len(at) == 0 {
		return nil
	}
	var writes []mongo.WriteModel
	for id, at := range at {
		writes = append(writes, mongo.NewUpdateOneModel().
			SetFilter(bson.D{{Key: "_id", Value: id}, {Key: "state", Value: string(event.Held)}}).
			SetUpdate(bson.D{{Key: "$set", Value: bson.D{{Key: "settleAt", Value: at}}}}))
	}
	if _, err := s.holds.BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false)); err != nil {
		return mongodb.WrapError("postpone settling of holds", err)
	}
	return nil
}

// ClaimHolds implements event.Holds.
func (s *Store) ClaimHolds(ctx context.Context, holds []event.Hold, until time.Time) ([]event.Hold, error) {
	return mongodb.Claims[event.Hold]{
		Field: "settleAt",
		Match: func(h event.Hold) (string, bson.D) { return h.ID, bson.D{{Key: "settleAt", Value: h.SettleAt}} },
		Set:   func(h *event.Hold, until time.Time) { h.SettleAt = until },
	}.Claim(ctx, s.holds, "claim holds", holds, until)
}

// HoldsToSettle implements event.Holds.
func (s *Store) HoldsToSettle(ctx context.Context, now time.Time, limit int) ([]event.Hold, error) {
	return s.findHolds(ctx, "find holds to settle",
		bson.D{{Key: "settleAt", Value: bson.D{{Key: "$lte", Value: now}}}},
		options.Find().SetSort(bson.D{{Key: "settleAt", Value: 1}}).SetLimit(int64(limit)))
}
