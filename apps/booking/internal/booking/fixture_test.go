package booking_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/apps/booking/bookingtest"
	"boxoffice/apps/booking/internal/booking"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

const ttl = 15 * time.Minute

var (
	errHoldReleased = apperr.New(apperr.Conflict, eventapi.ReasonHoldDead, "")
	errSoldOut      = apperr.New(apperr.Conflict, eventapi.ReasonSoldOut, "No tickets are left.")
	errLimit        = apperr.New(apperr.Conflict, eventapi.ReasonLimitExceeded, "")
	errUnknown      = apperr.TimedOut(nil)
	errSuperseded   = apperr.New(apperr.Unavailable, "", "")
)

// fixture is a service with a store in memory and a scripted event app. It
// implements the ports that are not stores.
type fixture struct {
	t *testing.T
	*booking.Service
	store *bookingtest.Store
	now   time.Time
	ids   int

	// calls are the calls to the store and the event app since the last wantCalls.
	calls []string
	// onReserve is called by every reserve and returns its result. If it is nil, every
	// reserve succeeds.
	onReserve func(holdID string) error
	// onRelease is the result of every release.
	onRelease error
	// releaseErrs are the results of releases in certain events, by event.
	releaseErrs map[string]error
	released    []string // ids of the holds that were released
	releases    int      // calls of ReleaseSeats
	sold        []string // ids of the holds that were sold
	// releaseRequests are the requests of all calls of ReleaseSeats.
	releaseRequests []eventapi.ReleaseRequest
	onSell          func()           // is called by the next SellSeats; may be nil
	fail            map[string]error // the results of store operations that fail, by name
	backlog         []string         // the reports of ObserveBacklog
	event           eventapi.Event
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, now: time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)}
	f.event = eventapi.Event{ID: "gala", Status: eventapi.StatusPublished, StartsAt: contract.At(f.now.Add(48 * time.Hour))}
	f.store = bookingtest.NewStore()
	logged := f.store.WithGate(func(op string) (before, after error) {
		f.calls = append(f.calls, op)
		return f.fail[op], nil
	})
	f.Service = booking.New(booking.Config{
		Store: logged, Finder: logged, Cancellations: bookingtest.CancellationConfig(logged), Seats: f, Events: f, Locks: bookingtest.NoLocks{}, Clock: f, IDs: f,
		TTL: ttl, MaxPerBooking: 10, SweepParallel: 1, Observer: f,
	})
	return f
}

func (f *fixture) Now() time.Time { return f.now }

func (f *fixture) NewID() string {
	f.ids++
	return fmt.Sprintf("id-%d", f.ids)
}

func (f *fixture) ReserveSeats(_ context.Context, req eventapi.ReserveRequest) (eventapi.Reservation, error) {
	f.calls = append(f.calls, "reserve")
	if f.onReserve != nil {
		if err := f.onReserve(req.HoldID); err != nil {
			return eventapi.Reservation{}, err
		}
	}
	return eventapi.Reservation{UnitPrice: contract.Money{Amount: 2500, Currency: "EUR"}}, nil
}

func (f *fixture) ReleaseSeats(_ context.Context, reqs []eventapi.ReleaseRequest) []error {
	f.calls = append(f.calls, "release")
	f.releases++
	f.releaseRequests = append(f.releaseRequests, reqs...)
	errs := make([]error, len(reqs))
	for i, req := range reqs {
		f.released = append(f.released, req.HoldID)
		errs[i] = f.onRelease
		if err, ok := f.releaseErrs[req.EventID]; ok {
			errs[i] = err
		}
		if req.EventID != reqs[0].EventID || len(reqs) > eventapi.MaxReserves {
			f.t.Errorf("got %d releases, one of them of event %s and one of %s, want at most %d of one event",
				len(reqs), reqs[0].EventID, req.EventID, eventapi.MaxReserves)
		}
	}
	return errs
}

// SellSeats has the same result as ReleaseSeats.
func (f *fixture) SellSeats(_ context.Context, reqs []eventapi.SellRequest) []error {
	f.calls = append(f.calls, "sell")
	if f.onSell != nil {
		f.onSell()
	}
	errs := make([]error, len(reqs))
	for i, req := range reqs {
		f.sold = append(f.sold, req.HoldID)
		errs[i] = f.onRelease
	}
	return errs
}

func (f *fixture) ObserveBacklog(_ context.Context, kind string, age time.Duration) {
	f.backlog = append(f.backlog, kind+" "+age.String())
}

func (f *fixture) GetEvent(context.Context, string) (eventapi.Event, error) {
	f.calls = append(f.calls, "event")
	return f.event, nil
}

// request returns a request to create a booking of the gala. Without a key the booking
// gets the id "own-id".
func request(key string, quantity int64) bookingapi.CreateRequest {
	return bookingapi.CreateRequest{BookingID: "own-id", IdempotencyKey: key, UserID: "u1", EventID: "gala", Quantity: quantity}
}

// book creates a booking. It fails the test if the create fails.
func (f *fixture) book(req bookingapi.CreateRequest) bookingapi.Created {
	f.t.Helper()
	created, err := f.CreateBooking(f.t.Context(), req)
	if err != nil {
		f.t.Fatalf("create: %v", err)
	}
	return created
}

// wantErr checks an error with errors.Is.
func (f *fixture) wantErr(what string, got, want error) {
	f.t.Helper()
	if !errors.Is(got, want) {
		f.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// wantCalls checks the calls since the last check.
func (f *fixture) wantCalls(what string, want ...string) {
	f.t.Helper()
	if !slices.Equal(f.calls, want) {
		f.t.Errorf("%s: got calls %v, want %v", what, f.calls, want)
	}
	f.calls = nil
}

// record returns the record with this id, or the zero Booking if there is none.
func (f *fixture) record(id string) booking.Booking { return f.store.Contents()[id] }

// wantFacts checks the types of all facts in the outboxes, without their prefix
// "booking.".
func (f *fixture) wantFacts(what string, want ...string) {
	f.t.Helper()
	var got []string
	for _, fact := range f.store.Unsent() {
		got = append(got, strings.TrimPrefix(fact.Type, "booking."))
	}
	if !slices.Equal(got, want) {
		f.t.Errorf("%s: got facts %v, want %v", what, got, want)
	}
}

// invalidFields returns the fields of an apperr.Invalid error, as field:code.
func invalidFields(err error) []string {
	e, ok := errors.AsType[*apperr.Error](err)
	if !ok || e.Code != apperr.Invalid {
		return nil
	}
	var fields []string
	for _, f := range e.Fields {
		fields = append(fields, f.Field+":"+f.Code)
	}
	return fields
}

// getAsOwner returns a request to get a booking, sent by the owner of the fixture's
// bookings.
func getAsOwner(id string) bookingapi.GetRequest {
	return bookingapi.GetRequest{BookingID: id, UserID: "u1"}
}
