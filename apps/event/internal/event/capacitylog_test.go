package event_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// capacityLog returns the capacity log of the event "gala", newest first. It reads pages of
// the given size.
func (f *fixture) capacityLog(limit int) []eventapi.CapacityLogEntry {
	f.t.Helper()
	var all []eventapi.CapacityLogEntry
	req := eventapi.CapacityLogRequest{EventID: "gala"}
	req.Limit = limit
	for {
		page, err := f.ListCapacityLog(f.t.Context(), req)
		if err != nil || len(page.Items) > limit || page.Limit != limit {
			f.t.Fatalf("list the capacity log: got %d entries, limit %d, %v, want at most %d", len(page.Items), page.Limit, err, limit)
		}
		all = append(all, page.Items...)
		if page.NextCursor == "" {
			return all
		}
		if len(page.Items) < limit {
			f.t.Fatalf("list the capacity log: got a page of %d entries before the last one, want %d", len(page.Items), limit)
		}
		req.Cursor = page.NextCursor
	}
}

// logLine returns the parts of an entry that tests compare.
func logLine(e eventapi.CapacityLogEntry) string {
	return fmt.Sprintf("%s %+d %+d %+d %s", e.Cause, e.Change.Available, e.Change.Held, e.Change.Sold, e.BookingID)
}

// wantLog checks the log, newest first, for several sizes of pages. It also checks that the
// entries add up to the counters.
func (f *fixture) wantLog(what string, want ...string) {
	f.t.Helper()
	for _, limit := range []int{100, 2, 1} {
		var got []string
		sum := eventapi.CapacityChange{}
		ids := map[string]bool{}
		for _, e := range f.capacityLog(limit) {
			got = append(got, logLine(e))
			ids[e.ID] = true
			sum.Available += e.Change.Available
			sum.Held += e.Change.Held
			sum.Sold += e.Change.Sold
		}
		if !slices.Equal(got, want) || len(ids) != len(want) {
			f.t.Errorf("%s, %d at a time: got %d ids and the log\n%q, want\n%q", what, limit, len(ids), got, want)
		}
		if s := f.store.Contents().Events["gala"].Seats; sum.Available != s.Available || sum.Held != s.Held || sum.Sold != s.Sold {
			f.t.Errorf("%s: the log adds up to %+v, want the counters %+v", what, sum, s)
		}
	}
}

func (f *fixture) releaseFor(id, cause string) error {
	return eventtest.Release(f.t.Context(), f.Service, eventapi.ReleaseRequest{HoldID: id, EventID: "gala", UserID: "u1", Quantity: 1, Cause: cause})
}

