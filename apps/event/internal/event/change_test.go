package event_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

func (f *fixture) create(id string, change func(*eventapi.Definition)) (eventapi.Created, error) {
	return f.CreateEvent(f.t.Context(), eventapi.CreateRequest{EventID: id, OrganizerID: "admin", Event: f.define(change)})
}

func TestCreateEventSetsDefaults(t *testing.T) {
	f := newFixture(t)
	got, err := f.create("gala", nil)
	f.wantErr("create", err, nil)
	want := eventapi.Created{Versioned: eventapi.Versioned{SeatsVersion: 1, Event: eventapi.Event{
		ID: "gala", Name: "Gala", StartsAt: contract.At(f.now.Add(48 * time.Hour)), EndsAt: contract.At(f.now.Add(50 * time.Hour)),
		Timezone: "UTC", Capacity: 10, Available: 10, Price: contract.Money{Currency: "EUR"}, Status: "published",
		OrganizerID: "admin", Version: 1, CreatedAt: contract.At(f.now), UpdatedAt: contract.At(f.now),
	}}}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	facts := f.store.Unsent()
	if len(facts) != 1 || facts[0].Type != eventapi.FactCreated || facts[0].Subject != "gala" {
		t.Errorf("got facts %+v, want one event.created", facts)
	}
	f.wantOps("create", "events.insert", "log.insert")
}

// change returns the request of a change with a new id.
func (f *fixture) change(eventID string) eventapi.ChangeRequest {
	return eventapi.ChangeRequest{EventID: eventID, ChangeID: f.NewID()}
}

func TestCreateEventIsIdempotent(t *testing.T) {
	f := newFixture(t)
	first, err := f.create("gala", nil)
	f.wantErr("create", err, nil)
	f.reserve("a_1_x", "u1", 2) // the answer to a retry is the first one, whatever has happened since
	f.now = f.now.Add(time.Second)
	again, err := f.createAt(first.Event.CreatedAt.Time, "gala", "")
	if err != nil || again != first {
		t.Errorf("retry: got %+v, %v, want %+v", again, err, first)
	}
	_, err = f.create("other", func(d *eventapi.Definition) { d.StartsAt, d.EndsAt = first.Event.StartsAt, first.Event.EndsAt })
	f.wantErr("the same name and start", err, event.ErrDuplicate)
	if e := apperr.From(err); e.ConflictsWith != "gala" {
		t.Errorf("got a conflict with %q, want gala", e.ConflictsWith)
	}
	_, err = f.create("gala", func(d *eventapi.Definition) { d.Name = "Other" })
	if got, want := invalidFields(err), []string{"eventId:taken"}; !slices.Equal(got, want) {
		t.Errorf("another event's id: got %v, want %v", err, want)
	}
}

// createAt creates an event whose definition is that of define at the given time.
func (f *fixture) createAt(at time.Time, id, key string) (eventapi.Created, error) {
	now := f.now
	f.now = at
	d := f.define(nil)
	f.now = now
	return f.CreateEvent(f.t.Context(), eventapi.CreateRequest{EventID: id, IdempotencyKey: key, OrganizerID: "admin", Event: d})
}

func TestCreateEventWithAKey(t *testing.T) {
	f := newFixture(t)
	began := f.now
	first, err := f.createAt(began, "ignored", "key-1")
	if err != nil || first.Replayed || first.Event.ID == "ignored" {
		t.Fatalf("got %+v, %v, want a new event whose id depends on the key", first, err)
	}
	_, err = f.UpdateEvent(t.Context(), eventapi.UpdateRequest{
		EventID: first.Event.ID, ChangeID: "c", Changes: eventapi.Changes{Name: contract.Set("Renamed")},
	})
	f.wantErr("rename", err, nil)
	f.now = f.now.Add(100 * time.Hour) // the event is over, so it could not be created now
	writes := f.store.Writes()
	again, err := f.createAt(began, "other", "key-1")
	want := first
	want.Replayed = true
	if err != nil || again != want {
		t.Errorf("replay: got %+v, %v, want %+v", again, err, want)
	}
	_, err = f.createAt(began.Add(time.Hour), "other", "key-1")
	f.wantErr("another body", err, event.ErrIdempotencyMismatch)
	_, err = f.createAt(began, "other", "key 1")
	if got, want := invalidFields(err), []string{"Idempotency-Key:invalid"}; !slices.Equal(got, want) {
		t.Errorf("malformed key: got %v, want %v", got, want)
	}
	if f.store.Writes() != writes {
		t.Error("a replay or a refusal wrote to the store")
	}
	f.now = began
	_, err = f.createAt(began, "other", "key-2") // the name is free again
	f.wantErr("another key", err, nil)
}

