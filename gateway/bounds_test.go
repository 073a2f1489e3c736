package main_test

import (
	"testing"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// A parameter that is present restricts the list, even if its value is the zero value of its
// type. Only an absent one does not.
func TestZeroBoundsAreBounds(t *testing.T) {
	h := newHarness(t)
	h.auth.user.Role = authapi.RoleAdmin
	zero := contract.At(time.Time{})
	for _, path := range []string{"/api/events", "/api/events/organizer/o1", "/api/bookings"} {
		h.event.list, h.booking.list = eventapi.ListRequest{}, bookingapi.ListRequest{}
		if res := h.get(path+"?from=0001-01-01T00:00:00Z&to=0001-01-01T00:00:00.000Z&cursor=", bearer(h.token())...); res.StatusCode != 200 {
			t.Errorf("%s: got %d %s, want 200", path, res.StatusCode, res.body)
		}
		from, to := h.event.list.From, h.event.list.To
		if path == "/api/bookings" {
			from, to = h.booking.list.From, h.booking.list.To
		}
		if from == nil || *from != zero || to == nil || *to != zero {
			t.Errorf("%s: got from %v, to %v, want the zero time", path, from, to)
		}
	}
	for path, names := range map[string][]string{
		"/api/events":                 {"category", "status", "from", "to", "sort", "limit"},
		"/api/events/organizer/o1":    {"category", "status", "from", "to", "sort", "limit"},
		"/api/events/search/rock":     {"limit"},
		"/api/events/e1/capacity-log": {"limit"},
		"/api/bookings":               {"eventId", "userId", "status", "from", "to", "limit"},
		"/api/bookings/me":            {"limit"},
	} {
		for _, name := range names {
			for _, query := range []string{"?" + name + "=", "?" + name} {
				p := h.wantProblem(h.get(path+query, bearer(h.token())...), 400, "invalid")
				if len(p.Errors) != 1 || p.Errors[0].Field != name {
					t.Errorf("%s%s: got errors %v, want one about %s", path, query, p.Errors, name)
				}
			}
		}
		h.wantProblem(h.get(path+"?limit=0", bearer(h.token())...), 400, "invalid")
	}
}

// In a query, a plus sign of a time may be encoded or not (RFC 3986, section 3.4). A bound
// between two milliseconds selects the same as the later one, because all times are whole
// milliseconds.
func TestTimesInQueries(t *testing.T) {
	h := newHarness(t)
	for text, want := range map[string]string{
		"2030-01-01T01:00:00+01:00":    "2030-01-01T00:00:00.000Z",
		"2030-01-01T01:00:00%2B01:00":  "2030-01-01T00:00:00.000Z",
		"2030-01-01t00:00:00z":         "2030-01-01T00:00:00.000Z",
		"2030-01-01T00%3A00%3A00Z":     "2030-01-01T00:00:00.000Z",
		"2030-01-01T00:00:00.1234Z":    "2030-01-01T00:00:00.124Z",
		"2030-01-01T00:00:00.1230000Z": "2030-01-01T00:00:00.123Z",
		"9999-12-31T23:59:59.9999Z":    "9999-12-31T23:59:59.999Z",
		"2030-01-01T1:00:00Z":          "",
		"2030-01-01T00:00:00,5Z":       "",
		"2030-01-01T00:00:00%2024:00":  "",
		"2030-01-01%2000:00:00Z":       "",
		"2030-01-01T00:00:00":          "",
		"2030-01-01T00:00:00%+01:00":   "",
		"%222030-01-01T00:00:00Z%22":   "",
		"2030-01-01T00:00:00Z%00":      "",
	} {
		h.event.list = eventapi.ListRequest{}
		res := h.get("/api/events?x=1&from=" + text + "&from=2000-01-01T00:00:00Z")
		if want == "" {
			h.wantProblem(res, 400, "invalid")
			continue
		}
		if from := h.event.list.From; res.StatusCode != 200 || from == nil || from.Format("2006-01-02T15:04:05.000Z07:00") != want {
			t.Errorf("from=%s: got %d, %v, want %s", text, res.StatusCode, from, want)
		}
	}
}
