package mongoevents

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/mongodb"
)

// afterWords sorts after every word that begins with the same prefix. It is not a letter,
// so no word contains it.
const afterWords = "\U0010FFFF"

// SearchEvents implements event.Catalogue. Each of its queries, one for drafts and one for
// the other events, scans a range of the index "words" in its order.
func (s *Store) SearchEvents(ctx context.Context, q event.SearchQuery) ([]event.Candidate, error) {
	marks := []string{""}
	if q.Drafts {
		marks = append(marks, draftMark)
	}
	var candidates []event.Candidate
	for _, mark := range marks {
		limit := q.Limit - len(candidates)
		if limit <= 0 { // a query without a limit would follow
			break
		}
		found, err := s.findCandidates(ctx, mark+q.Prefix, limit)
		if err != nil {
			return nil, err
		}
		candidates = append(candidates, found...)
	}
	return candidates, nil
}

// findCandidates returns up to limit events that have a stored word with the prefix.
//
// Only $elemMatch lets the server use both bounds: without it, two different words of an
// event could satisfy them.
func (s *Store) findCandidates(ctx context.Context, prefix string, limit int) ([]event.Candidate, error) {
	var candidates []event.Candidate
	err := s.events.FindEach(ctx,
		bson.D{{Key: "words", Value: bson.D{{Key: "$elemMatch", Value: bson.D{
			{Key: "$gte", Value: prefix}, {Key: "$lt", Value: prefix + afterWords},
		}}}}},
		func(document bson.Raw) error {
			c, err := toCandidate(document)
			candidates = append(candidates, c)
			return err
		},
		options.Find().SetLimit(int64(limit)).SetProjection(bson.D{{Key: "startsAt", Value: 1}, {Key: "words", Value: 1}}))
	if err != nil {
		return nil, mongodb.WrapError("search events", err)
	}
	return candidates, nil
}

// toCandidate decodes a projected event. A search may find many events with many words, so
// it reads their bytes instead of decoding them by reflection.
func toCandidate(document bson.Raw) (event.Candidate, error) {
	var c event.Candidate
	id, isString := document.Lookup("_id").StringValueOK()
	startsAt, isTime := document.Lookup("startsAt").TimeOK()
	array, isArray := document.Lookup("words").ArrayOK()
	if !isString || !isTime || !isArray {
		return c, fmt.Errorf("event %s: got %s, want an id, a start and words", id, document)
	}
	words, err := array.Values()
	if err != nil {
		return c, fmt.Errorf("words of event %s: %w", id, err)
	}
	c = event.Candidate{ID: id, StartsAt: startsAt.UTC(), Words: make([]event.Word, 0, len(words))}
	for _, word := range words {
		text, _ := word.StringValueOK()
		if w, ok := fromWord(text); ok {
			c.Words = append(c.Words, w)
		}
	}
	return c, nil
}

// GetEvents implements event.Catalogue.
func (s *Store) GetEvents(ctx context.Context, ids []string) (map[string]event.Event, error) {
	found, err := s.findEvents(ctx, "find events", bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, options.Find())
	if err != nil {
		return nil, err
	}
	events := make(map[string]event.Event, len(found))
	for _, e := range found {
		events[e.ID] = e
	}
	return events, nil
}