func TestCapacityLogHasOneEntryForEachChange(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.wantLog("a new event", "created +10 +0 +0 ")
	ctx := t.Context()
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		f.reserve(id+"_1_x", "u1", 1)
	}
	_, err := f.UpdateEvent(ctx, eventapi.UpdateRequest{EventID: "gala", ChangeID: f.NewID(), Changes: eventapi.Changes{Capacity: contract.Set(int64(8))}})
	f.wantErr("update the capacity", err, nil)
	_, err = f.UpdateEvent(ctx, eventapi.UpdateRequest{EventID: "gala", ChangeID: f.NewID(), Changes: eventapi.Changes{Name: contract.Set("Soirée")}})
	f.wantErr("update the name", err, nil)
	for range 2 { // duplicates have no entries
		f.wantErr("sell", f.OnBookingConfirmed(ctx, f.fact("a_1_x", "u1", 1)), nil)
		f.wantErr("cancel a sold one", f.OnBookingCancelled(ctx, f.fact("a_1_x", "u1", 1)), nil)
		f.wantErr("expire", f.OnBookingExpired(ctx, f.fact("b_1_x", "u1", 1)), nil)
		f.wantErr("release", f.releaseFor("c_1_x", ""), nil)
		f.wantErr("release, cancelled", f.releaseFor("d_1_x", eventapi.CauseCancelled), nil)
		f.wantErr("release, expired", f.releaseFor("e_1_x", eventapi.CauseExpired), nil)
		f.wantErr("release, with its cause", f.releaseFor("f_1_x", eventapi.CauseReleased), nil)
		f.reserve("h_1_x", "u1", 1)
		f.wantErr("tombstone", f.releaseFor("t_1_x", eventapi.CauseCancelled), nil)
	}
	f.wantErr("an unknown cause", f.releaseFor("g_1_x", eventapi.CauseSold), apperr.InvalidFields())
	f.settlements["h_1_x"] = bookingapi.Settlement{Live: true, Confirmed: true}
	f.sweep(settleAfter) // releases g and sells h
	f.wantLog("in the end",
		"sold +0 -1 +1 h", "released +1 -1 +0 g",
		"reserved -1 +1 +0 h", "released +1 -1 +0 f", "expired +1 -1 +0 e", "cancelled +1 -1 +0 d", "released +1 -1 +0 c",
		"expired +1 -1 +0 b", "cancelled +1 +0 -1 a", "sold +0 -1 +1 a",
		"capacity_changed -2 +0 +0 ",
		"reserved -1 +1 +0 g", "reserved -1 +1 +0 f", "reserved -1 +1 +0 e", "reserved -1 +1 +0 d",
		"reserved -1 +1 +0 c", "reserved -1 +1 +0 b", "reserved -1 +1 +0 a",
		"created +10 +0 +0 ")
	got := f.capacityLog(1)[0]
	if !got.At.Equal(f.now) || got.TraceID != "" {
		t.Errorf("got the time %s and the trace %q, want %s and none", got.At, got.TraceID, f.now)
	}
}

func TestCapacityLogRefusals(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.Status = ptr("draft") })
	f.wantLog("a draft", "created +10 +0 +0 ")
	for _, tt := range []struct {
		name string
		req  eventapi.CapacityLogRequest
		want error
	}{
		{"an unknown event", eventapi.CapacityLogRequest{EventID: "none"}, event.ErrNotFound},
		{"no event", eventapi.CapacityLogRequest{}, apperr.InvalidFields()},
		{"a large limit", eventapi.CapacityLogRequest{EventID: "gala", PageRequest: contract.PageRequest{Limit: 101}}, apperr.InvalidFields()},
		{"a forged cursor", eventapi.CapacityLogRequest{EventID: "gala", PageRequest: contract.PageRequest{Cursor: "abc"}}, apperr.InvalidFields()},
	} {
		_, err := f.ListCapacityLog(t.Context(), tt.req)
		f.wantErr(tt.name, err, tt.want)
	}
	_, err := f.DeleteEvent(t.Context(), eventapi.ChangeRequest{EventID: "gala", ChangeID: "delete"})
	f.wantErr("delete", err, nil)
	_, err = f.ListCapacityLog(t.Context(), eventapi.CapacityLogRequest{EventID: "gala"})
	f.wantErr("a deleted event", err, event.ErrNotFound)
	if n := len(f.store.Contents().Logs["gala"]); n != 0 {
		t.Errorf("got %d log entries of a deleted event, want none", n)
	}
}

