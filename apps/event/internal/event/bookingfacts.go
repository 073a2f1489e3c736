package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
)

const (
	// maxLinkAhead limits how far ahead a fact postpones the settlement of a hold. A booking
	// that is pending for longer is asked about once in this time.
	maxLinkAhead = time.Hour
	// askTimeout limits how long a fact waits for the booking app. It is shorter than the
	// sidecar's timeout of a delivery (dapr/resiliency.yaml).
	askTimeout = 2 * time.Second
)

// OnBookingCreated links a hold to its booking, so that no sweep asks about it until
// HoldSettleAfter after the booking should have expired. It usually keeps the link in
// memory until the next FlushLinks. It does not ask the booking app: a forged fact delays a
// sweep by maxLinkAhead at most.
func (s *Service) OnBookingCreated(ctx context.Context, fact bookingapi.Fact) error {
	b := fact.Resource
	settleAt := instant(b.ExpiresAt.Time).Add(s.settleAfter)
	if latest := instant(s.now().Add(maxLinkAhead + s.settleAfter)); settleAt.After(latest) {
		settleAt = latest
	}
	if s.links.add(b.HoldID, settleAt) {
		return nil
	}
	if err := s.holds.PostponeSettle(ctx, map[string]time.Time{b.HoldID: settleAt}); err != nil {
		return fmt.Errorf("link hold %s: %w", b.HoldID, err)
	}
	return nil
}

// OnBookingConfirmed counts the seats of the booking's hold as sold, if the booking app
// confirms the fact; see settleByFact.
func (s *Service) OnBookingConfirmed(ctx context.Context, fact bookingapi.Fact) error {
	return s.settleByFact(ctx, fact.Resource, Held, CauseReleased)
}

// OnBookingCancelled gives the seats of the booking's hold back, if the booking app confirms
// the fact; see settleByFact.
func (s *Service) OnBookingCancelled(ctx context.Context, fact bookingapi.Fact) error {
	return s.settleByFact(ctx, fact.Resource, Sold, CauseCancelled)
}

// OnBookingExpired gives the seats of the booking's hold back, if the booking app confirms
// the fact; see settleByFact.
func (s *Service) OnBookingExpired(ctx context.Context, fact bookingapi.Fact) error {
	return s.settleByFact(ctx, fact.Resource, Sold, CauseExpired)
}

// settleByFact settles the hold that a fact names. A fact is only a hint that the hold may
// have to move: anyone who reaches the broker could have written it. The booking app, whose
// record was written before the fact, says which state the hold should have, and the stored
// hold says what moves. If the booking app is unreachable or silent, settleByFact leaves the hold to the
// obligation in the booking's record: deliveries that wait for an app would hold up the facts
// behind them and end as dead letters.
//
// Usually the booking app has moved the hold already by a direct call. If that call reached
// this process and released the hold, settleByFact reads nothing. If the hold is in a later
// state than last, it reads the hold and asks nothing. It does nothing if the hold is unknown:
// no booking exists whose hold was never reserved. cause is that of a release.
func (s *Service) settleByFact(ctx context.Context, b bookingapi.Resource, last HoldState, cause Cause) error {
	if s.released.Contains(b.HoldID) {
		return nil
	}
	h, err := s.finishedHold(ctx, b.EventID, b.HoldID)
	if err != nil || h == nil || h.State.order() > last.order() {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	switch booking, err := s.settleOne(asking, h.ID); {
	case apperr.Unanswered(err):
		return nil
	case err != nil:
		return fmt.Errorf("ask about hold %s: %w", h.ID, err)
	case !booking.Live:
		return s.release(ctx, *h, cause, booking.Confirmed)
	case booking.Confirmed:
		return s.sell(ctx, h.EventID, h.ID)
	default:
		return nil
	}
}

// finishedHold returns a hold, after it has finished the hold's last step in the event, or nil
// if there is no such hold. The hold may belong to another event.
func (s *Service) finishedHold(ctx context.Context, eventID, holdID string) (*Hold, error) {
	m := &Member{holdID: holdID, decide: func(Event, *Hold, time.Time) outcome { return keepHold() }}
	s.joinBatch(ctx, eventID, m)
	h, err := s.complete(ctx, m)
	if !errors.Is(err, errGone) {
		return h, err
	}
	found, exists, err := s.getHold(ctx, holdID)
	if err != nil || !exists {
		return nil, err
	}
	return &found, nil
}
