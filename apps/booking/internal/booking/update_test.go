package booking_test

import (
	"context"
	"testing"
	"testing/synctest"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
)

// If every compare-and-set is stale, the answer is a refusal with a Retry-After. The
// app is healthy, so the circuit breaker must not count it.
func TestChangeOfABusyBookingIsRefusedAsOverloaded(t *testing.T) {
	for name, change := range map[string]func(context.Context, *booking.Service) error{
		"cancel": func(ctx context.Context, svc *booking.Service) error {
			_, err := svc.CancelBooking(ctx, getAsOwner("own-id"))
			return err
		},
		"settle the next hold": func(ctx context.Context, svc *booking.Service) error {
			_, err := svc.SettleHold(ctx, bookingapi.SettleRequest{HoldID: "refused-id_2_f"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.book(request("", 2))
				_, err := f.SettleHold(t.Context(), bookingapi.SettleRequest{HoldID: "refused-id_1_f"})
				f.wantErr("settle a hold without a booking", err, nil)

				busy := f.store.WithGate(func(op string) (before, after error) {
					if op == "bookings.replace" {
						return booking.ErrStale, nil
					}
					return nil, nil
				})
				svc := booking.New(booking.Config{
					Store: busy, Finder: busy, Seats: f, Events: f, Locks: bookingtest.NoLocks{}, Clock: f, IDs: f,
					TTL: ttl, MaxPerBooking: 10,
				})
				if e := apperr.From(change(t.Context(), svc)); e.Code != apperr.Unavailable || e.Failure() || e.RetryAfter == 0 {
					t.Errorf("got %v, want a refusal with a Retry-After", e)
				}
			})
		})
	}
}
