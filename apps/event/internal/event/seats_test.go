package event_test

import (
	"testing"
	"time"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

func TestReserveUsesFewOperations(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("a_1_x", "u1", 2)
	f.wantOps("reserve", "events.read", "holds.read", "events.seats", "holds.insert", "log.insert")
	f.reserve("a_1_x", "u1", 2)
	f.wantOps("reserve again", "events.read", "holds.read")
	f.reserve("b_1_x", "u1", 8)
	f.ops = nil
	_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("c_1_x", "u1", 1))
	f.wantErr("sold out", err, event.ErrSoldOut)
	f.wantOps("sold out", "events.read", "holds.read")
	f.release("a_1_x", "u1", 2)
	f.wantOps("release", "events.read", "holds.read", "events.seats", "holds.move", "log.insert")
	f.release("a_1_x", "u1", 2)
	f.wantOps("release again", "events.read", "holds.read")
	f.wantErr("sell", f.OnBookingConfirmed(t.Context(), f.fact("b_1_x", "u1", 8)), nil)
	f.wantOps("sell", "events.read", "holds.read", "events.read", "holds.read", "events.seats", "holds.move", "log.insert")
	f.wantErr("sell again", f.OnBookingConfirmed(t.Context(), f.fact("b_1_x", "u1", 8)), nil)
	f.wantOps("sell again", "events.read", "holds.read")
	f.wantSeats("in the end", 2, 0, 8)
	if marks := f.store.Contents().Events["gala"].Seats.Marks; len(marks) != 1 {
		t.Errorf("got %d marks, want only that of the last move", len(marks))
	}
}

func TestReserveUnderALimitUsesFewOperations(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(3)) })
	f.reserve("a_1_x", "u1", 2)
	f.wantOps("reserve", "events.read", "holds.read", "limits.claim", "events.seats", "holds.insert", "log.insert")
	_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("b_1_x", "u1", 2))
	f.wantErr("too many", err, event.ErrLimitExceeded)
	f.wantOps("too many", "events.read", "holds.read", "limits.claim")
	f.release("a_1_x", "u1", 2)
	f.wantOps("release", "events.read", "holds.read", "events.seats", "holds.move", "limits.giveback", "log.insert")
	f.wantUsed("released", "u1", 0)
	f.reserve("b_1_x", "u1", 3)
	f.reserve("c_1_x", "u2", 3)
	f.reserve("d_1_x", "u3", 3)
	f.ops = nil
	_, err = eventtest.Reserve(t.Context(), f.Service, f.hold("e_1_x", "u4", 2))
	f.wantErr("sold out", err, event.ErrSoldOut)
	f.wantOps("sold out", "events.read", "holds.read", "limits.read")
}

// If several refusals apply, a reserve returns the first one in this order: not found,
// cancelled, started, not on sale, limit exceeded, sold out.
func TestReserveRefusesInOrder(t *testing.T) {
	for _, tt := range []struct {
		name   string
		define func(f *fixture, d *eventapi.Definition)
		before func(f *fixture)
		want   error
	}{
		{"a draft", func(_ *fixture, d *eventapi.Definition) { d.Status = ptr("draft") }, nil, event.ErrNotFound},
		{"a deleted event", nil, func(f *fixture) {
			_, err := f.DeleteEvent(f.t.Context(), f.change("gala"))
			f.wantErr("delete", err, nil)
		}, event.ErrNotFound},
		{"cancelled and started", nil, func(f *fixture) {
			_, err := f.CancelEvent(f.t.Context(), f.change("gala"))
			f.wantErr("cancel", err, nil)
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
			f.createGala(func(d *eventapi.Definition) {
				if tt.define != nil {
					tt.define(f, d)
				}
			})
			if tt.before != nil {
				tt.before(f)
			}
			writes := f.store.Writes()
			_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("a_1_x", "u1", 2))
			f.wantErr("reserve", err, tt.want)
			if f.store.Writes() != writes {
				t.Error("a refused reserve wrote to the store")
			}
		})
	}
	f := newFixture(t)
	_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("a_1_x", "u1", 2))
	f.wantErr("no event", err, event.ErrNotFound)
}

func TestReserveKeepsThePriceOfItsHold(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.Price = &contract.Money{Amount: 100, Currency: "EUR"} })
	f.reserve("a_1_x", "u1", 1)
	_, err := f.UpdateEvent(t.Context(), eventapi.UpdateRequest{EventID: "gala", ChangeID: f.NewID(), Changes: eventapi.Changes{
		Price: contract.Set(contract.Money{Amount: 200, Currency: "EUR"}),
	}})
	f.wantErr("update", err, nil)
	for hold, want := range map[string]int64{"a_1_x": 100, "b_1_x": 200} {
		got, err := eventtest.Reserve(t.Context(), f.Service, f.hold(hold, "u1", 1))
		if err != nil || got.UnitPrice.Amount != want {
			t.Errorf("hold %s: got %v, %v, want %d", hold, got, err, want)
		}
	}
}

func TestSoldOutTellsHowManyTicketsAreLeft(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.Capacity = 3 })
	for _, tt := range []struct{ hold, want string }{
		{"a_1_x", "Only 2 tickets are left."}, {"b_1_x", "Only 1 ticket is left."}, {"c_1_x", "No tickets are left."},
	} {
		f.reserve(tt.hold, "u1", 1)
		_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("z"+tt.hold, "u1", 3))
		f.wantErr("too many", err, event.ErrSoldOut)
		if got := message(err); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestReleaseOfAnUnknownHoldWritesATombstone(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.release("a_1_x", "u1", 2)
	f.wantState("tombstone", "a_1_x", event.Released)
	f.wantSeats("nothing counted", 10, 0, 0)
	_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("a_1_x", "u1", 2))
	f.wantErr("reserve", err, event.ErrHoldDead)
}

