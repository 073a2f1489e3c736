package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/telemetry"
)

// fakeEvent implements the event app's operations. Its fields hold the results to
// return and record the requests. Tests whose requests are concurrent call set to change
// them.
type fakeEvent struct {
	mu     sync.Mutex
	one    eventapi.Versioned // a draft exists for admins only
	seats  eventapi.Seats
	page   contract.Page[eventapi.Event]
	fail   error                  // if not nil, the result of every operation
	replay bool                   // whether CreateEvent reports a replay
	create eventapi.CreateRequest // the last request, as are the following
	update eventapi.UpdateRequest
	change eventapi.ChangeRequest // of CancelEvent or DeleteEvent
	list   eventapi.ListRequest   // of ListEvents or ListOrganizerEvents
	search eventapi.SearchRequest
	get    eventapi.GetRequest

	log        contract.Page[eventapi.CapacityLogEntry]
	logRequest eventapi.CapacityLogRequest // the last request

	reconciliation   eventapi.Reconciliation
	reconcileRequest eventapi.ReconcileRequest // the last request

	calls  map[string]int      // by operation and, if it is an admin's, " by admin"
	before func(called string) // called before an operation, with the key of calls; may be nil
}

// set calls fn while no operation uses the fields.
func (f *fakeEvent) set(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

// count returns how often an operation was called.
func (f *fakeEvent) count(called string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[called]
}

// begin counts a call and locks the fields until the returned function is called.
func (f *fakeEvent) begin(method string, byAdmin bool) (end func()) {
	if byAdmin {
		method += " by admin"
	}
	f.mu.Lock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[method]++
	if before := f.before; before != nil {
		f.mu.Unlock()
		before(method)
		f.mu.Lock()
	}
	return f.mu.Unlock
}

// visible returns the error for a caller that must not see the event.
func (f *fakeEvent) visible(byAdmin bool) error {
	if f.fail == nil && f.one.Event.Status == eventapi.StatusDraft && !byAdmin {
		return apperr.New(apperr.NotFound, eventapi.ReasonNotFound, "There is no such event.")
	}
	return f.fail
}

func (f *fakeEvent) serve(log *slog.Logger, tracing *telemetry.Tracing) http.Handler {
	srv := rpc.NewServer(rpc.ServerConfig{App: eventapi.App, Token: secret, Log: log, Tracing: tracing})
	rpc.Handle(srv, eventapi.CreateEvent, func(_ context.Context, r eventapi.CreateRequest) (eventapi.Created, error) {
		defer f.begin("create", true)()
		f.create = r
		return eventapi.Created{Versioned: f.one, Replayed: f.replay}, f.fail
	})
	rpc.Handle(srv, eventapi.UpdateEvent, func(_ context.Context, r eventapi.UpdateRequest) (eventapi.Versioned, error) {
		defer f.begin("update", true)()
		f.update = r
		return f.one, f.fail
	})
	rpc.Handle(srv, eventapi.CancelEvent, func(_ context.Context, r eventapi.ChangeRequest) (eventapi.Versioned, error) {
		defer f.begin("cancel", true)()
		f.change = r
		return f.one, f.fail
	})
	rpc.Handle(srv, eventapi.DeleteEvent, func(_ context.Context, r eventapi.ChangeRequest) (rpc.Nothing, error) {
		defer f.begin("delete", true)()
		f.change = r
		return rpc.Nothing{}, f.fail
	})
	rpc.Handle(srv, eventapi.ListOrganizerEvents, func(_ context.Context, r eventapi.ListRequest) (contract.Page[eventapi.Event], error) {
		defer f.begin("organizer", r.ByAdmin)()
		f.list = r
		return f.page, f.fail
	})
	rpc.Handle(srv, eventapi.ListEvents, func(_ context.Context, r eventapi.ListRequest) (contract.Page[eventapi.Event], error) {
		defer f.begin("list", r.ByAdmin)()
		f.list = r
		return f.page, f.fail
	})
	rpc.Handle(srv, eventapi.SearchEvents, func(_ context.Context, r eventapi.SearchRequest) (contract.Page[eventapi.Event], error) {
		defer f.begin("search", r.ByAdmin)()
		f.search = r
		return f.page, f.fail
	})
	rpc.Handle(srv, eventapi.GetEvent, func(_ context.Context, r eventapi.GetRequest) (eventapi.Versioned, error) {
		defer f.begin("get", r.ByAdmin)()
		f.get = r
		return f.one, f.visible(r.ByAdmin)
	})
	rpc.Handle(srv, eventapi.GetAvailability, func(_ context.Context, r eventapi.GetRequest) (eventapi.Seats, error) {
		defer f.begin("availability", r.ByAdmin)()
		f.get = r
		return f.seats, f.visible(r.ByAdmin)
	})
	rpc.Handle(srv, eventapi.ListCapacityLog, func(_ context.Context, r eventapi.CapacityLogRequest) (contract.Page[eventapi.CapacityLogEntry], error) {
		f.logRequest = r
		return f.log, f.fail
	})
	rpc.Handle(srv, eventapi.ReconcileEvent, func(_ context.Context, r eventapi.ReconcileRequest) (eventapi.Reconciliation, error) {
		f.reconcileRequest = r
		return f.reconciliation, f.fail
	})
	return srv
}

const eventBody = `{"name":"Gala","startsAt":"2030-01-02T18:00:00Z","endsAt":"2030-01-02T20:00:00+01:00","capacity":10,"maxPerUser":4}`

func TestCreateEvent(t *testing.T) {
	h := newHarness(t)
	h.wantProblem(h.do("POST", "/api/events", eventBody), 401, "auth.token_missing")
	h.wantProblem(h.do("POST", "/api/events", eventBody, bearer(h.token())...), 403, "auth.admin_required")
	h = newHarness(t)
	h.auth.user.Role = authapi.RoleAdmin
	h.event.one = eventapi.Versioned{Event: eventapi.Event{ID: "e1", Version: 1}, SeatsVersion: 1}
	res := h.do("POST", "/api/events", eventBody, bearer(h.token())...)
	if res.StatusCode != 201 || res.Header.Get("Location") != "/api/events/e1" || res.Header.Get("ETag") != `"1-1"` {
		t.Errorf("got %d, Location %q, ETag %q, want 201, /api/events/e1, \"1-1\"", res.StatusCode, res.Header.Get("Location"), res.Header.Get("ETag"))
	}
	r := h.event.create
	if r.EventID == "" || r.OrganizerID != "u1" || r.Event.Name != "Gala" || r.Event.Capacity != 10 || *r.Event.MaxPerUser != 4 ||
		!r.Event.EndsAt.Equal(time.Date(2030, 1, 2, 19, 0, 0, 0, time.UTC)) {
		t.Errorf("request: got %+v, want a new event id, organizer u1 and the fields of %s", r, eventBody)
	}
	first := r.EventID
	h.do("POST", "/api/events", eventBody, bearer(h.token())...)
	if h.event.create.EventID == first {
		t.Errorf("second request: got event id %s again, want a new one", first)
	}
	for field, body := range map[string]string{
		"maxPerUser": `{"maxPerUser":null}`, "startsAt": `{"startsAt":"tomorrow"}`, "organizerId": `{"organizerId":"me"}`,
		"capacity": `{"capacity":1.5}`, "price.amount": `{"price":{"amount":"1"}}`,
	} {
		p := h.wantProblem(h.do("POST", "/api/events", body, bearer(h.token())...), 400, "invalid")
		if len(p.Errors) != 1 || p.Errors[0].Field != field {
			t.Errorf("%s: got errors %v, want one about %s", body, p.Errors, field)
		}
	}
}

func TestCreateEventWithAnIdempotencyKey(t *testing.T) {
	h := newHarness(t)
	h.auth.user.Role = authapi.RoleAdmin
	h.event.one, h.event.replay = eventapi.Versioned{Event: eventapi.Event{ID: "e1", Version: 1}, SeatsVersion: 1}, true
	headers := append(bearer(h.token()), "Idempotency-Key", "k1")
	res := h.do("POST", "/api/events", eventBody, headers...)
	if res.StatusCode != 201 || res.Header.Get("Idempotency-Replayed") != "true" || h.event.create.IdempotencyKey != "k1" {
		t.Errorf("got %d, replayed %q, key %q, want 201, true and k1", res.StatusCode, res.Header.Get("Idempotency-Replayed"), h.event.create.IdempotencyKey)
	}
	h.wantProblem(h.do("POST", "/api/events", eventBody, append(bearer(h.token()), "Idempotency-Key", "")...), 400, "invalid")
	duplicate := apperr.New(apperr.Conflict, eventapi.ReasonDuplicate, "Taken.")
	duplicate.ConflictsWith = "e9"
	h.event.fail = duplicate
	res = h.do("POST", "/api/events", eventBody, bearer(h.token())...)
	h.wantProblem(res, 409, "event.duplicate")
	if got := res.Header.Get("Location"); got != "/api/events/e9" {
		t.Errorf("duplicate: got Location %q, want the existing event", got)
	}
}

func TestUpdateEvent(t *testing.T) {
	h := newHarness(t)
	h.wantProblem(h.do("PUT", "/api/events/e1", `{"name":"New"}`), 401, "auth.token_missing")
	h.wantProblem(h.do("PUT", "/api/events/e1", `{"name":"New"}`, bearer(h.token())...), 403, "auth.admin_required")
	h.auth.user.Role = authapi.RoleAdmin
	h = newHarness(t)
	h.auth.user.Role = authapi.RoleAdmin
	h.event.one = eventapi.Versioned{Event: eventapi.Event{ID: "e1", Version: 4}, SeatsVersion: 9}
	for _, tt := range []struct {
		ifMatch string
		want    []int64 // nil means any version
	}{
		{"*", nil}, {" * ", nil},
		{`"3-7"`, []int64{3}}, {`"3-7", "4-1"`, []int64{3, 4}}, {`"3-7" ,, "4-1",`, []int64{3, 4}},
		{`W/"3-7"`, []int64{}}, {`W/"3-7", "4-1"`, []int64{4}},
		{`"3"`, []int64{}}, {`"3-7x"`, []int64{}}, {`"a,b"`, []int64{}}, {`""`, []int64{}}, {`"03-7"`, []int64{}},
	} {
		res := h.do("PUT", "/api/events/e1", `{"name":"New"}`, append(bearer(h.token()), "If-Match", tt.ifMatch)...)
		if res.StatusCode != 200 || res.Header.Get("ETag") != `"4-9"` {
			t.Errorf("If-Match %s: got %d %s, ETag %q, want 200 and \"4-9\"", tt.ifMatch, res.StatusCode, res.body, res.Header.Get("ETag"))
		}
		if got := h.event.update.Versions; !slices.Equal(got, tt.want) || (got == nil) != (tt.want == nil) {
			t.Errorf("If-Match %s: got versions %v, want %v", tt.ifMatch, got, tt.want)
		}
	}
	for _, malformed := range []string{"", "3-7", `"3-7`, `"3-7" "4-1"`, `*, "3-7"`, `"3-7", *`, `w/"3-7"`, `"a b"`, `'3-7'`} {
		p := h.wantProblem(h.do("PUT", "/api/events/e1", `{"name":"New"}`, append(bearer(h.token()), "If-Match", malformed)...), 400, "invalid")
		if len(p.Errors) != 1 || p.Errors[0].Field != "If-Match" {
			t.Errorf("If-Match %s: got errors %v, want one about If-Match", malformed, p.Errors)
		}
	}
	h.do("PUT", "/api/events/e1", `{"name":"New","description":null,"capacity":7}`, bearer(h.token())...)
	got := h.event.update
	want := eventapi.Changes{Name: contract.Set("New"), Description: contract.Clear[string](), Capacity: contract.Set(int64(7))}
	if got.EventID != "e1" || got.ChangeID == "" || got.Versions != nil || got.Changes != want {
		t.Errorf("got request %+v, want event e1, a change id, any version and %+v", got, want)
	}
	first := got.ChangeID
	h.do("PUT", "/api/events/e1", `{"name":"New"}`, bearer(h.token())...)
	if h.event.update.ChangeID == first {
		t.Error("the second request has the change id of the first one")
	}
	h.wantProblem(h.do("PUT", "/api/events/e1", `{"organizerId":"me"}`, bearer(h.token())...), 400, "invalid")
	h.event.fail = apperr.New(apperr.PreconditionFailed, eventapi.ReasonVersionConflict, "Changed.")
	h.wantProblem(h.do("PUT", "/api/events/e1", `{"name":"New"}`, bearer(h.token())...), 412, "event.version_conflict")
}

func TestCancelEventAndDeleteEvent(t *testing.T) {
	h := newHarness(t)
	for _, tt := range []struct{ method, path, body string }{
		{"DELETE", "/api/events/e1", `{"message":"The event has been deleted."}`},
		{"POST", "/api/events/e1/cancel", ""},
	} {
		h.auth.user.Role = authapi.RoleUser
		h.wantProblem(h.do(tt.method, tt.path, "", bearer(h.token())...), 403, "auth.admin_required")
		h = newHarness(t)
		h.auth.user.Role = authapi.RoleAdmin
		h.event.one = eventapi.Versioned{Event: eventapi.Event{ID: "e1", Status: "cancelled", Version: 2}, SeatsVersion: 3}
		res := h.do(tt.method, tt.path, "", bearer(h.token())...)
		if res.StatusCode != 200 || tt.body != "" && res.body != tt.body {
			t.Errorf("%s %s: got %d %s, want 200 %s", tt.method, tt.path, res.StatusCode, res.body, tt.body)
		}
		if got := h.event.change; got.EventID != "e1" || got.ChangeID == "" {
			t.Errorf("%s %s: got request %+v, want event e1 and a change id", tt.method, tt.path, got)
		}
		h.event.change = eventapi.ChangeRequest{}
		h.event.fail = apperr.New(apperr.Conflict, eventapi.ReasonHasBookings, "Booked.")
		h.wantProblem(h.do(tt.method, tt.path, "", bearer(h.token())...), 409, "event.has_bookings")
	}
}

func TestListOrganizerEvents(t *testing.T) {
	h := newHarness(t)
	h.wantProblem(h.get("/api/events/organizer/u7"), 401, "auth.token_missing")
	h.event.page = contract.Page[eventapi.Event]{Items: []eventapi.Event{{ID: "e1"}}, Limit: 5}
	res := h.get("/api/events/organizer/u7?limit=5&sort=name", bearer(h.token())...)
	if res.StatusCode != 200 || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %d, Cache-Control %q, want 200 and no-store", res.StatusCode, res.Header.Get("Cache-Control"))
	}
	if got := h.event.list; got.OrganizerID != "u7" || got.Limit != 5 || got.Sort != "name" || got.ByAdmin {
		t.Errorf("got request %+v, want the organizer u7, limit 5, sorted by name", got)
	}
	h.wantProblem(h.get("/api/events/organizer/a.b", bearer(h.token())...), 400, "invalid")
	h.event.list = eventapi.ListRequest{}
	h.get("/api/events/organizer/availability", bearer(h.token())...)
	if h.event.list.OrganizerID != "availability" {
		t.Errorf("got organizer %q, want availability", h.event.list.OrganizerID)
	}
}

