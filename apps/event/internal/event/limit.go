package event

import (
	"context"
	"fmt"
	"maps"
	"time"

	"boxoffice/shared/apperr"
)

// claimTimeout limits how long a batch waits for a claim, so that a slow claim does not
// use up the time of the whole batch.
const claimTimeout = 2 * time.Second

// LimitKey identifies the limit of one user for one event.
type LimitKey struct{ EventID, UserID string }

// String returns the id of the limit's document. Ids contain no colon, so each key has
// its own document.
func (k LimitKey) String() string { return k.EventID + ":" + k.UserID }

// Limit is the document that counts a user's tickets of a limited event. By contains the
// entries: the quantity of each hold. Used is their sum.
type Limit struct {
	LimitKey
	Used    int64
	By      map[string]int64
	Version int64 // raised whenever an entry is added or given back
	// ClaimedAt is the stamp: the time of the oldest claim since a sweep last cleared the
	// stamp. It is zero if no claim has added an entry since.
	ClaimedAt time.Time
	// PurgeAt is the time from which the store may drop the limit. It is zero if the
	// limit has entries. A limit that is dropped is the same as one without entries,
	// except that its version starts again.
	PurgeAt time.Time
}

// Claim is a request for an entry in a limit.
type Claim struct {
	LimitKey
	HoldID   string
	Quantity int64
	Max      int64     // the event's maxPerUser
	At       time.Time // of the claim; becomes the stamp if the limit has none
}

// ClaimResult is the result of a claim.
type ClaimResult int

// The results of a claim.
const (
	ClaimRefused   ClaimResult = iota // the hold has no entry
	ClaimGranted                      // the claim added an entry
	ClaimPresent                      // the hold had an entry, from an earlier attempt or a duplicate request
	ClaimOverLimit                    // the hold had an entry, but Max has since been lowered below Used
)

// WithClaim returns the limit after a claim, and the claim's result. The limit is
// unchanged unless the result is ClaimGranted. WithClaim defines what Limits.Claim must
// do.
func (l Limit) WithClaim(c Claim) (Limit, ClaimResult) {
	_, hasEntry := l.By[c.HoldID]
	switch {
	case hasEntry && l.Used <= c.Max:
		return l, ClaimPresent
	case hasEntry:
		return l, ClaimOverLimit
	case l.Used > c.Max-c.Quantity:
		return l, ClaimRefused
	}
	by := make(map[string]int64, len(l.By)+1)
	maps.Copy(by, l.By)
	by[c.HoldID] = c.Quantity
	l.By = by
	l.Used += c.Quantity
	l.Version++
	l.PurgeAt = time.Time{}
	if l.ClaimedAt.IsZero() {
		l.ClaimedAt = c.At
	}
	return l, ClaimGranted
}

// claimEntry claims an entry in the user's limit for a hold that is about to be
// reserved. It returns ErrLimitExceeded if the limit refuses the hold. A panic becomes
// an error.
//
// If hasEntry is true, the hold has an entry, even if err is not nil. If it is false, the
// hold may have an entry nevertheless; see mayHaveClaimed.
func (s *Service) claimEntry(ctx context.Context, e Event, h Hold) (hasEntry bool, err error) {
	defer recoverTo(&err, "claim of hold "+h.ID)
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	result, err := s.limits.Claim(ctx, Claim{
		LimitKey: h.limitKey(), HoldID: h.ID, Quantity: h.Quantity, Max: *e.MaxPerUser, At: h.MovedAt,
	})
	if err != nil {
		return false, fmt.Errorf("claim of hold %s: %w", h.ID, err)
	}
	switch result {
	case ClaimGranted, ClaimPresent:
		return true, nil
	case ClaimOverLimit:
		return true, ErrLimitExceeded
	case ClaimRefused:
	}
	return false, ErrLimitExceeded
}

// mayHaveClaimed reports whether a claim that returned err may have added an entry
// nevertheless.
func mayHaveClaimed(err error) bool { return err != nil && apperr.VerdictOf(err) != apperr.Refused }

// exceedsLimit reports whether the user's limit would refuse the hold, without making a
// claim.
func (s *Service) exceedsLimit(ctx context.Context, e Event, h Hold) (bool, error) {
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
	_, result := l.WithClaim(Claim{HoldID: h.ID, Quantity: h.Quantity, Max: *e.MaxPerUser})
	return result == ClaimRefused || result == ClaimOverLimit, nil
}

// giveBackEntry removes the hold's entry from the user's limit. The hold must already be
// released. Otherwise a duplicate reserve that found the entry might succeed.
func (s *Service) giveBackEntry(ctx context.Context, h Hold) error {
	if err := s.giveBack(ctx, h.limitKey(), h.ID, h.Quantity); err != nil {
		return fmt.Errorf("give back the limit entry of hold %s: %w", h.ID, err)
	}
	return nil
}

// giveBack removes an entry. If it was the last one, the store may drop the limit after
// limitPurgeAfter.
func (s *Service) giveBack(ctx context.Context, key LimitKey, holdID string, quantity int64) error {
	return s.limits.GiveBack(ctx, key, holdID, quantity, s.now().Add(limitPurgeAfter))
}

func (h Hold) limitKey() LimitKey { return LimitKey{EventID: h.EventID, UserID: h.UserID} }
