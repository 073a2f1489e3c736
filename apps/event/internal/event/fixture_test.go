package event_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

const settleAfter = time.Minute

// fixture is a service without batches over a store in memory. A test sets its clock and
// the answers of the booking app.
type fixture struct {
	t *testing.T
	*event.Service
	store *eventtest.Store
	now   time.Time
	ids   int

	ops         []string                         // of the store, since ops was last cleared
	onOp        func(op string)                  // called before each operation
	settlements map[string]bookingapi.Settlement // a hold without one is dead
	asked       []string                         // the holds that SettleHolds was called for
	settleCalls int                              // calls of SettleHolds
	unsettled   map[string]error                 // results of SettleHolds, by hold
	settleErr   error                            // returned by SettleHolds
	backlog     []string                         // the reports of ObserveBacklog that are not zero
	copies      copies

	live    map[string]bookingapi.LiveBooking // returned by ReconcileBookings, by hold
	reports []eventapi.Reconciliation         // passed to ReportDrift
	counted []event.Compared                  // passed to CountComparison
	onWait  func()                            // called between two comparisons
}

// copies is an event.Cache without expiry.
type copies map[string]eventapi.Versioned

func (c copies) PutEvent(_ context.Context, e eventapi.Versioned, _ time.Duration) error {
	c[e.Event.ID] = e
	return nil
}

func (c copies) GetEvent(_ context.Context, id string) (eventapi.Versioned, error) {
	e, ok := c[id]
	if !ok {
		return e, event.ErrNoEvent
	}
	return e, nil
}

func (c copies) DropEvent(_ context.Context, id string) error {
	delete(c, id)
	return nil
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, now: time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC), settlements: map[string]bookingapi.Settlement{}, copies: copies{}}
	f.store = eventtest.NewStore()
	f.restart()
	return f
}

// restart replaces the service with a new one over the same store.
func (f *fixture) restart() {
	gated := f.store.WithGate(func(op string) (before, after error) {
		f.ops = append(f.ops, op)
		if f.onOp != nil {
			f.onOp(op)
		}
		return nil, nil
	})
	f.Service = event.New(event.Config{
		Events: gated, Catalogue: gated, Holds: gated, Limits: gated, Log: gated, Bookings: f,
		Cache: f.copies, Locks: eventtest.Unlocked{}, Batches: eventtest.Unbatched{}, Clock: f, IDs: f, HoldSettleAfter: settleAfter,
		Both: eventtest.InOrder, Drifts: f, Observer: f, SweepParallel: 1, Wait: f.wait,
	})
}

func (f *fixture) Now() time.Time { return f.now }

func (f *fixture) NewID() string {
	f.ids++
	return fmt.Sprintf("id-%d", f.ids)
}

func (f *fixture) SettleHolds(_ context.Context, holdIDs []string) ([]rpc.Result[bookingapi.Settlement], error) {
	f.settleCalls++
	f.asked = append(f.asked, holdIDs...)
	results := make([]rpc.Result[bookingapi.Settlement], len(holdIDs))
	for i, id := range holdIDs {
		results[i] = rpc.Result[bookingapi.Settlement]{Data: f.settlements[id], Err: f.unsettled[id]}
	}
	return results, f.settleErr
}

func (f *fixture) ObserveBacklog(_ context.Context, kind string, age time.Duration) {
	if age > 0 {
		f.backlog = append(f.backlog, kind+" "+age.String())
	}
}

// define returns a definition with the required fields and capacity 10, changed by change.
func (f *fixture) define(change func(*eventapi.Definition)) eventapi.Definition {
	d := eventapi.Definition{
		Name: "Gala", StartsAt: contract.At(f.now.Add(48 * time.Hour)), EndsAt: contract.At(f.now.Add(50 * time.Hour)), Capacity: 10,
	}
	if change != nil {
		change(&d)
	}
	return d
}

// createGala creates the event "gala" with the definition that define returns for change.
func (f *fixture) createGala(change func(*eventapi.Definition)) {
	f.t.Helper()
	if _, err := f.CreateEvent(f.t.Context(), eventapi.CreateRequest{EventID: "gala", OrganizerID: "admin", Event: f.define(change)}); err != nil {
		f.t.Fatalf("create: %v", err)
	}
	f.ops = nil
}

func (f *fixture) hold(id, user string, quantity int64) eventapi.ReserveRequest {
	return eventapi.ReserveRequest{
		HoldID: id, EventID: "gala", UserID: user, Quantity: quantity, ExpiresAt: contract.At(f.now.Add(15 * time.Minute)),
	}
}

