package eventtest

import (
	"context"
	"slices"
	"strings"
	"time"

	"boxoffice/apps/event/internal/event"
)

// GetHolds implements event.Holds.
func (s *Store) GetHolds(ctx context.Context, ids []string) (map[string]event.Hold, error) {
	found := map[string]event.Hold{}
	err := s.do(ctx, "holds.read", func() error {
		for _, id := range ids {
			if h, ok := s.holds[id]; ok {
				found[id] = h
			}
		}
		return nil
	})
	return found, err
}

// InsertHolds implements event.Holds.
func (s *Store) InsertHolds(ctx context.Context, holds []event.Hold) error {
	return s.do(ctx, "holds.insert", func() error {
		for _, h := range holds {
			if _, taken := s.holds[h.ID]; !taken {
				s.holds[h.ID] = h
				*s.writes++
			}
		}
		return nil
	})
}

// MoveHolds implements event.Holds.
func (s *Store) MoveHolds(ctx context.Context, holds []event.Hold) (missing map[string]bool, err error) {
	missing = map[string]bool{}
	err = s.do(ctx, "holds.move", func() error {
		for _, to := range holds {
			h, ok := s.holds[to.ID]
			switch {
			case !ok:
				missing[to.ID] = true
			case h.State == event.Held || h.State == event.Sold && to.State == event.Released:
				h.State, h.MovedAt, h.SettleAt = to.State, to.MovedAt, time.Time{}
				s.holds[to.ID] = h
				*s.writes++
			}
		}
		return nil
	})
	return missing, err
}

// PostponeSettle implements event.Holds.
func (s *Store) PostponeSettle(ctx context.Context, at map[string]time.Time) error {
	return s.do(ctx, "holds.postpone", func() error {
		for id, at := range at {
			if h, ok := s.holds[id]; ok && h.State == event.Held {
				h.SettleAt = at
				s.holds[id] = h
				*s.writes++
			}
		}
		return nil
	})
}

// ClaimHolds implements event.Holds.
func (s *Store) ClaimHolds(ctx context.Context, holds []event.Hold, until time.Time) ([]event.Hold, error) {
	var claimed []event.Hold
	err := s.do(ctx, "holds.claim", func() error {
		for _, h := range holds {
			if stored, ok := s.holds[h.ID]; ok && stored.SettleAt.Equal(h.SettleAt) && !h.SettleAt.IsZero() {
				stored.SettleAt = until
				s.holds[h.ID] = stored
				*s.writes++
				claimed = append(claimed, stored)
			}
		}
		return nil
	})
	return claimed, err
}

// HoldsToSettle implements event.Holds.
func (s *Store) HoldsToSettle(ctx context.Context, now time.Time, limit int) ([]event.Hold, error) {
	var due []event.Hold
	err := s.do(ctx, "holds.due", func() error {
		for _, h := range s.holds {
			if !h.SettleAt.IsZero() && !h.SettleAt.After(now) {
				due = append(due, h)
			}
		}
		return nil
	})
	slices.SortFunc(due, func(a, b event.Hold) int {
		if n := a.SettleAt.Compare(b.SettleAt); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return due[:min(len(due), limit)], err
}
