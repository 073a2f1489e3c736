package eventtest

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract"
	"boxoffice/test/kit"
)

// Ports is everything that a store implements.
type Ports interface {
	event.Events
	event.Catalogue
	event.Holds
	event.Limits
	event.CapacityLog
}

// Subject is the store under test.
type Subject struct {
	Ports
	// Facts returns the facts in all outboxes, ordered by event and then by time of writing.
	Facts func(t *testing.T) []event.Fact
	// Publish records that all facts have been published.
	Publish func(t *testing.T)
}

// Conform checks that a store keeps the contracts of the ports. In each subtest it calls
// open to get an empty store.
func Conform(t *testing.T, open func(t *testing.T) Subject) {
	for _, part := range []struct {
		name string
		test func(t *testing.T, s Subject)
	}{
		{"GetEvent returns what InsertEvent stored", testRoundTrip},
		{"ids and identities are unique", testIdentity},
		{"WriteSeats compares seats.version", testWriteSeats},
		{"WriteDefinition compares both versions", testWriteDefinition},
		{"DropFacts removes the facts of one type", testDropFacts},
		{"the outbox is bounded", testBoundedOutbox},
		{"only one of several concurrent WriteSeats succeeds at each version", testSeatsRace},
		{"ListEvents filters, sorts and limits", testList},
		{"ListEvents continues among equal events", testListTies},
		{"limits without entries may be dropped", testLimitPurge},
		{"SearchEvents finds words by their prefix", testSearch},
		{"GetEvents returns the events that exist", testGetEvents},
		{"the queries of sweeps find their events", testCatalogue},
		{"holds only move forward", testHolds},
		{"MoveHolds moves each hold by itself", testMoveHolds},
		{"HoldsToSettle returns due holds", testHoldsToSettle},
		{"ClaimHolds claims by the time to settle", testClaimHolds},
		{"ClaimLimits claims by version and stamp", testClaimLimits},
		{"limits are claimed and given back", testLimits},
		{"concurrent claims do not exceed the limit", testClaimRace},
		{"concurrent reserves do not oversell", testLastSeats},
		{"the capacity log lists, folds and deletes entries", testCapacityLog},
		{"WriteOpening compares Through", testWriteOpening},
		{"CountedHolds and EventIDs list in order", testReconcile},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, open(t)) })
	}
}

// day0 is when the events of the suite are created.
var day0 = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// NewEvent returns an event of capacity 10 with every field set.
func NewEvent(id string) event.Event {
	maxPerUser := int64(4)
	from, to := day0.Add(time.Hour), day0.Add(48*time.Hour)
	return event.Event{
		ID: id, OrganizerID: "organizer-" + id,
		Definition: event.Definition{
			Name: "Évening 🎭 " + id, Description: "A description", Category: "theatre", Venue: "Old Hall",
			StartsAt: day0.Add(72 * time.Hour), EndsAt: day0.Add(75*time.Hour + 123*time.Millisecond), Timezone: "Europe/Berlin",
			Price: contract.Money{Amount: 2500, Currency: "EUR"}, MaxPerUser: &maxPerUser,
			SalesStartAt: &from, SalesEndAt: &to, CancellationCutoffHours: 24,
		},
		Status: event.Published, Version: 1, CreatedAt: day0, UpdatedAt: day0.Add(time.Millisecond),
		Fingerprint: "fingerprint-" + id, ChangeIDs: []string{"change-1", "change-2"},
		Seats: event.Seats{Capacity: 10, Available: 10, Version: 1},
	}
}

// NewHold returns a hold in state Held with every field set.
func NewHold(id, eventID string, quantity int64) event.Hold {
	return event.Hold{
		ID: id, EventID: eventID, UserID: "user", Quantity: quantity, State: event.Held, Limited: true,
		UnitPrice: contract.Money{Amount: 2500, Currency: "EUR"},
		ExpiresAt: day0.Add(15 * time.Minute), MovedAt: day0, SettleAt: day0.Add(time.Minute),
	}
}

// NewEntry returns a log entry with every field set.
func NewEntry(version int64, number int) event.Entry {
	return event.Entry{
		Version: version, Number: number, At: day0.Add(time.Duration(version) * time.Minute), Cause: event.CauseExpired,
		Change: event.Change{Available: version, Held: -version, Sold: int64(number)}, HoldID: "b_1_x", TraceID: "0102030405060708090a0b0c0d0e0f10",
	}
}

// newFact returns a fact that the event was created.
func newFact(id, eventID string) event.Fact {
	return event.Fact{ID: id, Type: "event.created", Subject: eventID, At: day0, Data: []byte(`{"messageId":"` + id + `"}`)}
}

func insert(t *testing.T, s Subject, e event.Event) {
	t.Helper()
	if err := s.InsertEvent(t.Context(), e, newFact("fact-of-"+e.ID, e.ID)); err != nil {
		t.Fatalf("insert event %s: %v", e.ID, err)
	}
}

