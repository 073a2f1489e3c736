package booking_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

const (
	// pageOfJob is the number of bookings that a job cancels before it saves its position.
	pageOfJob = 128
	// leaseOfJob is how long a claim keeps other processes away from a job.
	leaseOfJob = 30 * time.Second
)

var errDown = errors.New("down")

// jobFixture is several processes of the booking app that share a store, with an event app
// and a bus. It is safe for concurrent use.
type jobFixture struct {
	t     *testing.T
	store *bookingtest.Store

	mu         sync.Mutex
	now        time.Time
	ids        int
	released   map[string]int // how often each hold was released
	releases   int            // calls of ReleaseSeats
	published  []string       // bookings whose facts were published by jobs
	paced      int            // bookings that jobs have waited for
	releaseErr error          // the result of every release
	publishErr error          // the result of every publish
	// event is what the event app says about an event; nil says that it is cancelled.
	event func(id string) (eventapi.Event, error)
}

func newJobFixture(t *testing.T) *jobFixture {
	return &jobFixture{
		t: t, store: bookingtest.NewStore(), now: time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC), released: map[string]int{},
	}
}

// process returns a new process. Its store calls gate before each operation; gate may be
// nil.
func (f *jobFixture) process(gate bookingtest.Gate) *booking.Service {
	store := f.store
	if gate != nil {
		store = store.WithGate(gate)
	}
	return f.processOver(store, store)
}

// processOver returns a new process. Its jobs write bookings to unpublished.
func (f *jobFixture) processOver(store *bookingtest.Store, unpublished booking.Store) *booking.Service {
	jobs := bookingtest.CancellationConfig(store)
	jobs.Unpublished, jobs.Publisher, jobs.Pacer, jobs.Parallel = unpublished, f, f, 8
	return booking.New(booking.Config{
		Store: store, Finder: store, Cancellations: jobs, Seats: f, Events: f, Locks: bookingtest.NoLocks{}, Clock: f, IDs: f,
		TTL: ttl, MaxPerBooking: 10, SweepParallel: 1, Observer: bookingtest.NoObserver{},
	})
}

func (f *jobFixture) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *jobFixture) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *jobFixture) NewID() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids++
	return fmt.Sprintf("id-%d", f.ids)
}

func (f *jobFixture) ReserveSeats(context.Context, eventapi.ReserveRequest) (eventapi.Reservation, error) {
	return eventapi.Reservation{UnitPrice: contract.Money{Amount: 2500, Currency: "EUR"}}, nil
}

func (f *jobFixture) ReleaseSeats(_ context.Context, reqs []eventapi.ReleaseRequest) []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.releases++
	errs := make([]error, len(reqs))
	for i, req := range reqs {
		if errs[i] = f.releaseErr; errs[i] == nil {
			f.released[req.HoldID]++
		}
	}
	return errs
}

func (f *jobFixture) SellSeats(_ context.Context, reqs []eventapi.SellRequest) []error {
	return make([]error, len(reqs))
}

func (f *jobFixture) GetEvent(_ context.Context, id string) (eventapi.Event, error) {
	if f.event != nil {
		return f.event(id)
	}
	return eventapi.Event{ID: id, Status: eventapi.StatusCancelled}, nil
}

// PublishFacts fails the test if the seats of a booking have not been released yet: the
// event app's consumer would have to release them one by one.
func (f *jobFixture) PublishFacts(_ context.Context, bookingIDs []string) error {
	contents := f.store.Contents()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range bookingIDs {
		if f.releaseErr == nil && f.released[contents[id].HoldID] == 0 {
			f.t.Errorf("the fact of booking %s is published before its seats are released", id)
		}
	}
	if f.publishErr == nil {
		f.published = append(f.published, bookingIDs...)
	}
	return f.publishErr
}

// Wait lets four milliseconds pass for each booking.
func (f *jobFixture) Wait(ctx context.Context, n int) error {
	f.advance(time.Duration(n) * 4 * time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paced += n
	return ctx.Err()
}

// book creates n bookings of an event and confirms every third of them. It returns their
// ids.
func (f *jobFixture) book(eventID string, n int) []string {
	f.t.Helper()
	svc, ids := f.process(nil), make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%05d-%s", eventID, i, f.NewID())
		_, err := svc.CreateBooking(f.t.Context(), bookingapi.CreateRequest{BookingID: ids[i], UserID: "u1", EventID: eventID, Quantity: 2})
		if err == nil && i%3 == 0 {
			_, err = svc.ConfirmBooking(f.t.Context(), bookingapi.ConfirmRequest{BookingID: ids[i], UserID: "u1"})
		}
		if err != nil {
			f.t.Fatalf("book: %v", err)
		}
	}
	return ids
}

// eventCancelled delivers the fact that an event was cancelled to a process.
func (f *jobFixture) eventCancelled(svc *booking.Service, eventID string) {
	f.t.Helper()
	if err := svc.OnEventCancelled(f.t.Context(), eventapi.Fact{Resource: eventapi.Event{ID: eventID}}); err != nil {
		f.t.Errorf("event cancelled: %v", err)
	}
}

// wantWorked lets a process work on due jobs, and checks the error.
func (f *jobFixture) wantWorked(what string, svc *booking.Service, want error) {
	f.t.Helper()
	if err := svc.ContinueCancellations(f.t.Context()); !errors.Is(err, want) || want == nil && err != nil {
		f.t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// wantCancelled checks how many bookings of an event are cancelled with it, and that each
// of them has exactly one fact about that.
func (f *jobFixture) wantCancelled(what, eventID string, want int) {
	f.t.Helper()
	got, facts := 0, map[string]int{}
	for _, fact := range f.store.Unsent() {
		if fact.Type == bookingapi.FactCancelled {
			facts[fact.Subject]++
		}
	}
	for id, b := range f.store.Contents() {
		if b.EventID != eventID || b.State != booking.Cancelled {
			continue
		}
		got++
		if b.CancelReason != booking.ByEventCancelled || facts[id] != 1 {
			f.t.Errorf("%s: booking %s is cancelled by %q and has %d facts about it, want event_cancelled and one", what, id, b.CancelReason, facts[id])
		}
	}
	if got != want {
		f.t.Errorf("%s: got %d cancelled bookings, want %d", what, got, want)
	}
}

// wantDone checks whether the job of an event is done. A job that is done is never due, and
// is purged after a week.
func (f *jobFixture) wantDone(what, eventID string, want bool) {
	f.t.Helper()
	c, ok := f.store.Cancellations()[eventID]
	purgeAt, isDone := c.PurgeAt()
	if !ok || isDone != want || c.Due.IsZero() != want || want && !purgeAt.Equal(c.DoneAt.Add(7*24*time.Hour)) {
		f.t.Errorf("%s: got job %+v, purge at %s, want done %v", what, c, purgeAt, want)
	}
}
