package event

import (
	"context"
	"fmt"
	"time"

	"boxoffice/shared/contract/bookingapi"
)

// OnBookingCreated links a hold to its booking, so that no sweep asks about it until
// HoldSettleAfter after the booking should have expired. It usually keeps the link in
// memory until the next FlushLinks.
func (s *Service) OnBookingCreated(ctx context.Context, fact bookingapi.Fact) error {
	b := fact.Resource
	settleAt := instant(b.ExpiresAt.Time).Add(s.settleAfter)
	if s.links.add(b.HoldID, settleAt) {
		return nil
	}
	if err := s.holds.PostponeSettle(ctx, map[string]time.Time{b.HoldID: settleAt}); err != nil {
		return fmt.Errorf("link hold %s: %w", b.HoldID, err)
	}
	return nil
}

// OnBookingConfirmed counts the seats of the booking's hold as sold.
func (s *Service) OnBookingConfirmed(ctx context.Context, fact bookingapi.Fact) error {
	return s.sell(ctx, fact.Resource.EventID, fact.Resource.HoldID)
}

// OnBookingCancelled gives the seats of the booking's hold back.
func (s *Service) OnBookingCancelled(ctx context.Context, fact bookingapi.Fact) error {
	return s.releaseBooking(ctx, fact.Resource, CauseCancelled)
}

// OnBookingExpired gives the seats of the booking's hold back.
func (s *Service) OnBookingExpired(ctx context.Context, fact bookingapi.Fact) error {
	return s.releaseBooking(ctx, fact.Resource, CauseExpired)
}

// releaseBooking releases the hold of a booking. Usually the booking app has already done so
// by a direct call. If that call reached this process, releaseBooking reads nothing.
func (s *Service) releaseBooking(ctx context.Context, b bookingapi.Resource, cause Cause) error {
	if s.released.Contains(b.HoldID) {
		return nil
	}
	return s.release(ctx, Hold{ID: b.HoldID, EventID: b.EventID, UserID: b.UserID, Quantity: b.Quantity}, cause, b.ConfirmedAt != nil)
}