func TestConcurrentCreatesWithOneKeyMakeOneEvent(t *testing.T) {
	f := newFixture(t)
	var inner eventapi.Created
	f.onOp = func(op string) {
		if op == "events.insert" {
			f.onOp = nil
			var err error
			inner, err = f.createAt(f.now, "b", "key")
			f.wantErr("the concurrent create", err, nil)
		}
	}
	outer, err := f.createAt(f.now, "a", "key")
	if err != nil || outer.Versioned != inner.Versioned || inner.Replayed || !outer.Replayed {
		t.Errorf("got %+v, %v and %+v, want the same event, replayed to the second", outer, err, inner)
	}
}

func TestCreateEventValidates(t *testing.T) {
	long := func(n int) string { return strings.Repeat("é", n) }
	for _, tt := range []struct {
		name   string
		change func(f *fixture, d *eventapi.Definition)
		want   []string
	}{
		{"no fields", func(_ *fixture, d *eventapi.Definition) { *d = eventapi.Definition{} },
			[]string{"capacity:too_small", "endsAt:required", "name:required", "startsAt:required"}},
		{"all fields at their bounds", func(_ *fixture, d *eventapi.Definition) {
			d.Name, d.Description, d.Category, d.Venue = long(200), ptr(long(5000)), ptr(long(200)), ptr(long(200))
			d.Capacity, d.MaxPerUser, d.CancellationCutoffHours = 1_000_000, ptr(int64(1_000_000)), ptr(int64(8760))
			d.Price, d.Timezone = &contract.Money{Amount: 100_000_000, Currency: "JPY"}, ptr("America/Argentina/Buenos_Aires")
		}, nil},
		{"all fields beyond their bounds", func(f *fixture, d *eventapi.Definition) {
			d.Name, d.Description, d.Category, d.Venue = long(201), ptr(long(5001)), ptr(long(201)), ptr(long(201))
			d.Capacity, d.MaxPerUser, d.CancellationCutoffHours = 1_000_001, ptr(int64(1_000_001)), ptr(int64(8761))
			d.Price, d.Timezone = &contract.Money{Amount: 100_000_001, Currency: "jpy"}, ptr("Mars/Olympus")
			d.EndsAt, d.Status = d.StartsAt, ptr("cancelled")
			d.SalesStartAt, d.SalesEndAt = ptr(contract.At(f.now)), ptr(contract.At(f.now))
		}, []string{
			"cancellationCutoffHours:too_large", "capacity:too_large", "category:too_long", "description:too_long",
			"endsAt:invalid", "maxPerUser:too_large", "name:too_long", "price.amount:too_large", "price.currency:invalid",
			"salesEndAt:invalid", "status:invalid", "timezone:invalid", "venue:too_long",
		}},
		{"all fields below their bounds", func(_ *fixture, d *eventapi.Definition) {
			d.Name, d.Capacity, d.MaxPerUser, d.CancellationCutoffHours = " ", 0, ptr(int64(0)), ptr(int64(-1))
			d.Price, d.Timezone, d.Status = &contract.Money{Amount: -1}, ptr(""), ptr("")
		}, []string{
			"cancellationCutoffHours:too_small", "capacity:too_small", "maxPerUser:too_small", "name:required",
			"price.amount:too_small", "price.currency:invalid", "status:invalid", "timezone:invalid",
		}},
		{"local time", func(_ *fixture, d *eventapi.Definition) { d.Timezone = ptr("Local") }, []string{"timezone:invalid"}},
		{"published after its start", func(f *fixture, d *eventapi.Definition) { d.StartsAt = contract.At(f.now) }, []string{"startsAt:in_past"}},
		{"a draft after its start", func(f *fixture, d *eventapi.Definition) {
			d.StartsAt, d.Status = contract.At(f.now), ptr("draft")
		}, nil},
	} {
		f := newFixture(t)
		_, err := f.create("gala", func(d *eventapi.Definition) { tt.change(f, d) })
		if got := invalidFields(err); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v (%v), want %v", tt.name, got, err, tt.want)
		}
		if tt.want != nil && len(f.ops) > 0 {
			t.Errorf("%s: got operations %v, want none", tt.name, f.ops)
		}
	}
}

