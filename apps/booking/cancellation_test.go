package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/apps/booking/internal/mongobookings"
	"boxoffice/shared/app"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/outbox"
	"boxoffice/shared/page"
	"boxoffice/test/kit"
	"boxoffice/test/servers"
)

// largeEvent returns the number of bookings of the event that the test cancels.
func largeEvent() int {
	if os.Getenv("BOXOFFICE_LONG") != "" {
		return 100_000
	}
	return 2_000
}

// hall is an event app and a bus. It records what it is asked to release and to publish.
type hall struct {
	mu       sync.Mutex
	releases int            // calls of ReleaseSeats
	released map[string]int // how often each hold was released
	// jobFacts is the number of published facts about cancelled bookings.
	jobFacts int
	// published is the value of jobFacts when the booking's confirmation was published.
	published map[string]int
}

func (h *hall) ReserveSeats(context.Context, eventapi.ReserveRequest) (eventapi.Reservation, error) {
	return eventapi.Reservation{UnitPrice: contract.Money{Amount: 2500, Currency: "EUR"}}, nil
}

func (h *hall) SellSeats(_ context.Context, reqs []eventapi.SellRequest) []error {
	return make([]error, len(reqs))
}

func (h *hall) ReleaseSeats(_ context.Context, reqs []eventapi.ReleaseRequest) []error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.releases++
	for _, req := range reqs {
		h.released[req.HoldID]++
	}
	return make([]error, len(reqs))
}

func (h *hall) GetEvent(_ context.Context, id string) (eventapi.Event, error) {
	if id != "gala" {
		return eventapi.Event{}, errors.New("only the cancelled event is asked about")
	}
	return eventapi.Event{ID: id, Status: eventapi.StatusCancelled}, nil
}

// Publish implements outbox.Publisher.
func (h *hall) Publish(_ context.Context, r outbox.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch r.Type {
	case bookingapi.FactCancelled:
		h.jobFacts++
	case bookingapi.FactConfirmed:
		h.published[r.Subject] = h.jobFacts
	}
	return nil
}

func (h *hall) factsOfJob() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.jobFacts
}

// replica is a process of the booking app without its sidecar.
type replica struct {
	*booking.Service
	store *mongobookings.Store
}

// startReplica starts a process that works on cancellations. It stops with the test.
func (h *hall) startReplica(t *testing.T, db servers.Mongo) replica {
	t.Helper()
	store, err := mongobookings.Open(mongobookings.Config{URI: db.URI, Database: db.Database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close(context.WithoutCancel(t.Context())) })
	if err := store.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	relay := outbox.New(outbox.Config{Store: store.Outbox(), Publisher: h, Now: app.Clock{}.Now, Log: slog.New(slog.DiscardHandler)})
	svc := booking.New(booking.Config{
		Store: enqueuingStore{store, relay}, Finder: store,
		Cancellations: booking.CancellationConfig{
			Jobs: store, Unpublished: store, Publisher: publisher{relay}, Pacer: newPacer(1_000_000), Parallel: cancellationParallel,
			Trace: func(ctx context.Context, _ string) (context.Context, func()) { return ctx, func() {} },
		},
		Seats: h, Events: h, Locks: bookingtest.NoLocks{}, Clock: app.Clock{}, IDs: app.IDs{}, Cursors: page.NewCursors("test"),
		TTL: time.Hour, MaxPerBooking: 10,
	})
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() { _ = relay.Run(ctx) })
	wg.Go(func() {
		_ = svc.RunCancellations(ctx, func(_ context.Context, err error) { t.Errorf("job: %v", err) })
	})
	t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	return replica{svc, store}
}

// insertBookings inserts n live bookings of an event, without facts. Every second one is
// confirmed.
func insertBookings(t *testing.T, store *mongobookings.Store, eventID string, n int) {
	t.Helper()
	const writers = 32
	kit.Concurrently(writers, func(writer int) {
		for i := writer; i < n; i += writers {
			b := bookingtest.PendingBooking(fmt.Sprintf("b%06d", i))
			b.EventID, b.UserID, b.ExpiresAt = eventID, fmt.Sprint("u", i), time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
			if i%2 == 0 {
				b.State = booking.Confirmed
			}
			if err := store.InsertBooking(t.Context(), b); err != nil {
				t.Error(err)
				return
			}
		}
	})
}

