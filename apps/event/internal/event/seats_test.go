package event_test

import (
	"testing"
	"time"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

func TestReserveCosts(t *testing.T) {
	f := newFixture(t)
	f.open(nil)
	f.reserve("a_1_x", "u1", 2)
	f.cost("reserve", "events.read", "holds.read", "events.seats", "holds.insert")
	f.reserve("a_1_x", "u1", 2)
	f.cost("reserve again", "events.read", "holds.read")
	f.reserve("b_1_x", "u1", 8)
	f.ops = nil
	_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("c_1_x", "u1", 1))
	f.is("sold out", err, event.ErrSoldOut)
	f.cost("sold out", "events.read", "holds.read")
	f.release("a_1_x", "u1", 2)
	f.cost("release", "events.read", "holds.read", "events.seats", "holds.move")
	f.release("a_1_x", "u1", 2)
	f.cost("release again", "events.read", "holds.read")
	f.is("sell", f.OnBookingConfirmed(t.Context(), f.fact("b_1_x", "u1", 8)), nil)
	f.cost("sell", "events.read", "holds.read", "events.seats", "holds.move")
	f.seats("in the end", 2, 0, 8)
	if marks := f.store.Contents().Events["gala"].Seats.Marks; len(marks) != 1 {
		t.Errorf("%d marks are left, want that of the last move", len(marks))
	}
}

func TestReserveUnderALimitCosts(t *testing.T) {
	f := newFixture(t)
	f.open(func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(3)) })
	f.reserve("a_1_x", "u1", 2)
	f.cost("reserve", "events.read", "holds.read", "limits.claim", "events.seats", "holds.insert")
	_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("b_1_x", "u1", 2))
	f.is("too many", err, event.ErrLimitExceeded)
	f.cost("too many", "events.read", "holds.read", "limits.claim")
	f.release("a_1_x", "u1", 2)
	f.cost("release", "events.read", "holds.read", "events.seats", "holds.move", "limits.giveback")
	f.used("released", "u1", 0)
	f.reserve("b_1_x", "u1", 3)
	f.reserve("c_1_x", "u2", 3)
	f.reserve("d_1_x", "u3", 3)
	f.ops = nil
	_, err = eventtest.Reserve(t.Context(), f.Service, f.hold("e_1_x", "u4", 2))
	f.is("sold out", err, event.ErrSoldOut)
	f.cost("sold out", "events.read", "holds.read", "limits.read")
}

// Of several refusals the first of: not found, cancelled, started, not on sale,
// limit exceeded, sold out.
func TestReserveRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		define func(f *fixture, d *eventapi.Definition)
		before func(f *fixture)
		want   error
	}{
		{"a draft", func(_ *fixture, d *eventapi.Definition) { d.Status = ptr("draft") }, nil, event.ErrNotFound},
		{"a deleted one", nil, func(f *fixture) {
			_, err := f.DeleteEvent(f.t.Context(), eventapi.GetRequest{EventID: "gala"})
			f.is("delete", err, nil)
		}, event.ErrNotFound},
		{"cancelled and started", nil, func(f *fixture) {
			_, err := f.CancelEvent(f.t.Context(), eventapi.GetRequest{EventID: "gala"})
			f.is("cancel", err, nil)
			f.now = f.now.Add(49 * time.Hour)
		}, event.ErrCancelled},
		{"started, sales over", func(f *fixture, d *eventapi.Definition) { d.SalesEndAt = ptr(contract.At(f.now)) },
			func(f *fixture) { f.now = f.now.Add(48 * time.Hour) }, event.ErrStarted},
		{"before sales", func(f *fixture, d *eventapi.Definition) { d.SalesStartAt = ptr(contract.At(f.now.Add(1))) },
			func(f *fixture) { f.now = f.now.Add(-time.Millisecond) }, event.ErrNotOnSale},
		{"after sales, over the limit", func(f *fixture, d *eventapi.Definition) {
			d.SalesEndAt, d.MaxPerUser = ptr(contract.At(f.now)), ptr(int64(1))
		}, nil, event.ErrNotOnSale},
		{"over the limit and sold out", func(_ *fixture, d *eventapi.Definition) {
			d.Capacity, d.MaxPerUser = 2, ptr(int64(3))
		}, func(f *fixture) { f.reserve("first_1_x", "u1", 2) }, event.ErrLimitExceeded},
		{"sold out", func(_ *fixture, d *eventapi.Definition) { d.Capacity = 1 }, nil, event.ErrSoldOut},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.open(func(d *eventapi.Definition) {
				if tt.define != nil {
					tt.define(f, d)
				}
			})
			if tt.before != nil {
				tt.before(f)
			}
			writes := f.store.Writes()
			_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("a_1_x", "u1", 2))
			f.is("reserve", err, tt.want)
			if f.store.Writes() != writes {
				t.Error("something was written")
			}
		})
	}
	f := newFixture(t)
	_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("a_1_x", "u1", 2))
	f.is("no event", err, event.ErrNotFound)
}