// The entries of a process that stopped after its write are still in the event. A reader of
// the log and the sweep log them.
func TestCapacityLogIsCompleteAfterACrash(t *testing.T) {
	reserved := []string{"reserved -2 +2 +0 a", "created +10 +0 +0 "}
	for _, tt := range []struct {
		name, op string
		act      func(svc *event.Service, f *fixture) error
		want     []string
	}{
		{"create", "log.insert", func(svc *event.Service, f *fixture) error {
			_, err := svc.CreateEvent(f.t.Context(), eventapi.CreateRequest{EventID: "gala", OrganizerID: "admin", Event: f.define(nil)})
			return err
		}, reserved[1:]},
		{"update", "log.insert", func(svc *event.Service, f *fixture) error {
			f.createGala(nil)
			_, err := svc.UpdateEvent(f.t.Context(), eventapi.UpdateRequest{EventID: "gala", ChangeID: f.NewID(), Changes: eventapi.Changes{Capacity: contract.Set(int64(11))}})
			return err
		}, []string{"capacity_changed +1 +0 +0 ", "created +10 +0 +0 "}},
		{"reserve", "log.insert", func(svc *event.Service, f *fixture) error {
			f.createGala(nil)
			_, err := eventtest.Reserve(f.t.Context(), svc, f.hold("a_1_x", "u1", 2))
			return err
		}, reserved},
		{"sell", "log.insert", func(svc *event.Service, f *fixture) error {
			f.createGala(nil)
			f.reserve("a_1_x", "u1", 2)
			return eventtest.Sell(f.t.Context(), svc, eventapi.SellRequest{HoldID: "a_1_x", EventID: "gala"})
		}, slices.Concat([]string{"sold +0 -2 +2 a"}, reserved)},
		{"cancel before the hold is written", "holds.move", func(svc *event.Service, f *fixture) error {
			f.createGala(nil)
			f.reserve("a_1_x", "u1", 2)
			if svc.OnBookingCancelled(f.t.Context(), f.fact("a_1_x", "u1", 2)) == nil {
				return errors.New("got no error, want that of the crash")
			}
			return nil
		}, slices.Concat([]string{"cancelled +2 -2 +0 a"}, reserved)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			if err := tt.act(f.stopAt(tt.op), f); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			before := len(f.store.Contents().Logs["gala"])
			if before == len(tt.want) {
				t.Fatal("the process logged its entry before it stopped")
			}
			f.wantLog("a reader", tt.want...)

			swept := newFixture(t)
			if err := tt.act(swept.stopAt(tt.op), swept); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			swept.settlements["a_1_x"] = bookingapi.Settlement{Live: true}
			swept.restart()
			swept.sweep(settleAfter + time.Millisecond)
			c := swept.store.Contents()
			if got := len(c.Logs["gala"]); got != len(tt.want) || len(c.Events["gala"].Seats.Entries) != 0 {
				t.Errorf("after the sweep: got %d entries in the log and %d in the event, want %d and 0",
					got, len(c.Events["gala"].Seats.Entries), len(tt.want))
			}
		})
	}
}

// A failure of the log does not fail a move. Its entry stays in the event, and later moves
// log it as well.
func TestFailureOfTheLogDoesNotFailMoves(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.Capacity = 1000 })
	fails := true
	gated := f.store.WithGate(func(op string) (before, after error) {
		if op == "log.insert" && fails {
			return errLost, nil
		}
		return nil, nil
	})
	svc := event.New(event.Config{
		Observer: eventtest.NoObserver{}, SweepParallel: 1,
		Events: gated, Catalogue: gated, Holds: gated, Limits: gated, Log: gated, Bookings: f, Cache: eventtest.NoCache{},
		Locks: eventtest.Unlocked{}, Batches: eventtest.Unbatched{}, Clock: f, IDs: f, HoldSettleAfter: settleAfter,
	})
	reserved := 0
	for err := error(nil); err == nil; reserved++ {
		_, err = eventtest.Reserve(t.Context(), svc, f.hold(f.NewID()+"_1_x", "u1", 1))
		if reserved > 500 {
			t.Fatal("the event keeps an unlimited number of log entries")
		}
	}
	if reserved < 100 {
		t.Errorf("a reserve failed after %d others, because the log failed", reserved)
	}
	f.wantErr("sweep", svc.Sweep(t.Context()), nil) // the entries are too recent
	f.now = f.now.Add(2 * settleAfter)
	f.wantErr("sweep", svc.Sweep(t.Context()), errLost)
	fails = false
	f.wantErr("reserve again", svc.OnBookingCreated(t.Context(), f.fact("x_1_x", "u1", 1)), nil)
	_, err := eventtest.Reserve(t.Context(), svc, f.hold("last_1_x", "u1", 1))
	f.wantErr("reserve again", err, nil)
	if got := len(f.capacityLog(100)); got < reserved {
		t.Errorf("got %d entries, want at least %d", got, reserved)
	}
}

