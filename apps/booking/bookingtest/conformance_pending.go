package bookingtest

import (
	"fmt"
	"testing"
	"time"

	"boxoffice/apps/booking/internal/booking"
	"boxoffice/test/kit"
)

// testPendingTickets counts the tickets of several users, one after the other and at once.
func testPendingTickets(t *testing.T, s Subject) {
	now := day0.Add(time.Hour)
	add := func(id, user string, state booking.State, quantity int64, expires time.Duration) {
		b := PendingBooking(id)
		b.UserID, b.State, b.Quantity, b.ExpiresAt = user, state, quantity, now.Add(expires)
		wantErr(t, "insert", s.InsertBooking(t.Context(), b), nil)
	}
	add("a", "u1", booking.Pending, 3, time.Minute)
	add("b", "u1", booking.Pending, 4, time.Millisecond)
	add("due", "u1", booking.Pending, 5, 0)
	add("overdue", "u1", booking.Pending, 5, -time.Hour)
	add("confirmed", "u1", booking.Confirmed, 5, time.Minute)
	add("cancelled", "u1", booking.Cancelled, 5, time.Minute)
	add("expired", "u1", booking.Expired, 5, time.Minute)
	wantErr(t, "insert", s.InsertBooking(t.Context(), RefusedRecord("refused")), nil)
	for i := range 10 {
		add(fmt.Sprint("many", i), "u2", booking.Pending, 1, time.Minute)
	}
	check := func(user string, want int64) {
		if got, err := s.CountPendingTickets(t.Context(), user, now, 40); err != nil || got != want {
			t.Errorf("user %s: got %d, %v, want %d", user, got, err, want)
		}
	}
	check("u1", 7)
	check("u2", 10)
	check("u3", 0)
	kit.Concurrently(60, func(i int) {
		check([]string{"u1", "u2", "u3"}[i%3], []int64{7, 10, 0}[i%3])
	})
	if got, err := s.CountPendingTickets(t.Context(), "u2", now, 4); err != nil || got <= 4 {
		t.Errorf("more than the limit: got %d, %v, want more than 4", got, err)
	}
}
