package main_test

import (
	"strings"
	"testing"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/eventapi"
)

func TestSearchEvents(t *testing.T) {
	h := newHarness(t)
	h.event.page = contract.Page[eventapi.Event]{Items: []eventapi.Event{{ID: "e1"}}, Limit: 2, NextCursor: "next"}
	for path, want := range map[string]string{
		"beyonce":                  "beyonce",
		"Beyonc%C3%A9":             "Beyoncé",
		"two%20words":              "two words",
		"a+b":                      "a+b",
		"AC%2FDC":                  "AC/DC",
		"%2F":                      "/",
		"%2E%2E":                   "..",
		"50%25":                    "50%",
		"100%2525":                 "100%25", // decoded once
		"%24regex":                 "$regex",
		"(a+)+$":                   "(a+)+$",
		".*":                       ".*",
		"%5B":                      "[",
		"%00":                      "\x00",
		"availability":             "availability", // also matches /api/events/:eventId/availability
		"search":                   "search",
		strings.Repeat("x", 10000): strings.Repeat("x", 10000),
	} {
		h.event.search = eventapi.SearchRequest{}
		res := h.get("/api/events/search/" + path + "?limit=2&cursor=abc")
		wantHeaders(t, res)
		if res.StatusCode != 200 || !strings.HasSuffix(res.body, `"page":{"limit":2,"nextCursor":"next"}}`) {
			t.Errorf("%.40s: got %d %.200s, want 200 and a list", path, res.StatusCode, res.body)
		}
		if got := res.Header.Get("Cache-Control"); got != "public, max-age=1" || res.Header.Get("Vary") != "Authorization" {
			t.Errorf("%.40s: got Cache-Control %q, Vary %q, want public, max-age=1 and Authorization", path, got, res.Header.Get("Vary"))
		}
		if got, want := h.event.search, (eventapi.SearchRequest{PageRequest: contract.PageRequest{Limit: 2, Cursor: "abc"}, Term: want}); got != want {
			t.Errorf("%.40s: got the request %+v, want %+v", path, got, want)
		}
		if head := h.do("HEAD", "/api/events/search/"+path, ""); head.StatusCode != 200 || head.body != "" {
			t.Errorf("HEAD %.40s: got %d %q, want 200 without a body", path, head.StatusCode, head.body)
		}
	}
	h.auth.user.Role = authapi.RoleAdmin
	res := h.get("/api/events/search/a", bearer(h.token())...)
	if got := res.Header.Get("Cache-Control"); got != "private, no-store" || !h.event.search.ByAdmin {
		t.Errorf("as an admin: got Cache-Control %q, ByAdmin %v, want private, no-store and true", got, h.event.search.ByAdmin)
	}
}

func TestSearchEventsRefusals(t *testing.T) {
	h := newHarness(t)
	// The http package does not send paths with malformed escapes.
	addr := listen(t, h.server)
	for _, path := range []string{"%zz", "%", "a%F", "%FF", "Beyonc%E9", "%ED%A0%80"} { // the last one is a surrogate
		p := h.wantProblem(sendRaw(t, addr, "GET /api/events/search/"+path+" HTTP/1.1\r\nHost: a\r\n\r\n"), 400, "invalid")
		if len(p.Errors) != 1 || p.Errors[0].Field != "searchTerm" {
			t.Errorf("%s: got errors %v, want one about searchTerm", path, p.Errors)
		}
	}
	// The problem lists the parameters that the gateway refuses and those that the app does.
	h.event.fail = apperr.InvalidFields(apperr.Field{Field: "searchTerm", Code: "too_long"})
	p := h.wantProblem(h.get("/api/events/search/long?limit=0x"), 400, "invalid")
	if len(p.Errors) != 2 || p.Errors[0].Field != "limit" || p.Errors[1].Field != "searchTerm" {
		t.Errorf("got errors %v, want limit and searchTerm", p.Errors)
	}
	h.event.fail = nil
	h.wantProblem(h.get("/api/events/search/"), 404, "not_found")
	h.wantProblem(h.get("/api/events/search/a/b"), 404, "not_found")
	h.wantProblem(h.do("POST", "/api/events/search/a", "{}"), 405, "method_not_allowed")
	h.wantProblem(h.get("/api/events/search/a", "Authorization", "Bearer nonsense"), 401, "auth.token_invalid")
	// The paths of events still lead to events.
	h.event.one = eventapi.Versioned{Event: eventapi.Event{ID: "search", Version: 1}, SeatsVersion: 1}
	if res := h.get("/api/events/search"); res.StatusCode != 200 || h.event.get.EventID != "search" {
		t.Errorf("/api/events/search: got %d for the event %q, want the event with this id", res.StatusCode, h.event.get.EventID)
	}
	if res := h.get("/api/events/e1/availability"); res.StatusCode != 200 || h.event.get.EventID != "e1" {
		t.Errorf("availability: got %d for the event %q, want e1", res.StatusCode, h.event.get.EventID)
	}
}