func TestUpdateEvent(t *testing.T) {
	for _, tt := range []struct {
		name    string
		before  func(f *fixture)
		changes eventapi.Changes
		version []int64
		want    error
		fields  []string
		check   func(e eventapi.Versioned) bool
	}{
		{name: "a name", changes: eventapi.Changes{Name: contract.Set("New")}, version: []int64{7, 1},
			check: func(e eventapi.Versioned) bool {
				return e.Event.Name == "New" && e.Event.Version == 2 && e.SeatsVersion == 3
			}},
		{name: "another version", changes: eventapi.Changes{Name: contract.Set("New")}, version: []int64{2}, want: event.ErrVersionConflict},
		{name: "no version", changes: eventapi.Changes{Name: contract.Set("New")}, version: []int64{}, want: event.ErrVersionConflict},
		{name: "no changes", want: apperr.New(apperr.Invalid, "", "")},
		{name: "clear optional fields", changes: eventapi.Changes{
			Description: contract.Clear[string](), Category: contract.Clear[string](), Venue: contract.Clear[string](),
			MaxPerUser: contract.Clear[int64](), SalesStartAt: contract.Clear[contract.Time](), SalesEndAt: contract.Clear[contract.Time](),
		}, check: func(e eventapi.Versioned) bool {
			return e.Event.Description == nil && e.Event.Category == nil && e.Event.Venue == nil && e.Event.MaxPerUser == nil && e.Event.SalesStartAt == nil && e.Event.SalesEndAt == nil
		}},
		{name: "clear required fields", changes: eventapi.Changes{
			Name: contract.Clear[string](), StartsAt: contract.Clear[contract.Time](), Capacity: contract.Clear[int64](),
			CancellationCutoffHours: contract.Clear[int64](),
		}, fields: []string{"cancellationCutoffHours:null", "capacity:null", "name:null", "startsAt:null"}},
		{name: "capacity equal to the committed seats", changes: eventapi.Changes{Capacity: contract.Set(int64(2))},
			check: func(e eventapi.Versioned) bool { return e.Event.Capacity == 2 && e.Event.Available == 0 }},
		{name: "capacity below the committed seats", changes: eventapi.Changes{Capacity: contract.Set(int64(1))}, want: event.ErrCapacityCommitted},
		{name: "back to draft with bookings", changes: eventapi.Changes{Status: contract.Set("draft")}, want: event.ErrHasBookings},
		{name: "back to draft without bookings", before: func(f *fixture) { f.release("a_1_x", "u1", 2) }, changes: eventapi.Changes{Status: contract.Set("draft")},
			check: func(e eventapi.Versioned) bool { return e.Event.Status == "draft" }},
		{name: "the current status", changes: eventapi.Changes{Status: contract.Set("published")},
			check: func(e eventapi.Versioned) bool { return e.Event.Status == "published" }},
		{name: "status cancelled", changes: eventapi.Changes{Status: contract.Set("cancelled")}, fields: []string{"status:invalid"}},
		{name: "a cancelled event", before: func(f *fixture) {
			_, err := f.CancelEvent(f.t.Context(), f.change("gala"))
			f.wantErr("cancel", err, nil)
		}, changes: eventapi.Changes{Name: contract.Set("New")}, want: event.ErrCancelled},
		{name: "to the name of another event", before: func(f *fixture) {
			_, err := f.create("other", func(d *eventapi.Definition) { d.Name = "Other" })
			f.wantErr("create", err, nil)
		}, changes: eventapi.Changes{Name: contract.Set("Other")}, want: event.ErrDuplicate},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.createGala(func(d *eventapi.Definition) { d.Description, d.MaxPerUser = ptr("text"), ptr(int64(5)) })
			f.reserve("a_1_x", "u1", 2)
			if tt.before != nil {
				tt.before(f)
			}
			writes := f.store.Writes()
			got, err := f.UpdateEvent(t.Context(), eventapi.UpdateRequest{EventID: "gala", ChangeID: "c", Versions: tt.version, Changes: tt.changes})
			switch {
			case tt.fields != nil:
				if fields := invalidFields(err); !slices.Equal(fields, tt.fields) {
					t.Errorf("got %v, want %v", fields, tt.fields)
				}
			default:
				f.wantErr("update", err, tt.want)
			}
			if tt.check != nil && !tt.check(got) {
				t.Errorf("got %+v, want it with the changes %+v", got, tt.changes)
			}
			if wrote := f.store.Writes() != writes; wrote != (tt.check != nil) {
				t.Errorf("wrote to the store: got %v, want %v", wrote, tt.check != nil)
			}
		})
	}
	f := newFixture(t)
	_, err := f.UpdateEvent(t.Context(), eventapi.UpdateRequest{EventID: "none", ChangeID: "c", Changes: eventapi.Changes{Name: contract.Set("n")}})
	f.wantErr("no event", err, event.ErrNotFound)
}