func TestEventResponsesAreCacheable(t *testing.T) {
	h := newHarness(t)
	h.event.one = eventapi.Versioned{Event: eventapi.Event{ID: "e1", Version: 3}, SeatsVersion: 7}
	const tag = `"3-7"`
	for _, tt := range []struct {
		ifNoneMatch string
		status      int
	}{
		{"", 200}, {tag, 304}, {"W/" + tag, 304}, {`"1-1", ` + tag, 304}, {"*", 304}, {`"3-8"`, 200}, {`3-7`, 200},
	} {
		res := h.get("/api/events/e1", "If-None-Match", tt.ifNoneMatch)
		wantHeaders(t, res)
		if res.StatusCode != tt.status || (res.body == "") != (tt.status == 304) || res.Header.Get("ETag") != tag {
			t.Errorf("If-None-Match %q: got %d %q, ETag %q, want %d, ETag %q", tt.ifNoneMatch, res.StatusCode, res.body, res.Header.Get("ETag"), tt.status, tag)
		}
	}
	for _, path := range []string{"/api/events", "/api/events/e1", "/api/events/e1/availability"} {
		h.auth.user.Role = authapi.RoleUser
		res := h.get(path)
		if got := res.Header.Get("Cache-Control"); got != "public, max-age=1" || res.Header.Get("Vary") != "Authorization" {
			t.Errorf("%s: got Cache-Control %q, Vary %q, want public, max-age=1 and Authorization", path, got, res.Header.Get("Vary"))
		}
		h.auth.user.Role = authapi.RoleAdmin
		res = h.get(path, bearer(h.token())...)
		if got := res.Header.Get("Cache-Control"); got != "private, no-store" {
			t.Errorf("%s as an admin: got Cache-Control %q, want private, no-store", path, got)
		}
		if !h.event.get.ByAdmin && !h.event.list.ByAdmin {
			t.Errorf("%s as an admin: got ByAdmin false in the request, want true", path)
		}
		h.wantProblem(h.get(path, "Authorization", "Bearer nonsense"), 401, "auth.token_invalid")
	}
	h.wantProblem(h.get("/api/events/a.b"), 400, "invalid")
}