// A reserve that is suspended before its write must notice a release that took place in
// the meantime.
func TestReserveIsStaleAfterARelease(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(2)) })
	f.onOp = func(op string) {
		if op == "events.seats" {
			f.onOp = nil
			f.release("a_1_x", "u1", 2)
		}
	}
	_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("a_1_x", "u1", 2))
	f.wantErr("reserve", err, event.ErrHoldDead)
	f.wantSeats("nothing counted", 10, 0, 0)
	f.wantUsed("given back", "u1", 0)
}

// A reserve that is refused after its claim leaves no entry. It leaves a tombstone, so
// that a concurrent duplicate that found the entry fails.
func TestRefusalAfterTheClaimGivesTheEntryBack(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.Capacity, d.MaxPerUser = 2, ptr(int64(2)) })
	f.onOp = func(op string) {
		if op == "events.seats" {
			f.onOp = nil
			f.reserve("other_1_x", "u2", 1)
		}
	}
	_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("a_1_x", "u1", 2))
	f.wantErr("reserve", err, event.ErrSoldOut)
	f.wantState("tombstone", "a_1_x", event.Released)
	f.wantUsed("given back", "u1", 0)
	f.wantSeats("other reserve only", 1, 1, 0)
}

func TestDuplicateFactsHaveOneEffect(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("a_1_x", "u1", 2)
	f.reserve("b_1_x", "u1", 1)
	ctx := t.Context()
	for range 3 {
		f.wantErr("confirmed", f.OnBookingConfirmed(ctx, f.fact("a_1_x", "u1", 2)), nil)
		f.wantErr("created", f.OnBookingCreated(ctx, f.fact("a_1_x", "u1", 2)), nil)
		f.wantSeats("confirmed", 7, 1, 2)
	}
	for range 3 {
		f.wantErr("cancelled", f.OnBookingCancelled(ctx, f.fact("a_1_x", "u1", 2)), nil)
		f.wantErr("confirmed again", f.OnBookingConfirmed(ctx, f.fact("a_1_x", "u1", 2)), nil)
		f.wantErr("expired", f.OnBookingExpired(ctx, f.fact("b_1_x", "u1", 1)), nil)
		f.wantSeats("cancelled and expired", 10, 0, 0)
	}
	f.wantErr("confirmed without a hold", f.OnBookingConfirmed(ctx, f.fact("c_1_x", "u1", 2)), nil)
	f.wantSeats("in the end", 10, 0, 0)
	if !f.store.Contents().Events["gala"].Seats.EverSold {
		t.Error("got EverSold false, want true")
	}
}

func TestReleaseAfterTheEventWasDeleted(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.MaxPerUser = ptr(int64(2)) })
	f.reserve("a_1_x", "u1", 1)
	f.release("a_1_x", "u1", 1)
	_, err := f.DeleteEvent(t.Context(), f.change("gala"))
	f.wantErr("delete", err, nil)
	f.release("a_1_x", "u1", 1)
	f.release("b_1_x", "u1", 1)
	f.wantState("released without an event", "b_1_x", event.Released)
	f.wantErr("confirmed", f.OnBookingConfirmed(t.Context(), f.fact("b_1_x", "u1", 1)), nil)
}

func TestSeatsWriteRefusesContradictions(t *testing.T) {
	s := event.Seats{Capacity: 10, Available: 1, Held: 4, Sold: 5}
	h := func(state event.HoldState, q int64) event.Hold { return event.Hold{ID: "h", Quantity: q, State: state} }
	for _, tt := range []struct {
		name string
		move event.Move
	}{
		{"more than are available", event.Move{To: h(event.Held, 2)}},
		{"more than are held", event.Move{From: event.Held, To: h(event.Sold, 5)}},
		{"more than are sold", event.Move{From: event.Sold, To: h(event.Released, 6)}},
		{"backward", event.Move{From: event.Sold, To: h(event.Held, 1)}},
		{"to the same state", event.Move{From: event.Held, To: h(event.Held, 1)}},
		{"no seats", event.Move{To: h(event.Held, 0)}},
	} {
		w := s.NewWrite("e")
		if err := w.Add(tt.move); err == nil {
			t.Errorf("%s: got %+v, want an error", tt.name, w)
		}
	}
}

// Many processes leave marks and log entries. Before there are too many, a move finishes the
// steps, logs the entries, and removes them.
func TestMarksAndEntriesAreBounded(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.Capacity = 1000 })
	marks, entries := 0, 0
	for i := range 300 {
		other := newFixture(t)
		other.now, other.store = f.now, f.store
		svc := event.New(event.Config{
			Observer: eventtest.NoObserver{}, SweepParallel: 1,
			Events: f.store, Catalogue: f.store, Holds: f.store, Limits: f.store, Log: f.store, Bookings: other,
			Cache: eventtest.NoCache{}, Locks: eventtest.Unlocked{}, Batches: eventtest.Unbatched{}, Clock: other, IDs: other, HoldSettleAfter: settleAfter,
		})
		req := f.hold(f.NewID()+"_1_x", "u1", 1)
		if _, err := eventtest.Reserve(t.Context(), svc, req); err != nil {
			t.Fatalf("reserve %d: %v", i, err)
		}
		seats := f.store.Contents().Events["gala"].Seats
		marks, entries = max(marks, len(seats.Marks)), max(entries, len(seats.Entries))
	}
	if marks > 129 || entries > 129 {
		t.Errorf("got %d marks and %d log entries, want at most 129 of each", marks, entries)
	}
	f.wantSeats("all counted", 700, 300, 0)
}
