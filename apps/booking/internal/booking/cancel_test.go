package booking_test

import (
	"testing"
	"time"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

func TestCancelIsIdempotentAndHonoursTheCutoff(t *testing.T) {
	for _, tt := range []struct {
		name    string
		confirm bool
		cutoff  int64         // hours
		after   time.Duration // from create to cancel; the event starts after 48 hours
		status  string        // of the event; empty means published
		want    error
	}{
		{"pending", false, 0, 0, "", nil},
		{"pending past the cutoff", false, 24, 30 * time.Hour, "", nil},
		{"confirmed", true, 0, 0, "", nil},
		{"confirmed just before the cutoff", true, 24, 24*time.Hour - time.Millisecond, "", nil},
		{"confirmed at the cutoff", true, 24, 24 * time.Hour, "", booking.ErrCutoffPassed},
		{"confirmed at the start", true, 0, 48 * time.Hour, "", booking.ErrCutoffPassed},
		{"confirmed, event cancelled", true, 0, 48 * time.Hour, eventapi.StatusCancelled, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.event.CancellationCutoffHours = tt.cutoff
			if tt.status != "" {
				f.event.Status = tt.status
			}
			f.book(request("", 2))
			if tt.confirm {
				_, err := f.confirm("own-id")
				f.wantErr("confirm", err, nil)
			}
			f.now = f.now.Add(tt.after)
			got, err := f.CancelBooking(t.Context(), getAsOwner("own-id"))
			f.wantErr("cancel", err, tt.want)
			if tt.want != nil {
				if len(f.released) > 0 || f.record("own-id").State != booking.Confirmed {
					t.Errorf("got state %s and released holds %v, want no change", f.record("own-id").State, f.released)
				}
				return
			}
			if got.Status != "cancelled" || got.CancelReason != "user" || *got.CancelledAt != contract.At(f.now) {
				t.Errorf("got %+v, want it cancelled now by the user", got)
			}
			repeated, err := f.CancelBooking(t.Context(), getAsOwner("own-id"))
			if err != nil || *repeated.CancelledAt != *got.CancelledAt || len(f.released) != 1 {
				t.Errorf("second cancel: got %+v, %v, released %v, want the first answer and one release", repeated, err, f.released)
			}
			_, err = f.confirm("own-id")
			f.wantErr("confirm after cancel", err, booking.ErrNotPending)
		})
	}
}

func TestCancelByAdminRecordsTheReason(t *testing.T) {
	f := newFixture(t)
	f.book(request("", 2))
	got, err := f.CancelBooking(t.Context(), bookingapi.CancelRequest{BookingID: "own-id", UserID: "boss", ByAdmin: true})
	if err != nil || got.CancelReason != "admin" {
		t.Errorf("got %+v, %v, want reason admin", got, err)
	}
}
