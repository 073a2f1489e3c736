package eventtest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"boxoffice/apps/event/internal/event"
)

// GetLimit implements event.Limits.
func (s *Store) GetLimit(ctx context.Context, key event.LimitKey) (event.Limit, error) {
	l := event.Limit{LimitKey: key}
	err := s.do(ctx, "limits.read", func() error {
		if stored, ok := s.limits[key]; ok {
			l = stored
			l.By = maps.Clone(stored.By)
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
func (s *Store) GiveBack(ctx context.Context, key event.LimitKey, holdID string, quantity int64, purgeAt time.Time) error {
	return s.do(ctx, "limits.giveback", func() error {
		l, ok := s.limits[key]
		if !ok || l.By[holdID] != quantity {
			return nil
		}
		l.By = maps.Clone(l.By)
		delete(l.By, holdID)
		l.Used -= quantity
		l.Version++
		if l.Used == 0 && l.PurgeAt.IsZero() {
			l.PurgeAt = purgeAt
		}
		s.limits[key] = l
		*s.writes++
		return nil
	})
}

// ClearStamp implements event.Limits.
func (s *Store) ClearStamp(ctx context.Context, l event.Limit) error {
	return s.do(ctx, "limits.clearstamp", func() error {
		stored, ok := s.limits[l.LimitKey]
		if !ok || stored.Version != l.Version || !stored.ClaimedAt.Equal(l.ClaimedAt) {
			return event.ErrStale
		}
		stored.ClaimedAt = time.Time{}
		s.limits[l.LimitKey] = stored
		*s.writes++
		return nil
	})
}

// ClaimLimits implements event.Limits.
func (s *Store) ClaimLimits(ctx context.Context, limits []event.Limit, at time.Time) ([]event.Limit, error) {
	var claimed []event.Limit
	err := s.do(ctx, "limits.reclaim", func() error {
		for _, l := range limits {
			if stored, ok := s.limits[l.LimitKey]; ok && stored.Version == l.Version && stored.ClaimedAt.Equal(l.ClaimedAt) {
				stored.ClaimedAt = at
				s.limits[l.LimitKey] = stored
				*s.writes++
				stored.By = maps.Clone(stored.By)
				claimed = append(claimed, stored)
			}
		}
		return nil
	})
	return claimed, err
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
