package eventtest

import (
	"context"
	"maps"
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

// MoveHold implements event.Holds.
func (s *Store) MoveHold(ctx context.Context, to event.Hold) error {
	return s.do(ctx, "holds.move", func() error {
		h, ok := s.holds[to.ID]
		if !ok {
			return event.ErrNoHold
		}
		if h.State == event.Held || h.State == event.Sold && to.State == event.Released {
			h.State, h.MovedAt, h.SettleAt = to.State, to.MovedAt, time.Time{}
			s.holds[to.ID] = h
			*s.writes++
		}
		return nil
	})
}

// PostponeSettle implements event.Holds.
func (s *Store) PostponeSettle(ctx context.Context, at map[string]time.Time) error {
	return s.do(ctx, "holds.later", func() error {
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

// GetLimit implements event.Limits.
func (s *Store) GetLimit(ctx context.Context, key event.LimitKey) (event.Limit, error) {
	l := event.Limit{LimitKey: key}
	err := s.do(ctx, "limits.read", func() error {
		if there, ok := s.limits[key]; ok {
			l = there
			l.By = maps.Clone(there.By)
		}
		return nil
	})
	return l, err
}

// Claim implements event.Limits.
func (s *Store) Claim(ctx context.Context, c event.Claim) (event.ClaimResult, error) {
	var result event.ClaimResult
	err := s.do(ctx, "limits.claim", func() error {
		l, ok := s.limits[c.LimitKey]
		if !ok {
			l.LimitKey = c.LimitKey
		}
		var next event.Limit
		if next, result = l.WithClaim(c); result == event.ClaimGranted {
			s.limits[c.LimitKey] = next
			*s.writes++
		}
		return nil
	})
	return result, err
}

// GiveBack implements event.Limits.
func (s *Store) GiveBack(ctx context.Context, key event.LimitKey, holdID string, quantity int64) error {
	return s.do(ctx, "limits.giveback", func() error {
		l, ok := s.limits[key]
		if !ok || l.By[holdID] != quantity {
			return nil
		}
		l.By = maps.Clone(l.By)
		delete(l.By, holdID)
		l.Used -= quantity
		l.Version++
		s.limits[key] = l
		*s.writes++
		return nil
	})
}

// ClearStamp implements event.Limits.
func (s *Store) ClearStamp(ctx context.Context, l event.Limit) error {
	return s.do(ctx, "limits.unstamp", func() error {
		there, ok := s.limits[l.LimitKey]
		if !ok || there.Version != l.Version {
			return event.ErrStale
		}
		there.ClaimedAt = time.Time{}
		s.limits[l.LimitKey] = there
		*s.writes++
		return nil
	})
}

// StampedLimits implements event.Limits.
func (s *Store) StampedLimits(ctx context.Context, before time.Time, limit int) ([]event.Limit, error) {
	var found []event.Limit
	err := s.do(ctx, "limits.stamped", func() error {
		for _, l := range s.limits {
			if !l.ClaimedAt.IsZero() && l.ClaimedAt.Before(before) {
				l.By = maps.Clone(l.By)
				found = append(found, l)
			}
		}
		return nil
	})
	slices.SortFunc(found, func(a, b event.Limit) int {
		if n := a.ClaimedAt.Compare(b.ClaimedAt); n != 0 {
			return n
		}
		return strings.Compare(a.String(), b.String())
	})
	return found[:min(len(found), limit)], err
}