func TestReserveKeepsThePrice(t *testing.T) {
	f := newFixture(t)
	f.open(func(d *eventapi.Definition) { d.Price = &contract.Money{Amount: 100, Currency: "EUR"} })
	f.reserve("a_1_x", "u1", 1)
	_, err := f.UpdateEvent(t.Context(), eventapi.UpdateRequest{EventID: "gala", Changes: eventapi.Changes{
		Price: contract.Set(contract.Money{Amount: 200, Currency: "EUR"}),
	}})
	f.is("update", err, nil)
	for hold, want := range map[string]int64{"a_1_x": 100, "b_1_x": 200} {
		got, err := eventtest.Reserve(t.Context(), f.Service, f.hold(hold, "u1", 1))
		if err != nil || got.UnitPrice.Amount != want {
			t.Errorf("hold %s: got %v, %v, want %d", hold, got, err, want)
		}
	}
}

func TestSoldOutSaysHowManyAreLeft(t *testing.T) {
	f := newFixture(t)
	f.open(func(d *eventapi.Definition) { d.Capacity = 3 })
	for _, tt := range []struct{ hold, want string }{
		{"a_1_x", "Only 2 tickets are left."}, {"b_1_x", "Only 1 ticket is left."}, {"c_1_x", "No tickets are left."},
	} {
		f.reserve(tt.hold, "u1", 1)
		_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("z"+tt.hold, "u1", 3))
		f.is("too many", err, event.ErrSoldOut)
		if got := message(err); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestReleaseOfAnUnknownHoldKeepsItFromBeingTaken(t *testing.T) {
	f := newFixture(t)
	f.open(nil)
	f.release("a_1_x", "u1", 2)
	f.state("tombstone", "a_1_x", event.Released)
	f.seats("nothing counted", 10, 0, 0)
	_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("a_1_x", "u1", 2))
	f.is("reserve", err, event.ErrHoldDead)
}

// A reserve that was stopped before its write must see the release that came
// between.
func TestReserveMissesAfterARelease(t *testing.T) {
	f := newFixture(t)
	f.open(func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(2)) })
	f.onOp = func(op string) {
		if op == "events.seats" {
			f.onOp = nil
			f.release("a_1_x", "u1", 2)
		}
	}
	_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("a_1_x", "u1", 2))
	f.is("reserve", err, event.ErrHoldDead)
	f.seats("nothing counted", 10, 0, 0)
	f.used("given back", "u1", 0)
}

// A refusal after the claim leaves a tombstone, so that a twin that saw the entry
// fails, and no entry.
func TestRefusalAfterTheClaim(t *testing.T) {
	f := newFixture(t)
	f.open(func(d *eventapi.Definition) { d.Capacity, d.MaxPerUser = 2, ptr(int64(2)) })
	f.onOp = func(op string) {
		if op == "events.seats" {
			f.onOp = nil
			f.reserve("other_1_x", "u2", 1)
		}
	}
	_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("a_1_x", "u1", 2))
	f.is("reserve", err, event.ErrSoldOut)
	f.state("tombstone", "a_1_x", event.Released)
	f.used("given back", "u1", 0)
	f.seats("the other's", 1, 1, 0)
}

