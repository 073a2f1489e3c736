package event

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/drain"
)

// maxReported limits the errors of single items that the error of a page contains.
const maxReported = 3

// sweepHolds asks the booking app about the holds that are due, and settles them. It stops if
// the booking app does not answer: each further request would probably wait until its
// deadline too.
func (s *Service) sweepHolds(ctx context.Context) error {
	var isStopped atomic.Bool
	return drain.Run(ctx, s.sweepParallel, func(ctx context.Context) ([]Hold, bool, error) {
		if isStopped.Load() {
			return nil, false, nil
		}
		return s.claimHolds(ctx)
	}, func(ctx context.Context, page []Hold) error {
		var failed []error
		for holds := range slices.Chunk(page, bookingapi.MaxSettles) {
			if isStopped.Load() {
				break
			}
			err := s.settleHolds(ctx, holds)
			if err != nil {
				failed = append(failed, err)
			}
			if err != nil && apperr.Unanswered(err) {
				isStopped.Store(true)
			}
		}
		return errors.Join(failed...)
	})
}

// claimHolds claims the next page of holds that are due. It reports false if there is none.
func (s *Service) claimHolds(ctx context.Context) (claimed []Hold, more bool, err error) {
	due, err := s.holds.HoldsToSettle(ctx, s.now(), sweepPage)
	if err != nil {
		return nil, false, fmt.Errorf("find holds to settle: %w", err)
	}
	if len(due) == 0 {
		s.observeBacklog(ctx, sweepHolds, time.Time{})
		return nil, false, nil
	}
	s.observeBacklog(ctx, sweepHolds, due[0].SettleAt)
	// The end of the lease identifies the claim, so it should differ between processes.
	until := instant(s.now().Add(sweepLease + rand.N(sweepLease/2))) //nolint:gosec // not a secret
	claimed, err = s.holds.ClaimHolds(ctx, due, until)
	if err != nil {
		return nil, false, fmt.Errorf("claim %d holds: %w", len(due), err)
	}
	return claimed, true, nil
}

// settleHolds asks about up to bookingapi.MaxSettles holds in one call, and settles them. A
// hold whose settlement fails is settled again after its claim.
func (s *Service) settleHolds(ctx context.Context, holds []Hold) error {
	ids := make([]string, len(holds))
	for i, h := range holds {
		ids[i] = h.ID
	}
	settlements, err := s.bookings.SettleHolds(ctx, ids)
	if err != nil {
		return fmt.Errorf("ask about %d holds: %w", len(holds), err)
	}
	postponed := map[string]time.Time{}
	moves := map[string][]settled{} // by event
	var failed []error
	for i, h := range holds {
		switch result := settlements[i]; {
		case result.Err != nil:
			failed = append(failed, fmt.Errorf("ask about hold %s: %w", h.ID, result.Err))
		case result.Data.Live && !result.Data.Confirmed:
			postponed[h.ID] = s.nextSettle(h)
		default:
			moves[h.EventID] = append(moves[h.EventID], settled{h, result.Data})
		}
	}
	for eventID, group := range moves {
		for i, err := range s.moveSettled(ctx, eventID, group) {
			if err != nil {
				failed = append(failed, fmt.Errorf("settle hold %s: %w", group[i].hold.ID, err))
			}
		}
	}
	if err := s.holds.PostponeSettle(ctx, postponed); err != nil {
		failed = append(failed, err)
	}
	return errors.Join(failed[:min(len(failed), maxReported)]...)
}

// settled is a hold and what the booking app requires of it.
type settled struct {
	hold    Hold
	booking bookingapi.Settlement
}

// nextSettle returns the time at which a sweep asks again about the hold of a pending booking.
func (s *Service) nextSettle(h Hold) time.Time {
	next := s.now()
	if h.ExpiresAt.After(next) {
		next = h.ExpiresAt
	}
	return next.Add(s.settleAfter)
}

// moveSettled sells the holds of confirmed bookings and releases those without a live booking.
// All of them are holds of one event and share a batch. It returns the error of each.
func (s *Service) moveSettled(ctx context.Context, eventID string, group []settled) []error {
	members := make([]*Member, len(group))
	releases := make([]*release, len(group)) // nil for a sale
	for i, one := range group {
		if one.booking.Live {
			members[i] = newSell(one.hold.ID)
			continue
		}
		releases[i] = s.newRelease(one.hold, decideRelease(one.hold), CauseReleased)
		members[i] = releases[i].member
		members[i].wasConfirmed = one.booking.Confirmed
	}
	s.joinBatch(ctx, eventID, members...)
	errs := make([]error, len(group))
	finish := make([]func() error, len(group))
	for i, r := range releases {
		finish[i] = func() error {
			if r != nil {
				_, errs[i] = r.complete(ctx)
			} else {
				errs[i] = s.completeSell(ctx, members[i])
			}
			return errs[i]
		}
	}
	_ = drain.Do(s.sweepParallel, finish...) // the errors are in errs
	return errs
}

// settleOne asks about one hold; see Bookings.SettleHolds.
func (s *Service) settleOne(ctx context.Context, holdID string) (bookingapi.Settlement, error) {
	results, err := s.bookings.SettleHolds(ctx, []string{holdID})
	if err != nil {
		return bookingapi.Settlement{}, err
	}
	return results[0].Data, results[0].Err
}