func TestCancelEventAndDeleteEvent(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("a_1_x", "u1", 2)
	ask := eventapi.GetRequest{EventID: "gala"}
	_, err := f.DeleteEvent(t.Context(), f.change("gala"))
	f.wantErr("delete with bookings", err, event.ErrHasBookings)
	for range 2 {
		got, err := f.CancelEvent(t.Context(), f.change("gala"))
		if err != nil || got.Event.Status != "cancelled" || got.Event.Version != 2 {
			t.Errorf("cancel: got %+v, %v, want status cancelled and version 2", got, err)
		}
	}
	f.release("a_1_x", "u1", 2)
	_, err = f.DeleteEvent(t.Context(), f.change("gala"))
	f.wantErr("delete", err, nil)
	for name, call := range map[string]func() error{
		"get": func() error {
			_, err := f.GetEvent(t.Context(), eventapi.GetRequest{EventID: "gala", ByAdmin: true})
			return err
		},
		"availability": func() error { _, err := f.GetAvailability(t.Context(), ask); return err },
		"cancel":       func() error { _, err := f.CancelEvent(t.Context(), f.change("gala")); return err },
		"delete":       func() error { _, err := f.DeleteEvent(t.Context(), f.change("gala")); return err },
	} {
		f.wantErr(name, call(), event.ErrNotFound)
	}
	var types []string
	for _, fact := range f.store.Unsent() {
		types = append(types, fact.Type)
	}
	if want := []string{eventapi.FactCreated, eventapi.FactCancelled, eventapi.FactDeleted}; !slices.Equal(types, want) {
		t.Errorf("facts: got %v, want %v", types, want)
	}
	_, err = f.create("again", nil)
	f.wantErr("create with the name of the deleted event", err, nil)
}

func TestOnlyAdminsSeeDrafts(t *testing.T) {
	f := newFixture(t)
	f.createGala(func(d *eventapi.Definition) { d.Status = ptr("draft") })
	for _, admin := range []bool{false, true} {
		want := event.ErrNotFound
		listed := 0
		if admin {
			want, listed = nil, 1
		}
		_, err := f.GetEvent(t.Context(), eventapi.GetRequest{EventID: "gala", ByAdmin: admin})
		if want == nil {
			f.wantErr("get as an admin", err, nil)
		} else {
			f.wantErr("get", err, want)
		}
		for _, status := range []string{"", "draft"} {
			page, err := f.ListEvents(t.Context(), eventapi.ListRequest{ByAdmin: admin, Status: status})
			if err != nil || len(page.Items) != listed {
				t.Errorf("admin %v, status %q: got %v, %v, want %d", admin, status, page.Items, err, listed)
			}
		}
	}
}
