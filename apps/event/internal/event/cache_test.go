package event_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"boxoffice/apps/event/eventtest"
	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

func TestCacheHasCopiesOfPublicEvents(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	wantCopy := func(what string, want bool) {
		t.Helper()
		if _, got := f.copies["gala"]; got != want {
			t.Errorf("%s: got a copy %v, want %v", what, got, want)
		}
	}
	wantCopy("after the creation", true)
	_, err := f.UpdateEvent(t.Context(), eventapi.UpdateRequest{EventID: "gala", ChangeID: "c", Changes: eventapi.Changes{Name: contract.Set("New")}})
	f.wantErr("update", err, nil)
	wantCopy("after a change", false)

	read := func() {
		t.Helper()
		_, err := f.GetEvent(t.Context(), eventapi.GetRequest{EventID: "gala"})
		f.wantErr("read", err, nil)
	}
	read()
	if got := f.copies["gala"]; got.Event.Name != "New" || got.CopiedAt == nil || !got.CopiedAt.Equal(f.now) {
		t.Errorf("after a read: got %+v, want the changed event, copied now", got)
	}
	clear(f.copies)
	read()
	wantCopy("after a second read", false) // the process stores a copy twice a minute at most
	f.now = f.now.Add(30 * time.Second)
	read()
	wantCopy("after a read half a minute later", true)

	// Reads of many events store few copies.
	for n := range 20 {
		id := fmt.Sprint("event-", n)
		_, err := f.create(id, func(d *eventapi.Definition) { d.Name = id })
		f.wantErr("create", err, nil)
	}
	clear(f.copies)
	f.now = f.now.Add(time.Minute)
	for n := range 20 {
		_, err := f.GetEvent(t.Context(), eventapi.GetRequest{EventID: fmt.Sprint("event-", n)})
		f.wantErr("read", err, nil)
		f.now = f.now.Add(10 * time.Millisecond)
	}
	if n := len(f.copies); n != 2 {
		t.Errorf("got %d copies after 20 reads in 0.2 s, want 2", n)
	}

	_, err = f.DeleteEvent(t.Context(), f.change("gala"))
	f.wantErr("delete", err, nil)
	wantCopy("after the deletion", false)
	_, err = f.create("sketch", func(d *eventapi.Definition) { d.Status = ptr("draft") })
	f.wantErr("create a draft", err, nil)
	if _, ok := f.copies["sketch"]; ok {
		t.Error("got a copy of a draft")
	}
}

func TestCacheAnswersTheGuestsWhileTheStoreFails(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	failing := event.New(event.Config{
		Observer: eventtest.NoObserver{}, SweepParallel: 1,
		Events: f.store.WithGate(func(string) (before, after error) { return errors.New("unreachable"), nil }),
		Cache:  f.copies, Clock: f,
	})
	got, err := failing.GetEvent(t.Context(), eventapi.GetRequest{EventID: "gala"})
	if err != nil || got.Event.Name != "Gala" || got.CopiedAt == nil {
		t.Errorf("guest: got %+v, %v, want the copy", got, err)
	}
	for what, req := range map[string]eventapi.GetRequest{
		"no copy": {EventID: "other"}, "admin": {EventID: "gala", ByAdmin: true},
	} {
		if _, err := failing.GetEvent(t.Context(), req); apperr.VerdictOf(err) != apperr.Unknown {
			t.Errorf("%s: got %v, want the store's failure", what, err)
		}
	}
	if _, err := failing.GetAvailability(t.Context(), eventapi.GetRequest{EventID: "gala"}); err == nil {
		t.Error("availability: got a copy, want the store's failure")
	}
	// An event that the store does not have is not found, even if there is a copy.
	f.copies["gone"] = f.copies["gala"]
	_, err = f.GetEvent(t.Context(), eventapi.GetRequest{EventID: "gone"})
	f.wantErr("event without a document", err, event.ErrNotFound)
}
