package event_test

import (
	"slices"
	"testing"

	"boxoffice/apps/event/internal/event"
	"boxoffice/shared/contract/eventapi"
)

// The count of comparisons tells "no drift" from "nothing is compared".
func TestComparisonsAreCountedByOutcome(t *testing.T) {
	f := newDriftFixture(t)
	counted := func(what string, want ...event.Compared) {
		t.Helper()
		if !slices.Equal(f.counted, want) {
			t.Errorf("%s: got %q, want %q", what, f.counted, want)
		}
		f.counted = nil
	}
	f.reconcile(false)
	counted("a request", event.ComparedAll)
	_, err := f.Cleanup(t.Context())
	f.wantErr("clean up", err, nil)
	counted("the job", event.ComparedAll)
	f.cancelBooking("b_1_x")
	f.reconcile(false)
	counted("a request that compares twice", event.ComparedAll, event.ComparedAll)

	f.onOp = func(op string) {
		if op == "holds.counted" {
			f.reserve(f.NewID()+"_1_x", "u1", 1)
		}
	}
	f.reconcile(false)
	counted("seats move", event.ComparedInPart, event.ComparedInPart)
	f.onOp = nil
	_, err = f.ReconcileEvent(t.Context(), eventapi.ReconcileRequest{EventID: "none"})
	f.wantErr("an unknown event", err, event.ErrNotFound)
	counted("an unknown event")
	f.settleErr = errLost
	_, err = f.ReconcileEvent(t.Context(), eventapi.ReconcileRequest{EventID: "gala"})
	f.wantErr("the booking app is unreachable", err, errLost)
	counted("the booking app is unreachable", event.ComparedNothing)
}