// TestLargeEventIsCancelledWhileAnotherSells runs two processes over one database. While
// they cancel the bookings of an event, users book and confirm seats of another one. The
// facts of the other event must not wait behind those of the cancelled one.
func TestLargeEventIsCancelledWhileAnotherSells(t *testing.T) {
	many := largeEvent()
	db := servers.StartMongo(t)
	h := &hall{released: map[string]int{}, published: map[string]int{}}
	first, second := h.startReplica(t, db), h.startReplica(t, db)
	insertBookings(t, first.store, "gala", many)
	if t.Failed() {
		return
	}

	began := time.Now()
	for _, r := range []replica{first, second} { // the fact is delivered twice
		if err := r.OnEventCancelled(t.Context(), eventapi.Fact{Resource: eventapi.Event{ID: "gala"}}); err != nil {
			t.Fatal(err)
		}
	}
	delivered := time.Since(began)
	isDone := func() bool {
		c, err := first.store.GetCancellation(t.Context(), "gala")
		return err == nil && !c.DoneAt.IsZero()
	}
	confirmed := map[string]int{} // the facts of the job that were published when the booking was confirmed
	for i := 0; !isDone() && !t.Failed(); i++ {
		id := fmt.Sprintf("other%d", i)
		confirmed[id] = sell(t, h, second, id)
		if time.Since(began) > 10*time.Minute {
			t.Fatal("the job has not ended after 10 minutes")
		}
	}
	took := time.Since(began)
	kit.Eventually(t, timeout, "all confirmations are published", func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.published) != len(confirmed) {
			return fmt.Errorf("got %d, want %d", len(h.published), len(confirmed))
		}
		return nil
	})

	live, err := first.store.LiveBookings(t.Context(), "gala", "", 1)
	if err != nil || len(live) != 0 {
		t.Errorf("got live bookings %v, %v, want none", live, err)
	}
	c, err := first.store.GetCancellation(t.Context(), "gala")
	if err != nil || c.Cancelled != int64(many) {
		t.Errorf("got job %+v, %v, want %d bookings", c, err, many)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.jobFacts != many || len(h.released) != many {
		t.Errorf("got %d facts and %d released holds, want %d of each", h.jobFacts, len(h.released), many)
	}
	for id, n := range h.released {
		if n != 1 {
			t.Errorf("hold %s was released %d times, want once", id, n)
		}
	}
	worst := 0
	for id, before := range confirmed {
		worst = max(worst, h.published[id]-before)
	}
	if limit := 2 * 4 * eventapi.MaxReserves; worst > limit {
		t.Errorf("a confirmation was published after %d facts of the job that followed it, want at most %d", worst, limit)
	}
	if len(confirmed) == 0 {
		t.Error("the other event sold nothing during the job")
	}
	t.Logf("%d bookings in %s (%.0f/s), %d calls of ReleaseSeats; the two deliveries of the fact took %s; the other event sold %d tickets, the most facts in front of a confirmation were %d",
		many, took.Round(time.Millisecond), float64(many)/took.Seconds(), h.releases, delivered.Round(time.Millisecond), len(confirmed), worst)
}

// sell creates and confirms a booking of the other event. It returns the number of facts
// of the job that were published before the confirmation.
func sell(t *testing.T, h *hall, r replica, id string) int {
	t.Helper()
	_, err := r.CreateBooking(t.Context(), bookingapi.CreateRequest{BookingID: id, UserID: "u1", EventID: "other", Quantity: 1})
	if err != nil {
		t.Fatal(err)
	}
	before := h.factsOfJob()
	b, err := r.ConfirmBooking(t.Context(), bookingapi.ConfirmRequest{BookingID: id, UserID: "u1"})
	if err != nil || b.Status != bookingapi.StatusConfirmed {
		t.Fatalf("confirm: got %+v, %v", b, err)
	}
	return before
}