// Each entry of a batch has the trace of its own member's request.
func TestEntriesOfABatchHaveTheTracesOfTheirRequests(t *testing.T) {
	b := newBatchFixture(t, nil)
	inTrace := func(n byte) context.Context {
		return trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{n}, SpanID: trace.SpanID{n}}))
	}
	b.startFirst("a_1_x")
	var results []func() error
	for n, id := range []string{"b_1_x", "c_1_x"} {
		results = append(results, b.enqueue(func() error {
			_, err := eventtest.Reserve(inTrace(byte(n+1)), b.svc, b.hold(id, "u1", 1))
			return err
		}))
	}
	b.finish()
	for _, result := range results {
		b.wantErr("reserve", result(), nil)
	}
	b.wantLog("three reserves in two batches",
		"reserved -1 +1 +0 c", "reserved -1 +1 +0 b", "reserved -1 +1 +0 a", "created +10 +0 +0 ")
	for i, e := range b.capacityLog(100)[:2] {
		if want := (trace.TraceID{byte(2 - i)}).String(); e.TraceID != want {
			t.Errorf("entry of %s: got the trace %q, want %s", e.BookingID, e.TraceID, want)
		}
	}
}

// The pages of a log are those of one snapshot, even if seats move between them.
func TestPagesOfTheLogAreASnapshot(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("a_1_x", "u1", 1)
	f.reserve("b_1_x", "u1", 1)
	first, err := f.ListCapacityLog(t.Context(), eventapi.CapacityLogRequest{EventID: "gala", PageRequest: contract.PageRequest{Limit: 2}})
	f.wantErr("first page", err, nil)
	f.reserve("c_1_x", "u1", 1)
	second, err := f.ListCapacityLog(t.Context(), eventapi.CapacityLogRequest{EventID: "gala", PageRequest: contract.PageRequest{Limit: 2, Cursor: first.NextCursor}})
	f.wantErr("second page", err, nil)
	if len(second.Items) != 1 || second.Items[0].Cause != eventapi.CauseCreated || second.NextCursor != "" {
		t.Errorf("got a second page %+v, want the creation only", second)
	}

	// Moves while the first page is read are not in it.
	moves := 0
	f.onOp = func(op string) {
		if op == "log.list" && moves == 0 {
			moves++
			f.reserve("d_1_x", "u1", 1)
		}
	}
	page, err := f.ListCapacityLog(t.Context(), eventapi.CapacityLogRequest{EventID: "gala"})
	f.wantErr("list while seats move", err, nil)
	if len(page.Items) != 4 {
		t.Errorf("got %d entries, want the 4 of the snapshot", len(page.Items))
	}
}

func TestOldEntriesAreFolded(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) {
		d.StartsAt, d.EndsAt = contract.At(f.now.Add(2000*time.Hour)), contract.At(f.now.Add(2001*time.Hour))
	})
	f.reserve("a_1_x", "u1", 2)
	f.wantErr("sell", f.OnBookingConfirmed(t.Context(), f.fact("a_1_x", "u1", 2)), nil)
	cleanUp := func(after time.Duration) {
		f.now = f.now.Add(after)
		n, err := f.Cleanup(t.Context())
		if n != 0 || err != nil {
			t.Errorf("clean up: got %d deleted events, %v, want none", n, err)
		}
	}
	cleanUp(30 * 24 * time.Hour)
	f.wantLog("no entry is older than 30 days", "sold +0 -2 +2 a", "reserved -2 +2 +0 a", "created +10 +0 +0 ")
	lastOld := f.now.Add(-30 * 24 * time.Hour)
	f.reserve("b_1_x", "u1", 1)
	first, err := f.ListCapacityLog(t.Context(), eventapi.CapacityLogRequest{EventID: "gala", PageRequest: contract.PageRequest{Limit: 1}})
	f.wantErr("first page", err, nil)
	second, err := f.ListCapacityLog(t.Context(), eventapi.CapacityLogRequest{EventID: "gala", PageRequest: contract.PageRequest{Limit: 1, Cursor: first.NextCursor}})
	f.wantErr("second page", err, nil)
	cleanUp(time.Millisecond)
	f.wantLog("three entries are folded", "reserved -1 +1 +0 b", "opening +8 +0 +2 ")
	if got := f.capacityLog(100)[1]; got.ID != "opening" || !got.At.Equal(lastOld) {
		t.Errorf("got an opening entry %+v, want the time %s", got, lastOld)
	}
	if n := len(f.store.Contents().Logs["gala"]); n != 1 {
		t.Errorf("got %d stored entries, want 1", n)
	}

	// A client that had read the page before the fold gets the opening entry. One that had
	// read a folded entry must start again.
	rest, err := f.ListCapacityLog(t.Context(), eventapi.CapacityLogRequest{EventID: "gala", PageRequest: contract.PageRequest{Limit: 5, Cursor: first.NextCursor}})
	if err != nil || len(rest.Items) != 1 || rest.Items[0].Cause != eventapi.CauseOpening {
		t.Errorf("second page after the fold: got %+v, %v, want the opening entry", rest.Items, err)
	}
	_, err = f.ListCapacityLog(t.Context(), eventapi.CapacityLogRequest{EventID: "gala", PageRequest: contract.PageRequest{Limit: 5, Cursor: second.NextCursor}})
	f.wantErr("third page after the fold", err, apperr.InvalidFields())

	// Later entries are added to the opening entry.
	cleanUp(31 * 24 * time.Hour)
	f.wantLog("all entries are folded", "opening +7 +1 +2 ")
	f.release("b_1_x", "u1", 1)
	f.wantLog("a later entry", "released +1 -1 +0 b", "opening +7 +1 +2 ")
}