func TestListEvents(t *testing.T) {
	h := newHarness(t)
	h.event.page = contract.Page[eventapi.Event]{Limit: 20}
	if res := h.get("/api/events"); res.body != `{"data":[],"page":{"limit":20,"nextCursor":null}}` {
		t.Errorf("got %s, want an empty page", res.body)
	}
	h.event.page = contract.Page[eventapi.Event]{Items: []eventapi.Event{{ID: "e1"}}, Limit: 2, NextCursor: "next"}
	res := h.get("/api/events?category=a%26b+c&status=published&from=2030-01-01T00:00:00Z&to=2030-02-01T01:00:00%2B01:00&sort=-startsAt&limit=2&cursor=abc")
	var got struct {
		Data []eventapi.Event
		Page struct {
			Limit      int
			NextCursor string
		}
	}
	if err := json.Unmarshal([]byte(res.body), &got); err != nil || len(got.Data) != 1 || got.Page.Limit != 2 || got.Page.NextCursor != "next" {
		t.Errorf("got %s, %v, want one event, limit 2 and a next cursor", res.body, err)
	}
	from, to := contract.At(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)), contract.At(time.Date(2030, 2, 1, 0, 0, 0, 0, time.UTC))
	list := h.event.list
	if list.From == nil || *list.From != from || list.To == nil || *list.To != to {
		t.Errorf("request: got from %v, to %v, want %v, %v", list.From, list.To, from, to)
	}
	list.From, list.To = nil, nil
	want := eventapi.ListRequest{
		PageRequest: contract.PageRequest{Limit: 2, Cursor: "abc"}, Category: "a&b c", Status: "published", Sort: "-startsAt",
	}
	if list != want {
		t.Errorf("request: got %+v, want %+v", list, want)
	}
	// The problem document also lists the fields that the app reports, except cursor.
	h.event.fail = apperr.InvalidFields(apperr.Field{Field: "sort"}, apperr.Field{Field: "limit"}, apperr.Field{Field: "cursor"})
	p := h.wantProblem(h.get("/api/events?limit=101&from=today&to=9999-12-31T23:59:59-01:00&sort=x&cursor=y"), 400, "invalid")
	var fields []string
	for _, e := range p.Errors {
		fields = append(fields, e.Field)
	}
	if slices.Sort(fields); !slices.Equal(fields, []string{"from", "limit", "sort", "to"}) {
		t.Errorf("got errors about %v, want from, limit, sort, to", fields)
	}
}

// The event app is healthy but too busy. The client must learn when to send the request
// again, as it does after a failure.
func TestOverloadedAppCausesUnavailableWithRetryAfter(t *testing.T) {
	h := newHarness(t)
	h.event.set(func() { h.event.fail = fmt.Errorf("update event e1: %w", apperr.Overloaded(7*time.Second)) })
	h.auth.user.Role = authapi.RoleAdmin
	res := h.do("PUT", "/api/events/e1", `{"name":"New"}`, bearer(h.token())...)
	h.wantProblem(res, 503, "unavailable")
	if got := res.Header.Get("Retry-After"); got != "7" {
		t.Errorf("got Retry-After %q, want 7", got)
	}
}