// reserve reserves a hold, which must succeed.
func (f *fixture) reserve(id, user string, quantity int64) {
	f.t.Helper()
	if _, err := eventtest.Reserve(f.t.Context(), f.Service, f.hold(id, user, quantity)); err != nil {
		f.t.Fatalf("reserve %s: %v", id, err)
	}
}

func (f *fixture) release(id, user string, quantity int64) {
	f.t.Helper()
	err := eventtest.Release(f.t.Context(), f.Service, eventapi.ReleaseRequest{HoldID: id, EventID: "gala", UserID: user, Quantity: quantity})
	f.wantErr("release "+id, err, nil)
}

// wantErr checks that got matches want.
func (f *fixture) wantErr(what string, got, want error) {
	f.t.Helper()
	if !errors.Is(got, want) {
		f.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// wantSeats checks the counters of the seats.
func (f *fixture) wantSeats(what string, available, held, sold int64) {
	f.t.Helper()
	s := f.store.Contents().Events["gala"].Seats
	if s.Available != available || s.Held != held || s.Sold != sold {
		f.t.Errorf("%s: got available %d, held %d, sold %d, want %d, %d, %d", what, s.Available, s.Held, s.Sold, available, held, sold)
	}
}

// wantState checks the state of a hold's document.
func (f *fixture) wantState(what, id string, want event.HoldState) {
	f.t.Helper()
	if got := f.store.Contents().Holds[id].State; got != want {
		f.t.Errorf("%s: hold %s: got state %q, want %q", what, id, got, want)
	}
}

// wantUsed checks the number of tickets that a user's limit counts.
func (f *fixture) wantUsed(what, user string, want int64) {
	f.t.Helper()
	if got := f.store.Contents().Limits[event.LimitKey{EventID: "gala", UserID: user}].Used; got != want {
		f.t.Errorf("%s: limit of %s: got %d used, want %d", what, user, got, want)
	}
}

// wantOps checks the operations in f.ops and clears f.ops.
func (f *fixture) wantOps(what string, want ...string) {
	f.t.Helper()
	if !slices.Equal(f.ops, want) {
		f.t.Errorf("%s: got operations %v, want %v", what, f.ops, want)
	}
	f.ops = nil
}

// OnBookingConfirmed handles a fact of a confirmed booking.
func (f *fixture) OnBookingConfirmed(ctx context.Context, fact bookingapi.Fact) error {
	f.confirmed(fact)
	return f.Service.OnBookingConfirmed(ctx, fact)
}

// OnBookingCancelled handles a fact of a cancelled booking.
func (f *fixture) OnBookingCancelled(ctx context.Context, fact bookingapi.Fact) error {
	f.ended(fact)
	return f.Service.OnBookingCancelled(ctx, fact)
}

// OnBookingExpired handles a fact of an expired booking.
func (f *fixture) OnBookingExpired(ctx context.Context, fact bookingapi.Fact) error {
	f.ended(fact)
	return f.Service.OnBookingExpired(ctx, fact)
}

// confirmed makes the booking app say that the booking of a fact is confirmed.
func (f *fixture) confirmed(fact bookingapi.Fact) {
	if s := f.settlements[fact.Resource.HoldID]; !s.Confirmed { // a cancelled booking is not confirmed again
		f.settlements[fact.Resource.HoldID] = bookingapi.Settlement{Live: true, Confirmed: true}
	}
}

// ended makes the booking app say that the booking of a fact is not live.
func (f *fixture) ended(fact bookingapi.Fact) {
	s := f.settlements[fact.Resource.HoldID]
	s.Live = false
	f.settlements[fact.Resource.HoldID] = s
}

// fact returns a fact of the booking app about a hold.
func (f *fixture) fact(holdID, user string, quantity int64) bookingapi.Fact {
	return bookingapi.Fact{Resource: bookingapi.Resource{
		HoldID:  holdID,
		Booking: bookingapi.Booking{EventID: "gala", UserID: user, Quantity: quantity, ExpiresAt: contract.At(f.now.Add(15 * time.Minute))},
	}}
}

// invalidFields returns the fields that an error reports as invalid, each as field:code.
func invalidFields(err error) []string {
	e, ok := errors.AsType[*apperr.Error](err)
	if !ok || e.Code != apperr.Invalid {
		return nil
	}
	var fields []string
	for _, f := range e.Fields {
		fields = append(fields, f.Field+":"+f.Code)
	}
	slices.Sort(fields)
	return fields
}

func ptr[T any](v T) *T { return &v }