// A fold stops between its commit and the deletion of the entries, a suspended process logs
// a folded entry again, and another process folds at the same time. The sums stay equal.
func TestFoldIsAtomicAndIdempotent(t *testing.T) {
	prepare := func(t *testing.T) (*fixture, []event.Entry) {
		f := newFixture(t)
		f.createGala(func(d *eventapi.Definition) {
			d.StartsAt, d.EndsAt = contract.At(f.now.Add(2000*time.Hour)), contract.At(f.now.Add(2001*time.Hour))
		})
		f.reserve("a_1_x", "u1", 2)
		f.now = f.now.Add(31 * 24 * time.Hour)
		f.reserve("b_1_x", "u1", 1)
		return f, f.store.Contents().Logs["gala"]
	}
	want := []string{"reserved -1 +1 +0 b", "opening +8 +2 +0 "}
	t.Run("crash before the commit", func(t *testing.T) {
		f, _ := prepare(t)
		if _, err := f.stopAt("events.opening").Cleanup(t.Context()); err == nil {
			t.Fatal("got no error, want that of the crash")
		}
		f.wantLog("after the crash", "reserved -1 +1 +0 b", "reserved -2 +2 +0 a", "created +10 +0 +0 ")
		_, err := f.Cleanup(t.Context())
		f.wantErr("clean up", err, nil)
		f.wantLog("in the end", want...)
	})
	t.Run("crash after the commit", func(t *testing.T) {
		f, _ := prepare(t)
		stopped := 0
		gated := f.store.WithGate(func(op string) (before, after error) {
			if op == "log.delete" {
				if stopped++; stopped > 1 {
					return errLost, nil
				}
			}
			return nil, nil
		})
		svc := event.New(event.Config{
			Observer: eventtest.NoObserver{}, SweepParallel: 1, Drifts: f,
			Events: gated, Catalogue: gated, Holds: gated, Limits: gated, Log: gated, Bookings: f, Cache: eventtest.NoCache{},
			Locks: eventtest.Unlocked{}, Batches: eventtest.Unbatched{}, Clock: f, IDs: f, HoldSettleAfter: settleAfter,
		})
		if _, err := svc.Cleanup(t.Context()); !errors.Is(err, errLost) {
			t.Fatalf("clean up: got %v, want %v", err, errLost)
		}
		if n := len(f.store.Contents().Logs["gala"]); n != 3 {
			t.Fatalf("got %d stored entries after the crash, want 3", n)
		}
		f.wantLog("after the crash", want...)
		_, err := f.Cleanup(t.Context())
		f.wantErr("clean up", err, nil)
		f.wantLog("in the end", want...)
		if n := len(f.store.Contents().Logs["gala"]); n != 1 {
			t.Errorf("got %d stored entries, want 1", n)
		}
	})
	t.Run("late insert of a folded entry", func(t *testing.T) {
		f, entries := prepare(t)
		_, err := f.Cleanup(t.Context())
		f.wantErr("clean up", err, nil)
		f.wantErr("late insert", f.store.InsertEntries(t.Context(), "gala", entries), nil)
		f.wantLog("after the late insert", want...)
		_, err = f.Cleanup(t.Context())
		f.wantErr("clean up again", err, nil)
		f.wantLog("in the end", want...)
		if n := len(f.store.Contents().Logs["gala"]); n != 1 {
			t.Errorf("got %d stored entries, want 1", n)
		}
	})
	t.Run("two folds at once", func(t *testing.T) {
		f, _ := prepare(t)
		other := false
		f.onOp = func(op string) {
			if op == "events.opening" && !other {
				other = true
				_, err := f.Cleanup(t.Context())
				f.wantErr("the other clean up", err, nil)
			}
		}
		_, err := f.Cleanup(t.Context())
		f.wantErr("clean up", err, nil)
		f.wantLog("in the end", want...)
	})
	t.Run("an entry that is not logged yet", func(t *testing.T) {
		f := newFixture(t)
		if _, err := f.stopAt("log.insert").CreateEvent(t.Context(), eventapi.CreateRequest{EventID: "gala", OrganizerID: "admin", Event: f.define(func(d *eventapi.Definition) {
			d.StartsAt, d.EndsAt = contract.At(f.now.Add(2000*time.Hour)), contract.At(f.now.Add(2001*time.Hour))
		})}); err != nil {
			t.Fatal(err)
		}
		_, err := eventtest.Reserve(t.Context(), f.Service, f.hold("a_1_x", "u1", 2))
		f.wantErr("reserve", err, nil)
		f.now = f.now.Add(31 * 24 * time.Hour)
		_, err = f.Cleanup(t.Context())
		f.wantErr("clean up", err, nil)
		f.wantLog("in the end", "opening +8 +2 +0 ")
	})
	t.Run("the event is gone", func(t *testing.T) {
		f, entries := prepare(t)
		f.wantErr("insert", f.store.InsertEntries(t.Context(), "gone", entries), nil)
		_, err := f.Cleanup(t.Context())
		f.wantErr("clean up", err, nil)
		if n := len(f.store.Contents().Logs["gone"]); n != 0 {
			t.Errorf("got %d entries of an event that is gone, want none", n)
		}
	})
}

