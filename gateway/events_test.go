package main_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
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
// return and record the requests.
type fakeEvent struct {
	one    eventapi.Versioned
	seats  eventapi.Availability
	page   contract.Page[eventapi.Event]
	fail   error                  // if not nil, the result of every operation
	create eventapi.CreateRequest // the last request
	list   eventapi.ListRequest   // the last request
	get    eventapi.GetRequest    // the last request
}

func (f *fakeEvent) serve(log *slog.Logger, tracing *telemetry.Tracing) http.Handler {
	srv := rpc.NewServer(rpc.ServerConfig{App: eventapi.App, Token: secret, Log: log, Tracing: tracing})
	rpc.Handle(srv, eventapi.CreateEvent, func(_ context.Context, r eventapi.CreateRequest) (eventapi.Versioned, error) {
		f.create = r
		return f.one, f.fail
	})
	rpc.Handle(srv, eventapi.ListEvents, func(_ context.Context, r eventapi.ListRequest) (contract.Page[eventapi.Event], error) {
		f.list = r
		return f.page, f.fail
	})
	rpc.Handle(srv, eventapi.GetEvent, func(_ context.Context, r eventapi.GetRequest) (eventapi.Versioned, error) {
		f.get = r
		return f.one, f.fail
	})
	rpc.Handle(srv, eventapi.GetAvailability, func(_ context.Context, r eventapi.GetRequest) (eventapi.Availability, error) {
		f.get = r
		return f.seats, f.fail
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
