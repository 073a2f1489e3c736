package mongoevents

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/mongodb"
)

// maxTries bounds how often a claim looks again. Each time another claim of the
// same user went through.
const maxTries = 64

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
	for range maxTries {
		if c.Quantity <= c.Max { // else the update would make a document
			granted, err := s.claim(ctx, c)
			if err != nil {
				return event.ClaimRefused, err
			}
			if granted {
				return event.ClaimGranted, nil
			}
		}
		l, err := s.GetLimit(ctx, c.LimitKey)
		if err != nil {
			return event.ClaimRefused, err
		}
		if _, result := l.WithClaim(c); result != event.ClaimGranted {
			return result, nil
		}
	}
	return event.ClaimRefused, apperr.Unreachable(errors.New("mongodb: claim: the limit keeps changing"))
}

// claim adds the entry where it may be added, to a new document too. It reports
// false when there is a document and the entry may not be added to it, or when
// another claim has made it just now.
func (s *Store) claim(ctx context.Context, c event.Claim) (granted bool, err error) {
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
			// The older stamp stays.
			{Key: "$min", Value: bson.D{{Key: "claimedAt", Value: c.At}}},
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

// entryPath is where a hold's entry is: ids hold no dot and no dollar.
func entryPath(holdID string) string { return "by." + holdID }

// GiveBack implements event.Limits.
func (s *Store) GiveBack(ctx context.Context, key event.LimitKey, holdID string, quantity int64) error {
	entry := entryPath(holdID)
	_, err := s.limits.UpdateOne(ctx,
		bson.D{{Key: "_id", Value: key.String()}, {Key: entry, Value: quantity}},
		bson.D{
			{Key: "$inc", Value: bson.D{{Key: "used", Value: -quantity}, {Key: "version", Value: int64(1)}}},
			{Key: "$unset", Value: bson.D{{Key: entry, Value: ""}}},
		})
	if err != nil {
		return mongodb.WrapError("give back", err)
	}
	return nil
}

// ClearStamp implements event.Limits.
func (s *Store) ClearStamp(ctx context.Context, l event.Limit) error {
	res, err := s.limits.UpdateOne(ctx,
		bson.D{{Key: "_id", Value: l.String()}, {Key: "version", Value: l.Version}},
		bson.D{{Key: "$unset", Value: bson.D{{Key: "claimedAt", Value: ""}}}})
	return stale(res, "unstamp", err)
}

// StampedLimits implements event.Limits.
func (s *Store) StampedLimits(ctx context.Context, before time.Time, limit int) ([]event.Limit, error) {
	cursor, err := s.limits.Find(ctx,
		bson.D{{Key: "claimedAt", Value: bson.D{{Key: "$lt", Value: before}}}},
		options.Find().SetSort(bson.D{{Key: "claimedAt", Value: 1}}).SetLimit(int64(limit)))
	if err != nil {
		return nil, mongodb.WrapError("find stamped limits", err)
	}
	var documents []limitDocument
	if err := cursor.All(ctx, &documents); err != nil {
		return nil, mongodb.WrapError("find stamped limits", err)
	}
	var limits []event.Limit
	for _, d := range documents {
		limits = append(limits, fromLimit(d))
	}
	return limits, nil
}