// More entries than a fold takes at once are folded in several steps. A step never divides
// the entries of one write.
func TestLargeLogIsFoldedInSteps(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) {
		d.Capacity = 5000
		d.StartsAt, d.EndsAt = contract.At(f.now.Add(2000*time.Hour)), contract.At(f.now.Add(2001*time.Hour))
	})
	svc := event.New(event.Config{
		Observer: eventtest.NoObserver{}, SweepParallel: 1,
		Events: f.store, Catalogue: f.store, Holds: f.store, Limits: f.store, Log: f.store, Bookings: f, Cache: eventtest.NoCache{},
		Locks: eventtest.Unlocked{}, Batches: eventtest.NewBatches(), Clock: f, IDs: f, HoldSettleAfter: settleAfter,
	})
	for range 100 {
		var reqs []eventapi.ReserveRequest
		for range 30 {
			reqs = append(reqs, f.hold(f.NewID()+"_1_x", "u1", 1))
		}
		results, err := svc.ReserveSeats(t.Context(), reqs)
		if err != nil || slices.ContainsFunc(results, func(r rpc.Result[eventapi.Reservation]) bool { return r.Err != nil }) {
			t.Fatalf("reserve: %v, %v", results, err)
		}
	}
	f.ops = nil
	f.now = f.now.Add(31 * 24 * time.Hour)
	_, err := f.Cleanup(t.Context())
	f.wantErr("clean up", err, nil)
	f.wantLog("in the end", "opening +2000 +3000 +0 ")
	if steps := len(slices.DeleteFunc(f.ops, func(op string) bool { return op != "events.opening" })); steps < 3 {
		t.Errorf("got %d folds of 3,001 entries, want several", steps)
	}
}
