package main_test

import (
	"testing"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/eventapi"
)

func TestListCapacityLog(t *testing.T) {
	const path = "/api/events/e1/capacity-log"
	h := newHarness(t)
	h.wantProblem(h.get(path), 401, "auth.token_missing")
	h.wantProblem(h.get(path, bearer(h.token())...), 403, "auth.admin_required")

	h = newHarness(t)
	h.auth.user.Role = authapi.RoleAdmin
	h.event.log = contract.Page[eventapi.CapacityLogEntry]{Limit: 2, NextCursor: "next", Items: []eventapi.CapacityLogEntry{
		{
			ID: "3-0", At: contract.At(time.Date(2030, 1, 2, 3, 4, 5, 6_000_000, time.UTC)), Cause: eventapi.CauseReserved,
			Change: eventapi.CapacityChange{Available: -2, Held: 2}, BookingID: "b1", TraceID: "0102030405060708090a0b0c0d0e0f10",
		},
		{ID: "1-0", At: contract.At(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)), Cause: eventapi.CauseCreated, Change: eventapi.CapacityChange{Available: 9}},
	}}
	res := h.get(path+"?limit=2&cursor=abc", bearer(h.token())...)
	const want = `{"data":[` +
		`{"id":"3-0","at":"2030-01-02T03:04:05.006Z","cause":"reserved","change":{"available":-2,"held":2,"sold":0},"bookingId":"b1","traceId":"0102030405060708090a0b0c0d0e0f10"},` +
		`{"id":"1-0","at":"2030-01-01T00:00:00.000Z","cause":"created","change":{"available":9,"held":0,"sold":0}}` +
		`],"page":{"limit":2,"nextCursor":"next"}}`
	if res.StatusCode != 200 || res.body != want || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d %s, Cache-Control %q, want 200 %s and no-store", res.StatusCode, res.body, res.Header.Get("Cache-Control"), want)
	}
	if got, want := h.event.logRequest, (eventapi.CapacityLogRequest{EventID: "e1", PageRequest: contract.PageRequest{Limit: 2, Cursor: "abc"}}); got != want {
		t.Errorf("request: got %+v, want %+v", got, want)
	}
	h.wantProblem(h.get("/api/events/a.b/capacity-log", bearer(h.token())...), 400, "invalid")
	h.wantProblem(h.get(path+"?limit=no", bearer(h.token())...), 400, "invalid")
	h.event.fail = apperr.New(apperr.NotFound, eventapi.ReasonNotFound, "There is no such event.")
	h.wantProblem(h.get(path, bearer(h.token())...), 404, "event.not_found")
}
