package eventtest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"boxoffice/apps/event/internal/event"
)

// WriteOpening implements event.Events.
func (s *Store) WriteOpening(ctx context.Context, eventID string, through int64, next event.Opening) error {
	return s.do(ctx, "events.opening", func() error {
		d, ok := s.events[eventID]
		if !ok || d.Opening.Through != through {
			return event.ErrStale
		}
		d.Opening = next
		s.events[eventID] = d
		*s.writes++
		return nil
	})
}

// UnloggedEvents implements event.Catalogue.
func (s *Store) UnloggedEvents(ctx context.Context, before time.Time, limit int) ([]string, error) {
	return s.ids(ctx, "events.unlogged", limit, func(d document) bool {
		return slices.ContainsFunc(d.Seats.Entries, func(e event.Entry) bool { return e.At.Before(before) })
	})
}

// LogSum returns the sum of all log entries of an event: those in its log, those that are
// still in the event, and those that were folded. It always equals the counters.
func (c Contents) LogSum(eventID string) event.Change {
	e := c.Events[eventID]
	sum := e.Opening.Sum
	known := map[event.EntryPosition]bool{}
	for _, entry := range slices.Concat(c.Logs[eventID], e.Seats.Entries) {
		if p := position(entry); !known[p] && entry.Version > e.Opening.Through {
			known[p] = true
			sum = sum.Plus(entry.Change)
		}
	}
	return sum
}

// InsertEntries implements event.CapacityLog.
func (s *Store) InsertEntries(ctx context.Context, eventID string, entries []event.Entry) error {
	return s.do(ctx, "log.insert", func() error {
		if s.logs[eventID] == nil {
			s.logs[eventID] = map[event.EntryPosition]event.Entry{}
		}
		for _, e := range entries {
			if _, exists := s.logs[eventID][position(e)]; !exists {
				s.logs[eventID][position(e)] = e
				*s.writes++
			}
		}
		return nil
	})
}

// position returns the position before an entry.
func position(e event.Entry) event.EntryPosition {
	return event.EntryPosition{Version: e.Version, Number: e.Number}
}

// entries returns the entries of an event in ascending order.
func (s *Store) entries(eventID string) []event.Entry {
	return slices.SortedFunc(maps.Values(s.logs[eventID]), func(a, b event.Entry) int { return comparePositions(position(a), position(b)) })
}

func comparePositions(a, b event.EntryPosition) int {
	return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(a.Number, b.Number))
}

// ListEntries implements event.CapacityLog.
func (s *Store) ListEntries(ctx context.Context, q event.EntryQuery) ([]event.Entry, error) {
	var found []event.Entry
	err := s.do(ctx, "log.list", func() error {
		found = slices.DeleteFunc(s.entries(q.EventID), func(e event.Entry) bool {
			return e.Version <= q.After || comparePositions(position(e), q.Before) >= 0
		})
		return nil
	})
	slices.Reverse(found)
	return found[:min(len(found), q.Limit)], err
}

// OldestEntries implements event.CapacityLog.
func (s *Store) OldestEntries(ctx context.Context, eventID string, after int64, limit int) ([]event.Entry, error) {
	var found []event.Entry
	err := s.do(ctx, "log.oldest", func() error {
		found = slices.DeleteFunc(s.entries(eventID), func(e event.Entry) bool { return e.Version <= after })
		return nil
	})
	return found[:min(len(found), limit)], err
}

// OldLogs implements event.CapacityLog.
func (s *Store) OldLogs(ctx context.Context, before time.Time, limit int) ([]string, error) {
	type aged struct {
		eventID string
		at      time.Time
	}
	var old []aged
	err := s.do(ctx, "log.old", func() error {
		for id, entries := range s.logs {
			for _, e := range entries {
				if e.At.Before(before) {
					old = append(old, aged{id, e.At})
				}
			}
		}
		return nil
	})
	slices.SortFunc(old, func(a, b aged) int { return cmp.Or(a.at.Compare(b.at), strings.Compare(a.eventID, b.eventID)) })
	var ids []string
	for _, a := range old[:min(len(old), limit)] {
		if !slices.Contains(ids, a.eventID) {
			ids = append(ids, a.eventID)
		}
	}
	return ids, err
}

// DeleteEntries implements event.CapacityLog.
func (s *Store) DeleteEntries(ctx context.Context, eventID string, through int64, limit int) (int, error) {
	n := 0
	err := s.do(ctx, "log.delete", func() error {
		for _, e := range s.entries(eventID) {
			if e.Version > through || n == limit {
				break
			}
			delete(s.logs[eventID], position(e))
			*s.writes++
			n++
		}
		return nil
	})
	return n, err
}
