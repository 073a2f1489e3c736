package booking_test

import (
	"testing"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/contract/bookingapi"
)

func TestOtherUsersCannotFindABooking(t *testing.T) {
	f := newFixture(t)
	f.book(request("", 2))
	other := bookingapi.GetRequest{BookingID: "own-id", UserID: "u2"}
	_, err := f.GetBooking(t.Context(), other)
	f.wantErr("get", err, booking.ErrNotFound)
	_, err = f.CancelBooking(t.Context(), other)
	f.wantErr("cancel", err, booking.ErrNotFound)
	_, err = f.ConfirmBooking(t.Context(), bookingapi.ConfirmRequest{BookingID: "own-id", UserID: "u2"})
	f.wantErr("confirm", err, booking.ErrNotFound)
	other.ByAdmin = true
	_, err = f.GetBooking(t.Context(), other)
	f.wantErr("get as an admin", err, nil)
	_, err = f.GetBooking(t.Context(), getAsOwner("unknown"))
	f.wantErr("get an unknown booking", err, booking.ErrNotFound)
}
