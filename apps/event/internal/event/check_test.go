package event_test

import (
	"slices"
	"testing"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/eventapi"
)

// A check names the invalid values of a request, and writes nothing.
func TestChecksNameInvalidValues(t *testing.T) {
	f := newFixture(t)
	f.createGala(nil)
	create := eventapi.CreateRequest{OrganizerID: "admin", IdempotencyKey: "a b", Event: f.define(func(d *eventapi.Definition) { d.Capacity = 0 })}
	if got, want := invalidFields(f.CheckCreateEvent(t.Context(), create)), []string{"Idempotency-Key:invalid", "capacity:too_small"}; !slices.Equal(got, want) {
		t.Errorf("create: got %v, want %v", got, want)
	}
	update := eventapi.UpdateRequest{EventID: "gala", ChangeID: "c1", Changes: eventapi.Changes{Capacity: contract.Set(int64(0)), Timezone: contract.Set("Local")}}
	if got, want := invalidFields(f.CheckUpdateEvent(t.Context(), update)), []string{"capacity:too_small", "timezone:invalid"}; !slices.Equal(got, want) {
		t.Errorf("update: got %v, want %v", got, want)
	}
	update.EventID = "none"
	if err := f.CheckUpdateEvent(t.Context(), update); err != nil {
		t.Errorf("update of an unknown event: got %v, want no error", err)
	}
	if e, err := f.GetEvent(t.Context(), eventapi.GetRequest{EventID: "gala"}); err != nil || e.Event.Version != 1 || e.Event.Capacity == 0 {
		t.Errorf("after the checks: got %+v, %v, want the event unchanged", e.Event, err)
	}
}
