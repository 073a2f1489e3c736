package booking_test

import (
	"testing"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/contract/bookingapi"
)

func TestOthersBookingsDoNotExist(t *testing.T) {
	f := newFixture(t)
	f.book(request("", 2))
	other := bookingapi.GetRequest{BookingID: "own-id", UserID: "u2"}
	_, err := f.GetBooking(t.Context(), other)
	f.is("fetch", err, booking.ErrNotFound)
	_, err = f.CancelBooking(t.Context(), other)
	f.is("cancel", err, booking.ErrNotFound)
	_, err = f.ConfirmBooking(t.Context(), bookingapi.ConfirmRequest{BookingID: "own-id", UserID: "u2"})
	f.is("confirm", err, booking.ErrNotFound)
	other.ByAdmin = true
	_, err = f.GetBooking(t.Context(), other)
	f.is("fetch as an admin", err, nil)
	_, err = f.GetBooking(t.Context(), asker("unknown"))
	f.is("unknown", err, booking.ErrNotFound)
}
