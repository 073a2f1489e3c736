package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"boxoffice/test/stack"
)

// A refused request must leave the events as they are.
func TestRefusedRequestsChangeNoEvent(t *testing.T) {
	admin, account := running.Admin(t)
	category := stack.Unique("ballet")
	create := func(name string, change map[string]any) (id string) {
		t.Helper()
		body := stack.EventBody(stack.Unique(name), category)
		for field, value := range change {
			body[field] = value
		}
		var created event
		admin.Do(t, "POST", "/api/events", body).Want(t, 201, &created)
		return created.ID
	}
	start := time.Now().Add(48 * time.Hour).UTC()
	at := map[string]any{"startsAt": start, "endsAt": start.Add(time.Hour)}
	gala, other := create("Giselle", at), create("Coppelia", at)
	cancelled := create("Onegin", nil)
	admin.Do(t, "POST", "/api/events/"+cancelled+"/cancel", nil).Want(t, 200, nil)
	past := time.Now().Add(-time.Hour).UTC()
	started := create("Nutcracker", map[string]any{"status": "draft", "startsAt": past, "endsAt": past.Add(2 * time.Hour)})
	user, _ := running.Register(t)
	user.Book(t, gala, 2, "").Want(t, 201, nil)
	var twin event
	admin.Do(t, "GET", "/api/events/"+other, nil).Want(t, 200, &twin)

	state := func() string {
		t.Helper()
		var all []string
		for _, path := range []string{
			"/api/events?category=" + category, "/api/events/" + gala, "/api/events/" + other, "/api/events/" + cancelled, "/api/events/" + started,
		} {
			res := admin.Do(t, "GET", path, nil)
			res.Want(t, 200, nil)
			all = append(all, res.Text+res.Header.Get("ETag"))
		}
		return strings.Join(all, "\n")
	}
	before := state()

	body := func(field string, value any) map[string]any {
		b := stack.EventBody(stack.Unique("Spartacus"), category)
		if b[field] = value; value == nil {
			delete(b, field)
		}
		return b
	}
	put := func(field string, value any) map[string]any { return map[string]any{field: value} }
	const list, item = "/api/events", "/api/events/%s"
	for _, tt := range []struct {
		name, method, path string
		body               any
		status             int
		code               string
		headers            []string
	}{
		{"missing name", "POST", list, body("name", nil), 400, "invalid", nil},
		{"blank name", "POST", list, body("name", " \t"), 400, "invalid", nil},
		{"201 characters", "POST", list, body("name", strings.Repeat("é", 201)), 400, "invalid", nil},
		{"end before start", "POST", list, body("endsAt", start.Add(-time.Hour)), 400, "invalid", nil},
		{"year 99999", "POST", list, body("endsAt", "99999-01-01T00:00:00Z"), 400, "invalid", nil},
		{"unknown zone", "POST", list, body("timezone", "posix/Europe/Berlin"), 400, "invalid", nil},
		{"capacity 0", "POST", list, body("capacity", 0), 400, "invalid", nil},
		{"capacity -1", "POST", list, body("capacity", -1), 400, "invalid", nil},
		{"capacity 1.5", "POST", list, body("capacity", 1.5), 400, "invalid", nil},
		{"capacity in quotes", "POST", list, body("capacity", "10"), 400, "invalid", nil},
		{"capacity 2^31", "POST", list, body("capacity", int64(1)<<31), 400, "invalid", nil},
		{"capacity 10^9", "POST", list, body("capacity", 1_000_000_000), 400, "invalid", nil},
		{"negative price", "POST", list, body("price", map[string]any{"amount": -1, "currency": "EUR"}), 400, "invalid", nil},
		{"fractional price", "POST", list, body("price", map[string]any{"amount": 9.99, "currency": "EUR"}), 400, "invalid", nil},
		{"price without a currency", "POST", list, body("price", map[string]any{"amount": 1}), 400, "invalid", nil},
		{"unknown field", "POST", list, body("organizerId", account.User.ID), 400, "invalid", nil},
		{"created as cancelled", "POST", list, body("status", "cancelled"), 400, "invalid", nil},
		{"empty key", "POST", list, body("venue", "Hall"), 400, "invalid", []string{"Idempotency-Key", ""}},

		{"empty PUT", "PUT", item, map[string]any{}, 400, "invalid", nil},
		{"unknown field in a PUT", "PUT", item, put("seats", 7), 400, "invalid", nil},
		{"id in a PUT", "PUT", item, put("id", "e1"), 400, "invalid", nil},
		{"null name", "PUT", item, put("name", nil), 400, "invalid", nil},
		{"stale If-Match", "PUT", item, put("venue", "Hall"), 412, "event.version_conflict", []string{"If-Match", `"7-1"`}},
		{"weak If-Match", "PUT", item, put("venue", "Hall"), 412, "event.version_conflict", []string{"If-Match", `W/"1-2"`}},
		{"malformed If-Match", "PUT", item, put("venue", "Hall"), 400, "invalid", []string{"If-Match", "1-2"}},
		{"capacity below what is committed", "PUT", item, put("capacity", 1), 409, "event.capacity_below_committed", nil},
		{"back to draft", "PUT", item, put("status", "draft"), 409, "event.has_bookings", nil},
		{"cancelled by PUT", "PUT", item, put("status", "cancelled"), 400, "invalid", nil},
		{"a duplicate's name and start", "PUT", item, map[string]any{"name": twin.Name}, 409, "event.duplicate", nil},
		{"DELETE with live bookings", "DELETE", item, nil, 409, "event.has_bookings", nil},
		{"PUT on a cancelled event", "PUT", "/api/events/" + cancelled, put("venue", "Hall"), 409, "event.cancelled", nil},
		{"publishing what has started", "PUT", "/api/events/" + started, put("status", "published"), 400, "invalid", nil},
		{"malformed id", "PUT", "/api/events/a.b", put("venue", "Hall"), 400, "invalid", nil},
		{"malformed id to cancel", "POST", "/api/events/a.b/cancel", nil, 400, "invalid", nil},
		{"unknown id", "DELETE", "/api/events/unknown", nil, 404, "event.not_found", nil},
	} {
		path := tt.path
		if path == item {
			path = fmt.Sprintf(item, gala)
		}
		res := admin.Do(t, tt.method, path, tt.body, tt.headers...)
		if res.StatusCode != tt.status || !strings.Contains(res.Text, `"code":"`+tt.code+`"`) {
			t.Errorf("%s: got %d %s, want %d with the code %s", tt.name, res.StatusCode, res.Text, tt.status, tt.code)
		}
		if after := state(); after != before {
			t.Fatalf("%s: the events changed from\n%s\nto\n%s", tt.name, before, after)
		}
	}
	for _, path := range []string{"/api/events?limit=0", "/api/events?limit=101", "/api/events?cursor=forged", "/api/events/organizer/" + account.User.ID + "?limit=101"} {
		admin.Do(t, "GET", path, nil).Refused(t, 400, "invalid")
	}
	var first events
	admin.Do(t, "GET", "/api/events?limit=1&category="+category, nil).Want(t, 200, &first)
	if first.Page.NextCursor == nil {
		t.Fatal("the list has no second page")
	}
	admin.Do(t, "GET", "/api/events?limit=1&cursor="+*first.Page.NextCursor, nil).Refused(t, 400, "invalid")
	admin.Do(t, "GET", "/api/events/organizer/"+account.User.ID+"?limit=1&cursor="+*first.Page.NextCursor, nil).Refused(t, 400, "invalid")
}
