package mongoevents

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/cas"
	"boxoffice/shared/mongodb"
)

// errClaimRace is returned by an attempt to claim that lost a race: its update changed
// nothing, but the limit that was read afterwards would grant the claim.
var errClaimRace = errors.New("the limit has changed")

// GetLimit implements event.Limits.
func (s *Store) GetLimit(ctx context.Context, key event.LimitKey) (event.Limit, error) {
	var d limitDocument
	err := s.limits.FindOne(ctx, byID(key.String())).Decode(&d)
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return event.Limit{LimitKey: key}, nil
	case err != nil:
		return event.Limit{}, mongodb.WrapError("find limit", err)
	}
	return fromLimit(d), nil
}

// Claim implements event.Limits.
func (s *Store) Claim(ctx context.Context, c event.Claim) (event.ClaimResult, error) {
	var result event.ClaimResult
	err := cas.Retry(ctx, func(ctx context.Context) error {
		var err error
		result, err = s.tryClaim(ctx, c)
		return err
	}, errClaimRace)
	return result, err
}

// tryClaim makes one attempt to claim an entry. It returns errClaimRace if the attempt
// failed because of a concurrent write and the limit would grant the entry now.
func (s *Store) tryClaim(ctx context.Context, c event.Claim) (event.ClaimResult, error) {
	if c.Quantity <= c.Max { // otherwise the upsert could insert a document that exceeds the limit
		granted, err := s.addEntry(ctx, c)
		switch {
		case err != nil:
			return event.ClaimRefused, err
		case granted:
			return event.ClaimGranted, nil
		}
	}
	l, err := s.GetLimit(ctx, c.LimitKey)
	if err != nil {
		return event.ClaimRefused, err
	}
	_, result := l.WithClaim(c)
	if result == event.ClaimGranted {
		return event.ClaimRefused, errClaimRace
	}
	return result, nil
}

// addEntry adds the entry of a claim if the limit permits it, and inserts the document if
// there is none. It reports false if a document exists and the entry must not be added to
// it, or if a concurrent claim inserted the document.
func (s *Store) addEntry(ctx context.Context, c event.Claim) (granted bool, err error) {
	entry := entryPath(c.HoldID)
	_, err = s.limits.UpdateOne(ctx,
		bson.D{
			{Key: "_id", Value: c.String()},
			{Key: "used", Value: bson.D{{Key: "$lte", Value: c.Max - c.Quantity}}},
			{Key: entry, Value: bson.D{{Key: "$exists", Value: false}}},
		},
		bson.D{
			{Key: "$inc", Value: bson.D{{Key: "used", Value: c.Quantity}, {Key: "version", Value: int64(1)}}},
			{Key: "$set", Value: bson.D{{Key: entry, Value: c.Quantity}}},
			// $min keeps the older stamp.
			{Key: "$min", Value: bson.D{{Key: "claimedAt", Value: c.At}}},
			{Key: "$unset", Value: bson.D{{Key: "purgeAt", Value: ""}}},
			{Key: "$setOnInsert", Value: bson.D{{Key: "eventId", Value: c.EventID}, {Key: "userId", Value: c.UserID}}},
		},
		options.UpdateOne().SetUpsert(true))
	switch {
	case mongo.IsDuplicateKeyError(err):
		return false, nil
	case err != nil:
		return false, mongodb.WrapError("claim", err)
	}
	return true, nil
}

// entryPath returns the path of a hold's entry. The id contains neither . nor $.
func entryPath(holdID string) string { return "by." + holdID }

// GiveBack implements event.Limits. It sends two updates in one command. The second one
// sets purgeAt if no entry is left. If the first one succeeds and the second one fails,
// the caller repeats both.
func (s *Store) GiveBack(ctx context.Context, key event.LimitKey, holdID string, quantity int64, purgeAt time.Time) error {
	entry := entryPath(holdID)
	_, err := s.limits.BulkWrite(ctx, []mongo.WriteModel{
		mongo.NewUpdateOneModel().
			SetFilter(bson.D{{Key: "_id", Value: key.String()}, {Key: entry, Value: quantity}}).
			SetUpdate(bson.D{
				{Key: "$inc", Value: bson.D{{Key: "used", Value: -quantity}, {Key: "version", Value: int64(1)}}},
				{Key: "$unset", Value: bson.D{{Key: entry, Value: ""}}},
			}),
		mongo.NewUpdateOneModel().
			SetFilter(bson.D{
				{Key: "_id", Value: key.String()}, {Key: "used", Value: int64(0)},
				{Key: "purgeAt", Value: bson.D{{Key: "$exists", Value: false}}},
			}).
			SetUpdate(bson.D{{Key: "$set", Value: bson.D{{Key: "purgeAt", Value: purgeAt}}}}),
	})
	if err != nil {
		return mongodb.WrapError("give back", err)
	}
	return nil
}

// ClearStamp implements event.Limits.
func (s *Store) ClearStamp(ctx context.Context, l event.Limit) error {
	res, err := s.limits.UpdateOne(ctx,
		bson.D{{Key: "_id", Value: l.String()}, {Key: "version", Value: l.Version}, {Key: "claimedAt", Value: l.ClaimedAt}},
		bson.D{{Key: "$unset", Value: bson.D{{Key: "claimedAt", Value: ""}}}})
	return staleUnlessMatched(res, "clear stamp", err)
}

// ClaimLimits implements event.Limits.
func (s *Store) ClaimLimits(ctx context.Context, limits []event.Limit, at time.Time) ([]event.Limit, error) {
	return mongodb.Claims[event.Limit]{
		Field: "claimedAt",
		Match: func(l event.Limit) (string, bson.D) {
			return l.String(), bson.D{{Key: "version", Value: l.Version}, {Key: "claimedAt", Value: l.ClaimedAt}}
		},
		Set: func(l *event.Limit, at time.Time) { l.ClaimedAt = at },
	}.Claim(ctx, s.limits, "claim limits", limits, at)
}

// StampedLimits implements event.Limits.
func (s *Store) StampedLimits(ctx context.Context, before time.Time, limit int) ([]event.Limit, error) {
	return mongodb.FindAll(ctx, s.limits, "find stamped limits",
		bson.D{{Key: "claimedAt", Value: bson.D{{Key: "$lt", Value: before}}}},
		options.Find().SetSort(bson.D{{Key: "claimedAt", Value: 1}}).SetLimit(int64(limit)), fromLimit)
}