func TestFactsHaveOneEffect(t *testing.T) {
	f := newFixture(t)
	f.open(nil)
	f.reserve("a_1_x", "u1", 2)
	f.reserve("b_1_x", "u1", 1)
	ctx := t.Context()
	for range 3 {
		f.is("confirmed", f.OnBookingConfirmed(ctx, f.fact("a_1_x", "u1", 2)), nil)
		f.is("created", f.OnBookingCreated(ctx, f.fact("a_1_x", "u1", 2)), nil)
		f.seats("confirmed", 7, 1, 2)
	}
	for range 3 {
		f.is("cancelled", f.OnBookingCancelled(ctx, f.fact("a_1_x", "u1", 2)), nil)
		f.is("confirmed again", f.OnBookingConfirmed(ctx, f.fact("a_1_x", "u1", 2)), nil)
		f.is("expired", f.OnBookingExpired(ctx, f.fact("b_1_x", "u1", 1)), nil)
		f.seats("cancelled and expired", 10, 0, 0)
	}
	f.is("of an unknown hold", f.OnBookingConfirmed(ctx, f.fact("c_1_x", "u1", 2)), nil)
	f.seats("in the end", 10, 0, 0)
	if !f.store.Contents().Events["gala"].Seats.EverSold {
		t.Error("it does not know that it was sold")
	}
}

func TestReleaseWithoutTheEvent(t *testing.T) {
	f := newFixture(t)
	f.open(func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(2)) })
	f.reserve("a_1_x", "u1", 1)
	f.release("a_1_x", "u1", 1)
	_, err := f.DeleteEvent(t.Context(), eventapi.GetRequest{EventID: "gala"})
	f.is("delete", err, nil)
	f.release("a_1_x", "u1", 1)
	f.release("b_1_x", "u1", 1)
	f.state("ended", "b_1_x", event.Released)
	f.is("confirmed", f.OnBookingConfirmed(t.Context(), f.fact("b_1_x", "u1", 1)), nil)
}

func TestSeatsWriteRefusesWhatContradicts(t *testing.T) {
	s := event.Seats{Capacity: 10, Available: 1, Held: 4, Sold: 5}
	h := func(state event.HoldState, q int64) event.Hold { return event.Hold{ID: "h", Quantity: q, State: state} }
	for _, tt := range []struct {
		name string
		move event.Move
	}{
		{"more than there are", event.Move{To: h(event.Held, 2)}},
		{"more than are held", event.Move{From: event.Held, To: h(event.Sold, 5)}},
		{"more than are sold", event.Move{From: event.Sold, To: h(event.Released, 6)}},
		{"backwards", event.Move{From: event.Sold, To: h(event.Held, 1)}},
		{"on the spot", event.Move{From: event.Held, To: h(event.Held, 1)}},
		{"nothing", event.Move{To: h(event.Held, 0)}},
	} {
		w := s.NewWrite("e")
		if err := w.Add(tt.move); err == nil {
			t.Errorf("%s: got %+v, want an error", tt.name, w)
		}
	}
}

// Many processes leave marks; a move finishes and removes them before they are
// too many.
func TestMarksAreBounded(t *testing.T) {
	f := newFixture(t)
	f.open(func(d *eventapi.Definition) { d.Capacity = 1000 })
	most := 0
	for i := range 300 {
		other := newFixture(t)
		other.now, other.store = f.now, f.store
		svc := event.New(event.Config{
			Events: f.store, Catalogue: f.store, Holds: f.store, Limits: f.store, Bookings: other,
			Locks: eventtest.Unlocked{}, Batches: eventtest.Unbatched{}, Clock: other, IDs: other, HoldSettleAfter: settleAfter,
		})
		req := f.hold(f.NewID()+"_1_x", "u1", 1)
		if _, err := eventtest.Reserve(t.Context(), svc, req); err != nil {
			t.Fatalf("reserve %d: %v", i, err)
		}
		most = max(most, len(f.store.Contents().Events["gala"].Seats.Marks))
	}
	if most > 129 {
		t.Errorf("there were %d marks", most)
	}
	f.seats("all counted", 700, 300, 0)
}
