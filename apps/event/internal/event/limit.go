package event

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// LimitKey names whose tickets of what are limited.
type LimitKey struct{ EventID, UserID string }

// String is the id of the document. What stands between is in no id, so no two
// keys share a document.
func (k LimitKey) String() string { return k.EventID + ":" + k.UserID }

// Limit is what a user holds of a limited event: Used is the sum of By, which
// has an entry for each hold.
type Limit struct {
	LimitKey
	Used    int64
	By      map[string]int64
	Version int64
	// ClaimedAt is the stamp: when the first entry came in that nobody has seen
	// behind a counted hold. Zero when there is none.
	ClaimedAt time.Time
}

// Claim asks for an entry.
type Claim struct {
	LimitKey
	HoldID   string
	Quantity int64
	Max      int64
	At       time.Time
}

// ClaimResult is what became of a claim.
type ClaimResult int

// The results.
const (
	ClaimRefused  ClaimResult = iota // there is no entry of the hold
	ClaimGranted                     // there is one now
	ClaimPresent                     // there was one: of an earlier try, or of a twin
	ClaimOverdone                    // there was one, but the limit is lower now than what is used
)

// Claimed returns the limit with the claim's entry, and what became of it: what a
// store does with it.
func (l Limit) Claimed(c Claim) (Limit, ClaimResult) {
	_, there := l.By[c.HoldID]
	switch {
	case there && l.Used <= c.Max:
		return l, ClaimPresent
	case there:
		return l, ClaimOverdone
	case l.Used > c.Max-c.Quantity:
		return l, ClaimRefused
	}
	by := make(map[string]int64, len(l.By)+1)
	maps.Copy(by, l.By)
	by[c.HoldID] = c.Quantity
	l.By = by
	l.Used += c.Quantity
	l.Version++
	if l.ClaimedAt.IsZero() {
		l.ClaimedAt = c.At
	}
	return l, ClaimGranted
}

// claim takes the limit's share for a reserve. When it returns an error, there
// says that an entry of this hold is there all the same; unless the error is a
// refusal, one may be there anyhow.
func (s *Service) claim(ctx context.Context, e Event, h Hold) (there bool, err error) {
	result, err := s.limits.Claim(ctx, Claim{
		LimitKey: h.limitKey(), HoldID: h.ID, Quantity: h.Quantity, Max: *e.MaxPerUser, At: h.MovedAt,
	})
	if err != nil {
		return false, fmt.Errorf("claim of hold %s: %w", h.ID, err)
	}
	switch result {
	case ClaimGranted, ClaimPresent:
		return true, nil
	case ClaimOverdone:
		return true, ErrLimitExceeded
	case ClaimRefused:
	}
	return false, ErrLimitExceeded
}

// exceeds reports whether the user's limit alone would refuse a hold: of two
// refusals the limit's comes first, and an event without seats makes no claim.
func (s *Service) exceeds(ctx context.Context, e Event, h Hold) (bool, error) {
	if e.MaxPerUser == nil {
		return false, nil
	}
	if h.Quantity > *e.MaxPerUser {
		return true, nil
	}
	l, err := s.limits.GetLimit(ctx, h.limitKey())
	if err != nil {
		return false, fmt.Errorf("limit of hold %s: %w", h.ID, err)
	}
	_, result := l.Claimed(Claim{HoldID: h.ID, Quantity: h.Quantity, Max: *e.MaxPerUser})
	return result == ClaimRefused || result == ClaimOverdone, nil
}

// settleLimit finds what a crash left behind a stamp: an entry whose hold was
// released is given back, one without a hold gets a tombstone first. When every
// entry stands behind a counted hold, the stamp goes.
func (s *Service) settleLimit(ctx context.Context, l Limit) error {
	for _, holdID := range slices.Sorted(maps.Keys(l.By)) {
		quantity := l.By[holdID]
		h, found, err := s.hold(ctx, holdID)
		switch {
		case err != nil:
		case !found:
			err = s.bury(ctx, Hold{ID: holdID, EventID: l.EventID, UserID: l.UserID, Quantity: quantity, Limited: true})
		case h.State == Released || !h.Limited:
			// A hold that was taken when the event had no limit needs no entry: an
			// earlier try of it left this one.
			err = s.limits.GiveBack(ctx, l.LimitKey, holdID, quantity)
		}
		if err != nil {
			return fmt.Errorf("settle limit %s: hold %s: %w", l.LimitKey, holdID, err)
		}
	}
	// An entry that was given back raised the version: the stamp then goes with
	// the next sweep.
	if err := s.limits.ClearStamp(ctx, l); err != nil && !errors.Is(err, ErrStale) {
		return fmt.Errorf("settle limit %s: %w", l.LimitKey, err)
	}
	return nil
}

func (h Hold) limitKey() LimitKey { return LimitKey{EventID: h.EventID, UserID: h.UserID} }
