package fault_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// TestKilledCancellationContinues cancels an event with bookings, and kills the booking app
// while it cancels them. Another event sells all the time. In the end every booking of the
// cancelled event must be cancelled, and every seat must be free.
func TestKilledCancellationContinues(t *testing.T) {
	s := start(t, stack.Options{Data: t.TempDir(), Env: append(fastExpiryEnv(),
		"BOOKING_TTL=15m", "CANCELLATION_RATE=50")}) // slow enough to be killed in the middle
	t.Cleanup(func() { stop(t, s) })
	const users, each = 10, 30
	cancelled, sold := s.CreateEvent(t, users*each), s.CreateEvent(t, 100_000)
	bookAll(t, s, cancelled, users, each)

	c := newCrowd(t, s, 4, []string{sold})
	stopBooking := c.startBooking(t)
	admin, _ := s.Admin(t)
	var event eventapi.Event
	admin.Do(t, "POST", "/api/events/"+cancelled+"/cancel", nil).Want(t, 200, &event)
	if p := event.Cancellation; p == nil || p.Total != users*each || p.Done != 0 {
		t.Errorf("got progress %+v, want 0 of %d", p, users*each)
	}
	progress := func() eventapi.Cancellation {
		var e eventapi.Event
		admin.Do(t, "GET", "/api/events/"+cancelled, nil).Want(t, 200, &e)
		if e.Cancellation == nil {
			t.Fatalf("got event %+v without the progress of its cancellation", e)
		}
		return *e.Cancellation
	}
	kit.Eventually(t, stack.WaitTimeout, "the first bookings are cancelled", func() bool { return progress().Done > 0 })
	if p := progress(); p.Done == p.Total {
		t.Fatal("the cancellation ended before the booking app could be killed")
	}
	awaitRestart := kill(t, s, "booking")
	if res := s.Guest().Do(t, "GET", "/api/events/"+cancelled, nil); strings.Contains(res.Text, `"cancellation"`) {
		t.Errorf("guests see the progress: %s", res.Text)
	}
	awaitRestart()
	c.awaitBookings(t, 5)
	kit.Eventually(t, 2*stack.WaitTimeout, "all bookings are cancelled", func() error {
		if p := progress(); p.Done != p.Total || p.Total != users*each {
			return fmt.Errorf("got %d of %d", p.Done, p.Total)
		}
		return nil
	})
	stopBooking()
	awaitInvariants(t, s, []string{sold}, c.ledger)
	awaitInvariants(t, s, []string{cancelled}, nil)
	state := readState(t, s, cancelled)
	if n := state.Events[cancelled].Seats; n.Available != users*each || n.Live != 0 {
		t.Errorf("got seats %+v, want all %d free", n, users*each)
	}
	for id, b := range state.Bookings {
		if b.State != bookingapi.StatusCancelled {
			t.Errorf("booking %s is %s, want it cancelled", id, b.State)
		}
	}
	if len(state.Bookings) != users*each {
		t.Errorf("got %d bookings, want %d", len(state.Bookings), users*each)
	}
}

// bookAll lets users book one seat of an event, each of them several times. They confirm
// every second booking.
func bookAll(t *testing.T, s *stack.Stack, eventID string, users, each int) {
	t.Helper()
	clients := make([]stack.Client, users)
	for i := range clients {
		clients[i], _ = s.Register(t)
	}
	kit.Concurrently(users, func(user int) {
		for i := range each {
			res, err := clients[user].TryBook(t.Context(), eventID, 1, "")
			if err != nil || res.StatusCode != 201 {
				t.Errorf("book: got %d %s, %v, want 201", res.StatusCode, res.Text, err)
				return
			}
			var b bookingapi.Booking
			if err := json.Unmarshal([]byte(res.Text), &b); err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				continue
			}
			if res, err = clients[user].Try(t.Context(), "POST", "/api/bookings/"+b.ID+"/confirm", nil); err != nil || res.StatusCode != 200 {
				t.Errorf("confirm: got %d %s, %v, want 200", res.StatusCode, res.Text, err)
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
}
