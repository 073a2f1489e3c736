package main_test

import (
	"testing"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/eventapi"
)

func TestReconcileEvent(t *testing.T) {
	const path = "/api/events/e1/reconcile"
	h := newHarness(t)
	h.wantProblem(h.do("POST", path, ""), 401, "auth.token_missing")
	h.wantProblem(h.do("POST", path, "", bearer(h.token())...), 403, "auth.admin_required")

	h = newHarness(t)
	h.auth.user.Role = authapi.RoleAdmin
	counted, holds := eventapi.CapacityChange{Available: 7, Held: 2, Sold: 1}, eventapi.CapacityChange{Available: 8, Held: 1, Sold: 1}
	drift := []eventapi.Drift{
		{Kind: eventapi.DriftCounters, Counters: &counted, Holds: &holds},
		{Kind: eventapi.DriftNotLive, BookingID: "b1", HoldID: "b1_1_x"},
	}
	h.event.reconciliation = eventapi.Reconciliation{
		EventID: "e1", CheckedAt: contract.At(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)), Complete: true,
		Drift: drift, DriftTotal: 2, Mended: []eventapi.Mend{{Drift: drift[1], Action: eventapi.MendReleased}},
	}
	const want = `{"eventId":"e1","checkedAt":"2030-01-02T03:04:05.000Z","complete":true,"drift":[` +
		`{"kind":"counters_differ","counters":{"available":7,"held":2,"sold":1},"holds":{"available":8,"held":1,"sold":1}},` +
		`{"kind":"booking_not_live","bookingId":"b1","holdId":"b1_1_x"}],"driftTotal":2,` +
		`"mended":[{"kind":"booking_not_live","bookingId":"b1","holdId":"b1_1_x","action":"released"}]}`
	for body, mend := range map[string]bool{"": false, "{}": false, `{"mend":false}`: false, `{"mend":true}`: true} {
		res := h.do("POST", path, body, bearer(h.token())...)
		if res.StatusCode != 200 || res.body != want {
			t.Errorf("%s: got %d %s, want 200 %s", body, res.StatusCode, res.body, want)
		}
		if got, want := h.event.reconcileRequest, (eventapi.ReconcileRequest{EventID: "e1", Mend: mend}); got != want {
			t.Errorf("%s: got the request %+v, want %+v", body, got, want)
		}
	}
	h.wantProblem(h.do("POST", path, `{"mend":"yes"}`, bearer(h.token())...), 400, "invalid")
	h.wantProblem(h.do("POST", path, `{"repair":true}`, bearer(h.token())...), 400, "invalid")
	h.wantProblem(h.do("POST", "/api/events/a.b/reconcile", "", bearer(h.token())...), 400, "invalid")
	h.event.fail = apperr.New(apperr.NotFound, eventapi.ReasonNotFound, "There is no such event.")
	h.wantProblem(h.do("POST", path, "", bearer(h.token())...), 404, "event.not_found")
}
