package event_test

import (
	"encoding/json"
	"strings"
	"testing"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract/eventapi"
)

// progress returns the progress of the gala's cancellation as an admin or another client
// sees it, in a read and in a list.
func (f *fixture) progress(byAdmin bool) (read, listed *eventapi.Cancellation) {
	f.t.Helper()
	one, err := f.GetEvent(f.t.Context(), eventapi.GetRequest{EventID: "gala", ByAdmin: byAdmin})
	f.wantErr("get", err, nil)
	list, err := f.ListEvents(f.t.Context(), eventapi.ListRequest{ByAdmin: byAdmin})
	f.wantErr("list", err, nil)
	if len(list.Items) != 1 {
		f.t.Fatalf("got %d events in the list, want 1", len(list.Items))
	}
	return one.Event.Cancellation, list.Items[0].Cancellation
}

// wantProgress checks what admins see, and that others see nothing.
func (f *fixture) wantProgress(what string, want *eventapi.Cancellation) {
	f.t.Helper()
	read, listed := f.progress(true)
	for _, got := range []*eventapi.Cancellation{read, listed} {
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			f.t.Errorf("%s: admins see %+v, want %+v", what, got, want)
		}
	}
	if read, listed := f.progress(false); read != nil || listed != nil {
		f.t.Errorf("%s: other clients see %+v and %+v, want nothing", what, read, listed)
	}
}

func TestAdminsSeeTheProgressOfACancellation(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	f.reserve("held_1_x", "u1", 2)
	f.reserve("sold_1_x", "u1", 3)
	f.reserve("gone_1_x", "u2", 1)
	f.wantErr("sell", f.OnBookingConfirmed(t.Context(), f.fact("sold_1_x", "u1", 3)), nil)
	f.release("gone_1_x", "u2", 1)
	f.wantProgress("published", nil)

	cancelled, err := f.CancelEvent(t.Context(), f.change("gala"))
	f.wantErr("cancel", err, nil)
	if p := cancelled.Event.Cancellation; p == nil || *p != (eventapi.Cancellation{Total: 2}) {
		t.Errorf("got %+v, want 0 of 2", p)
	}
	f.wantProgress("cancelled", &eventapi.Cancellation{Total: 2})
	tag := func() string {
		v, err := f.GetEvent(t.Context(), eventapi.GetRequest{EventID: "gala", ByAdmin: true})
		f.wantErr("get", err, nil)
		return v.ETag()
	}
	before := tag()
	f.release("held_1_x", "u1", 2)
	f.release("held_1_x", "u1", 2)
	f.wantProgress("one released", &eventapi.Cancellation{Total: 2, Done: 1})
	if tag() == before {
		t.Error("the progress changed, but not the ETag")
	}
	f.release("unknown_1_x", "u3", 1)
	f.wantProgress("a tombstone", &eventapi.Cancellation{Total: 2, Done: 1})
	_, err = f.CancelEvent(t.Context(), f.change("gala"))
	f.wantErr("cancel again", err, nil)
	f.wantProgress("cancelled again", &eventapi.Cancellation{Total: 2, Done: 1})
	f.release("sold_1_x", "u1", 3)
	f.wantProgress("both released", &eventapi.Cancellation{Total: 2, Done: 2})

	for _, fact := range f.store.Facts() {
		if strings.Contains(string(fact.Data), `"cancellation"`) {
			t.Errorf("the fact %s announces the progress: %s", fact.Type, fact.Data)
		}
	}
	// Absent rather than null, so that other clients learn nothing.
	if text, err := json.Marshal(event.Event{Status: event.Cancelled}.Public()); err != nil || strings.Contains(string(text), `"cancellation"`) {
		t.Errorf("got %s, %v, want no field cancellation", text, err)
	}
}

func TestSeatsWriteCountsLiveHolds(t *testing.T) {
	s := event.Seats{Capacity: 10, Available: 2, Held: 4, Sold: 4, Live: 5}
	hold := func(id string, state event.HoldState) event.Hold {
		return event.Hold{ID: id, Quantity: 2, State: state}
	}
	for _, tt := range []struct {
		name string
		from event.HoldState
		to   event.HoldState
		want int64
	}{
		{"reserve", "", event.Held, 6},
		{"sell", event.Held, event.Sold, 5},
		{"release a held one", event.Held, event.Released, 4},
		{"release a sold one", event.Sold, event.Released, 4},
		{"tombstone", "", event.Released, 5},
	} {
		w := s.NewWrite("e")
		if err := w.Add(event.Move{From: tt.from, To: hold("h", tt.to)}); err != nil || w.Live != tt.want || w.Apply(s).Live != tt.want {
			t.Errorf("%s: got %+v, %v, want %d live holds", tt.name, w, err, tt.want)
		}
	}
	// Nothing but a display depends on the number, so a release never fails because of it.
	s.Live = 0
	w := s.NewWrite("e")
	if err := w.Add(event.Move{From: event.Held, To: hold("h", event.Released)}); err != nil || w.Live != 0 {
		t.Errorf("without live holds: got %+v, %v, want none", w, err)
	}
}
