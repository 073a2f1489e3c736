package event_test

import (
	"errors"
	"fmt"
	"testing"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

// TestRetryOfAChangeIsRecognised repeats changes whose answers were lost, as sidecars do.
func TestRetryOfAChangeIsRecognised(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	rename := func(id, name string) (eventapi.Versioned, error) {
		return f.UpdateEvent(t.Context(), eventapi.UpdateRequest{
			EventID: "gala", ChangeID: id, Versions: []int64{1}, Changes: eventapi.Changes{Name: contract.Set(name)},
		})
	}
	first, err := rename("c1", "New")
	f.wantErr("update", err, nil)
	writes := f.store.Writes()
	again, err := rename("c1", "New")
	if err != nil || again != first || f.store.Writes() != writes {
		t.Errorf("retry of an update: got %+v, %v, want %+v and no write", again, err, first)
	}
	_, err = rename("c2", "Newer")
	f.wantErr("another update from the same version", err, event.ErrVersionConflict)

	ask := eventapi.ChangeRequest{EventID: "gala", ChangeID: "d1"}
	for range 2 {
		_, err := f.DeleteEvent(t.Context(), ask)
		f.wantErr("delete and its retry", err, nil)
	}
	_, err = f.DeleteEvent(t.Context(), f.change("gala"))
	f.wantErr("another delete", err, event.ErrNotFound)
	_, err = rename("c1", "New")
	f.wantErr("retry of an update after the deletion", err, nil)
}

func TestChangeIDsAreBounded(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	for n := range 100 {
		for _, fact := range f.store.Unsent() {
			f.store.MarkSent(fact.Subject, fact.ID)
		}
		_, err := f.UpdateEvent(t.Context(), eventapi.UpdateRequest{
			EventID: "gala", ChangeID: fmt.Sprint("c", n), Changes: eventapi.Changes{Name: contract.Set(fmt.Sprint("Gala ", n))},
		})
		f.wantErr("update", err, nil)
	}
	ids := f.store.Contents().Events["gala"].ChangeIDs
	if len(ids) != 32 || ids[31] != "c99" {
		t.Errorf("got %v, want the last 32 ids", ids)
	}
}

func TestChangesWaitWhileFactsCannotBePublished(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	update := func(n int) error {
		_, err := f.UpdateEvent(t.Context(), eventapi.UpdateRequest{
			EventID: "gala", ChangeID: fmt.Sprint("c", n), Changes: eventapi.Changes{Name: contract.Set(fmt.Sprint("Gala ", n))},
		})
		return err
	}
	for n := range event.MaxFacts - 1 { // the outbox has the fact of the creation
		f.wantErr("update", update(n), nil)
	}
	err := update(99)
	if apperr.VerdictOf(err) != apperr.Retryable || !errors.Is(err, event.ErrOutboxFull) {
		t.Errorf("got %v, want overloaded because of %v", err, event.ErrOutboxFull)
	}
	if name := f.store.Contents().Events["gala"].Name; name != fmt.Sprint("Gala ", event.MaxFacts-2) {
		t.Errorf("got the name %q, want that of the last update that succeeded", name)
	}
	_, err = f.CancelEvent(t.Context(), f.change("gala"))
	f.wantErr("cancel", err, nil)
}