func read(t *testing.T, s Subject, id string) event.Event {
	t.Helper()
	e, err := s.GetEvent(t.Context(), id)
	if err != nil {
		t.Fatalf("read event %s: %v", id, err)
	}
	return e
}

// wantEvent compares events. An empty map of marks equals a nil one, and no entries equal nil.
func wantEvent(t *testing.T, got, want event.Event) {
	t.Helper()
	for _, e := range []*event.Event{&got, &want} {
		if len(e.Seats.Marks) == 0 {
			e.Seats.Marks = nil
		}
		if len(e.Seats.Entries) == 0 {
			e.Seats.Entries = nil
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func testRoundTrip(t *testing.T, s Subject) {
	full := NewEvent("full")
	full.CancelledLive = 4
	full.Seats = event.Seats{
		Capacity: 10, Available: 3, Held: 2, Sold: 5, Live: 3, Version: 7, EverSold: true,
		Marks:   map[string]event.Hold{"b_1_x": NewHold("b_1_x", "full", 2)},
		Entries: []event.Entry{NewEntry(2, 0), NewEntry(2, 1), NewEntry(10, 0)},
	}
	full.Opening = event.Opening{Through: 1, At: day0, Sum: event.Change{Available: 5, Held: -1, Sold: 6}}
	bare := event.Event{
		ID: "bare", OrganizerID: "o", Status: event.Draft, Version: 1, CreatedAt: day0, UpdatedAt: day0,
		Definition: event.Definition{
			Name: "Bare", StartsAt: day0, EndsAt: day0.Add(time.Hour), Timezone: "UTC", Price: contract.Money{Currency: "EUR"},
		},
		Seats: event.Seats{Capacity: 1, Available: 1, Version: 1},
	}
	for _, want := range []event.Event{full, bare} {
		insert(t, s, want)
		wantEvent(t, read(t, s, want.ID), want)
	}
	_, err := s.GetEvent(t.Context(), "unknown")
	wantErr(t, "unknown event", err, event.ErrNoEvent)
	facts := s.Facts(t)
	want := []event.Fact{newFact("fact-of-bare", "bare"), newFact("fact-of-full", "full")}
	if !reflect.DeepEqual(facts, want) {
		t.Errorf("outbox: got %v, want %v", facts, want)
	}
}

func testIdentity(t *testing.T, s Subject) {
	ctx := t.Context()
	a, b := NewEvent("a"), NewEvent("b")
	insert(t, s, a)
	insert(t, s, b)
	wantErr(t, "same id", s.InsertEvent(ctx, func() event.Event { e := NewEvent("a"); e.Name = "Other"; return e }(), newFact("f", "a")), event.ErrExists)
	duplicate := NewEvent("duplicate")
	duplicate.OrganizerID, duplicate.Name = a.OrganizerID, a.Name
	wantErr(t, "same identity", s.InsertEvent(ctx, duplicate, newFact("f", "duplicate")), event.ErrNameTaken)
	if id, err := s.FindIdentity(ctx, a.Identity()); err != nil || id != "a" {
		t.Errorf("FindIdentity: got %q, %v, want a", id, err)
	}
	_, err := s.FindIdentity(ctx, "unknown")
	wantErr(t, "FindIdentity of an unknown identity", err, event.ErrNoEvent)

	renamed := read(t, s, "b")
	renamed.OrganizerID, renamed.Name = a.OrganizerID, a.Name
	renamed.Version++
	wantErr(t, "renamed to the identity of another", s.WriteDefinition(ctx, renamed, 1, newFact("f", "b")), event.ErrNameTaken)
	wantEvent(t, read(t, s, "b"), b)

	a.Status, a.Version = event.Cancelled, 2
	wantErr(t, "cancel", s.WriteDefinition(ctx, a, 1), nil)
	wantErr(t, "identity of a cancelled event", s.InsertEvent(ctx, duplicate, newFact("f", "duplicate")), event.ErrNameTaken)
	a = read(t, s, "a")
	a.Status, a.Version = event.Deleted, 3
	wantErr(t, "delete", s.WriteDefinition(ctx, a, 2), nil)
	wantErr(t, "identity of a deleted event", s.InsertEvent(ctx, duplicate, newFact("f", "duplicate")), nil)
}

// testBoundedOutbox changes an event until its outbox is full, first of published facts and
// then of unpublished ones.
func testBoundedOutbox(t *testing.T, s Subject) {
	ctx := t.Context()
	insert(t, s, NewEvent("e"))
	change := func(n int) error {
		e := read(t, s, "e")
		e.Version++
		return s.WriteDefinition(ctx, e, e.Version-1, newFact("f"+strconv.Itoa(n), "e"))
	}
	for n := range 2 * event.MaxFacts {
		s.Publish(t)
		err := change(n)
		if errors.Is(err, event.ErrStale) { // the store has made room
			err = change(n)
		}
		wantErr(t, "change", err, nil)
	}
	facts := s.Facts(t)
	if n := len(facts); n > event.MaxFacts || n < event.MaxFacts/4 {
		t.Errorf("got %d facts, want a quarter to all of %d", n, event.MaxFacts)
	}
	if last := facts[len(facts)-1].ID; last != "f"+strconv.Itoa(2*event.MaxFacts-1) {
		t.Errorf("got the last fact %s, want the newest one", last)
	}

	// The outbox has one unpublished fact now. Fill it with more.
	var err error
	for n := 0; n < 2*event.MaxFacts && !errors.Is(err, event.ErrOutboxFull); n++ {
		if err = change(100 + n); errors.Is(err, event.ErrStale) {
			err = change(100 + n)
		}
	}
	wantErr(t, "change with unpublished facts only", err, event.ErrOutboxFull)
	before := read(t, s, "e")
	wantErr(t, "another change", change(999), event.ErrOutboxFull)
	wantEvent(t, read(t, s, "e"), before)
	if n := len(s.Facts(t)); n != event.MaxFacts {
		t.Errorf("got %d facts, want %d", n, event.MaxFacts)
	}
	before.Status, before.Version = event.Cancelled, before.Version+1
	wantErr(t, "cancel", s.WriteDefinition(ctx, before, before.Version-1, newFact("cancel", "e")), nil)
}

// seatsWrite returns a write of the event's seats that carries moves and removes marks.
func seatsWrite(e event.Event, moves []event.Move, finished []string) (event.SeatsWrite, error) {
	w := e.Seats.NewWrite(e.ID)
	for _, m := range moves {
		if err := w.Add(m); err != nil {
			return w, err
		}
	}
	w.Clear(finished)
	return w, nil
}

func testWriteSeats(t *testing.T, s Subject) {
	ctx := t.Context()
	e := NewEvent("e")
	insert(t, s, e)
	h := NewHold("b_1_x", "e", 3)
	w, err := seatsWrite(e, []event.Move{{To: h}}, nil)
	wantErr(t, "compute", err, nil)
	wantErr(t, "write", s.WriteSeats(ctx, w), nil)
	want := e
	entry := event.Entry{Version: 2, At: h.MovedAt, Cause: event.CauseReserved, Change: event.Change{Available: -3, Held: 3}, HoldID: h.ID}
	want.Seats = event.Seats{
		Capacity: 10, Available: 7, Held: 3, Live: 1, Version: 2, Marks: map[string]event.Hold{h.ID: h}, Entries: []event.Entry{entry},
	}
	wantEvent(t, read(t, s, "e"), want)

	wantErr(t, "repeated write", s.WriteSeats(ctx, w), event.ErrStale)
	w.EventID = "unknown"
	wantErr(t, "no event", s.WriteSeats(ctx, w), event.ErrStale)
	wantEvent(t, read(t, s, "e"), want)

	// A write may carry many moves and remove marks.
	sold, tombstone := h, event.Hold{ID: "c_1_x", EventID: "e", UserID: "user", Quantity: 1, State: event.Released, MovedAt: day0}
	sold.State, sold.SettleAt = event.Sold, time.Time{}
	second := NewHold("d_1_x", "e", 2)
	w, err = seatsWrite(want, []event.Move{{From: event.Held, To: sold}, {To: tombstone}, {To: second}}, []string{h.ID})
	wantErr(t, "compute", err, nil)
	wantErr(t, "write", s.WriteSeats(ctx, w), nil)
	want.Seats = event.Seats{
		Capacity: 10, Available: 5, Held: 2, Sold: 3, Live: 2, Version: 3, EverSold: true,
		Marks: map[string]event.Hold{sold.ID: sold, tombstone.ID: tombstone, second.ID: second},
		Entries: []event.Entry{
			entry,
			{Version: 3, Number: 0, At: day0, Cause: event.CauseSold, Change: event.Change{Held: -3, Sold: 3}, HoldID: sold.ID},
			{Version: 3, Number: 2, At: day0, Cause: event.CauseReserved, Change: event.Change{Available: -2, Held: 2}, HoldID: second.ID},
		},
	}
	wantEvent(t, read(t, s, "e"), want)
	w, _ = seatsWrite(want, nil, []string{sold.ID, tombstone.ID, "unknown"})
	w.Drop(func(e event.Entry) bool { return e.Version == 3 })
	wantErr(t, "clear", s.WriteSeats(ctx, w), nil)
	want.Seats.Version, want.Seats.Marks, want.Seats.Entries = 4, map[string]event.Hold{second.ID: second}, []event.Entry{entry}
	wantEvent(t, read(t, s, "e"), want)
	w, _ = seatsWrite(want, nil, nil)
	w.Drop(func(event.Entry) bool { return true })
	wantErr(t, "drop all entries", s.WriteSeats(ctx, w), nil)
	want.Seats.Version, want.Seats.Entries = 5, nil
	wantEvent(t, read(t, s, "e"), want)
}

func testWriteDefinition(t *testing.T, s Subject) {
	ctx := t.Context()
	e := NewEvent("e")
	insert(t, s, e)
	h := NewHold("b_1_x", "e", 1)
	w, _ := seatsWrite(e, []event.Move{{To: h}}, nil)
	wantErr(t, "reserve", s.WriteSeats(ctx, w), nil)

	stale := e
	stale.Name, stale.Version = "Changed", 2
	wantErr(t, "another seats.version", s.WriteDefinition(ctx, stale, 1, newFact("no", "e")), event.ErrStale)
	e = read(t, s, "e")
	next := e
	next.Name, next.Version, next.MaxPerUser, next.SalesEndAt, next.CancelledLive = "Changed", 2, nil, nil, 1
	next.Seats.Marks, next.Opening = nil, event.Opening{Through: 7} // WriteDefinition must ignore them
	next.Seats.Entries = []event.Entry{NewEntry(3, 0)}
	next.Seats, _ = next.Seats.Resized(20)
	wantErr(t, "another version", s.WriteDefinition(ctx, next, 5, newFact("no", "e")), event.ErrStale)
	wantErr(t, "both versions match", s.WriteDefinition(ctx, next, 1, newFact("x", "e"), newFact("y", "e")), nil)
	wantErr(t, "repeated write", s.WriteDefinition(ctx, next, 1, newFact("no", "e")), event.ErrStale)
	next.Seats.Version, next.Seats.Marks, next.Opening = 3, map[string]event.Hold{h.ID: h}, event.Opening{}
	wantEvent(t, read(t, s, "e"), next)
	var ids []string
	for _, f := range s.Facts(t) {
		ids = append(ids, f.ID)
	}
	if want := []string{"fact-of-e", "x", "y"}; !slices.Equal(ids, want) {
		t.Errorf("outbox: got %v, want %v", ids, want)
	}
	gone := NewEvent("gone")
	wantErr(t, "no event", s.WriteDefinition(ctx, gone, 1), event.ErrStale)
}

func testDropFacts(t *testing.T, s Subject) {
	ctx := t.Context()
	insert(t, s, NewEvent("e"))
	insert(t, s, NewEvent("other"))
	for _, id := range []string{"published", "waiting"} {
		e := read(t, s, "e")
		fact := newFact(id, "e")
		fact.Type = "event.cancelled"
		wantErr(t, "write", s.WriteDefinition(ctx, e, e.Version, fact), nil)
		if id == "published" {
			s.Publish(t)
		}
	}
	before := read(t, s, "e")
	for range 2 {
		wantErr(t, "drop", s.DropFacts(ctx, "e", "event.cancelled"), nil)
		wantEvent(t, read(t, s, "e"), before)
		var ids []string
		for _, f := range s.Facts(t) {
			ids = append(ids, f.ID)
		}
		if want := []string{"fact-of-e", "fact-of-other"}; !slices.Equal(ids, want) {
			t.Errorf("outboxes: got %v, want %v", ids, want)
		}
	}
	wantErr(t, "drop another type", s.DropFacts(ctx, "e", "event.updated"), nil)
	wantErr(t, "no event", s.DropFacts(ctx, "none", "event.cancelled"), event.ErrNoEvent)
}

func testSeatsRace(t *testing.T, s Subject) {
	e := NewEvent("e")
	e.Seats = event.Seats{Capacity: 1000, Available: 1000, Version: 1}
	insert(t, s, e)
	const workers, each = 8, 20
	kit.Concurrently(workers, func(i int) {
		for range each {
			for {
				e, err := s.GetEvent(t.Context(), "e")
				if err != nil {
					t.Errorf("read: %v", err)
					return
				}
				h := NewHold(strconv.Itoa(i)+"_1_x", "e", 1)
				w, err := seatsWrite(e, []event.Move{{To: h}}, nil)
				if err != nil {
					t.Errorf("compute: %v", err)
					return
				}
				err = s.WriteSeats(t.Context(), w)
				if err == nil {
					break
				}
				if !errors.Is(err, event.ErrStale) {
					t.Errorf("write: %v", err)
					return
				}
			}
		}
	})
	got := read(t, s, "e").Seats
	if got.Held != workers*each || got.Live != workers*each || got.Available != 1000-workers*each || got.Version != 1+workers*each {
		t.Errorf("after %d moves: got %+v, want one seat held and the version raised by one for each", workers*each, got)
	}
}
