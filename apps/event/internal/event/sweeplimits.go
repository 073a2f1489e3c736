package event

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"boxoffice/shared/drain"
)

// holdsPerRead limits the holds that a sweep of limits reads together.
const holdsPerRead = 500

// sweepLimits settles the limits with old stamps. A recent stamp usually belongs to a
// reserve that is still under way, and whose entry has no hold yet.
func (s *Service) sweepLimits(ctx context.Context) error {
	return drain.Run(ctx, s.sweepParallel, s.claimLimits, s.settleLimits)
}

// claimLimits claims the next page of limits with old stamps. It reports false if there is
// none.
func (s *Service) claimLimits(ctx context.Context) (claimed []Limit, more bool, err error) {
	now := s.now()
	stamped, err := s.limits.StampedLimits(ctx, now.Add(-s.settleAfter), sweepPage)
	if err != nil {
		return nil, false, fmt.Errorf("find stamped limits: %w", err)
	}
	if len(stamped) == 0 {
		s.observeBacklog(ctx, sweepLimits, time.Time{})
		return nil, false, nil
	}
	s.observeBacklog(ctx, sweepLimits, stamped[0].ClaimedAt.Add(s.settleAfter))
	// The new stamp keeps other sweeps away until it is old too. It also identifies the claim,
	// so it should differ between processes.
	stamp := instant(now.Add(-rand.N(s.settleAfter / 4))) //nolint:gosec // not a secret
	claimed, err = s.limits.ClaimLimits(ctx, stamped, stamp)
	if err != nil {
		return nil, false, fmt.Errorf("claim %d limits: %w", len(stamped), err)
	}
	return claimed, true, nil
}

// settleLimits gives back the entries that crashes left behind in claimed limits. If a limit
// has none, it clears the stamp.
func (s *Service) settleLimits(ctx context.Context, limits []Limit) error {
	holds, err := s.holdsOf(ctx, limits)
	if err != nil {
		return err
	}
	var failed []error
	for _, l := range limits {
		if err := s.settleLimit(ctx, l, holds); err != nil {
			failed = append(failed, fmt.Errorf("settle limit %s: %w", l.LimitKey, err))
		}
	}
	return errors.Join(failed[:min(len(failed), maxReported)]...)
}

// holdsOf returns the holds of all entries of limits that exist, by id.
func (s *Service) holdsOf(ctx context.Context, limits []Limit) (map[string]Hold, error) {
	var ids []string
	for _, l := range limits {
		ids = append(ids, slices.Sorted(maps.Keys(l.By))...)
	}
	all := map[string]Hold{}
	for chunk := range slices.Chunk(ids, holdsPerRead) {
		holds, err := s.holds.GetHolds(ctx, chunk)
		if err != nil {
			return nil, fmt.Errorf("read %d holds of limits: %w", len(chunk), err)
		}
		maps.Copy(all, holds)
	}
	return all, nil
}

// settleLimit settles the entries of a limit. holds contains their holds, read after the limit.
func (s *Service) settleLimit(ctx context.Context, l Limit, holds map[string]Hold) error {
	for _, holdID := range slices.Sorted(maps.Keys(l.By)) {
		h, found := holds[holdID]
		if err := s.settleEntry(ctx, l.LimitKey, holdID, l.By[holdID], h, found); err != nil {
			return fmt.Errorf("hold %s: %w", holdID, err)
		}
	}
	// If an entry was given back, the version differs now, and the stamp stays until a later
	// sweep.
	if err := s.limits.ClearStamp(ctx, l); err != nil && !errors.Is(err, ErrStale) {
		return err
	}
	return nil
}

// settleEntry gives an entry back unless its hold counts toward the limit. If the hold was not
// found, settleEntry writes a tombstone first.
func (s *Service) settleEntry(ctx context.Context, key LimitKey, holdID string, quantity int64, h Hold, found bool) error {
	if !found {
		var err error
		// The hold may be reserved at this moment. writeTombstone then returns it.
		h, err = s.writeTombstone(ctx, Hold{ID: holdID, EventID: key.EventID, UserID: key.UserID, Quantity: quantity, Limited: true})
		if err != nil {
			return err
		}
	}
	if h.State == Released || !h.Limited {
		// A hold that was reserved while the event had no limit needs no entry. An earlier
		// attempt to reserve it, while there was a limit, left this one behind.
		return s.giveBack(ctx, key, holdID, quantity)
	}
	return nil
}
