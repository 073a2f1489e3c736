package eventtest

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"boxoffice/apps/event/internal/event"
)

// SearchEvents implements event.Catalogue.
func (s *Store) SearchEvents(ctx context.Context, q event.SearchQuery) ([]event.Candidate, error) {
	type found struct {
		event.Candidate
		isDraft bool
		first   event.Word // the first word with the prefix
	}
	var matching []found
	err := s.do(ctx, "events.search", func() error {
		for _, d := range s.events {
			isDraft := d.Status == event.Draft
			if isDraft && !q.Drafts {
				continue
			}
			words := d.SearchWords()
			i := slices.IndexFunc(words, func(w event.Word) bool { return strings.HasPrefix(w.Text, q.Prefix) })
			if i >= 0 {
				matching = append(matching, found{event.Candidate{ID: d.ID, StartsAt: d.StartsAt, Words: words}, isDraft, words[i]})
			}
		}
		return nil
	})
	slices.SortFunc(matching, func(a, b found) int {
		if a.isDraft != b.isDraft {
			if a.isDraft {
				return 1
			}
			return -1
		}
		return cmp.Or(strings.Compare(a.first.Text, b.first.Text), cmp.Compare(a.first.In, b.first.In),
			a.StartsAt.Compare(b.StartsAt), strings.Compare(a.ID, b.ID))
	})
	var candidates []event.Candidate
	for _, m := range matching[:min(len(matching), q.Limit)] {
		candidates = append(candidates, m.Candidate)
	}
	return candidates, err
}

// GetEvents implements event.Catalogue.
func (s *Store) GetEvents(ctx context.Context, ids []string) (map[string]event.Event, error) {
	events := map[string]event.Event{}
	err := s.do(ctx, "events.read", func() error {
		for _, id := range ids {
			if d, ok := s.events[id]; ok {
				e := clone(d.Event)
				e.Seats.Marks = nil
				events[id] = e
			}
		}
		return nil
	})
	return events, err
}
