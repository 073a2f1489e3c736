package main_test

import (
	"net/http/httptest"
	"testing"

	"boxoffice/shared/contract/eventapi"
)

// An encoded unreserved character is the character itself (RFC 3986, section 6.2.2.2), in
// ids and in the fixed parts of a path. Any other encoding stays as it is.
func TestPathsAreNormalized(t *testing.T) {
	h := newHarness(t)
	h.event.one = eventapi.Versioned{Event: eventapi.Event{ID: "e1", Status: "published"}}
	for _, tt := range []struct {
		path   string
		status int
		id     string
	}{
		{"/api/events/%65-1_x", 200, "e-1_x"},
		{"/api/events/%65%2D1%5f%78", 200, "e-1_x"},
		{"/api/%65vents/e1", 200, "e1"},
		{"/%61%70%69/events/e1", 200, "e1"},
		{"/api/events/e1/%61vailability", 200, "e1"},
		{"/api/events/%2565", 400, ""},
		{"/api/events/e%2F1", 400, ""},
		{"/api/events/e1%2Favailability", 400, ""},
		{"/api/events%2Fe1", 404, ""},
		{"/api/events/e1%", 400, ""},
		{"/api/events/%zz", 400, ""},
		{"/api/events/%2e%2E", 400, ""},
		{"/api/%2e%2e/events/e1", 404, ""},
		{"/api/events/e%00", 400, ""},
		{"/api/events/%C3%A9", 400, ""},
		{"/%68ealthz", 200, ""},
	} {
		h.event.get = eventapi.GetRequest{}
		res := h.getRaw(tt.path)
		if res.StatusCode != tt.status || h.event.get.EventID != tt.id {
			t.Errorf("%s: got %d, event %q, want %d, %q", tt.path, res.StatusCode, h.event.get.EventID, tt.status, tt.id)
		}
		if tt.status >= 400 {
			code := map[int]string{400: "invalid", 404: "not_found"}[tt.status]
			if p := h.wantProblem(res, tt.status, code); p.Instance != tt.path {
				t.Errorf("%s: got instance %q, want the path that was asked for", tt.path, p.Instance)
			}
		}
	}
	// The path that was asked for is named, however it was spelled.
	if p := h.wantProblem(h.get("/api/bookings/%62%31"), 401, "auth.token_missing"); p.Instance != "/api/bookings/%62%31" {
		t.Errorf("got instance %q, want the path as it was sent", p.Instance)
	}
	for path, want := range map[string]string{"r%6Fck": "rock", "%2572ock": "%72ock", "a%2Fb": "a/b", "%41%20b": "A b", "+": "+"} {
		h.getRaw("/api/events/search/" + path)
		if h.event.search.Term != want {
			t.Errorf("search %s: got the term %q, want %q", path, h.event.search.Term, want)
		}
	}
	for _, path := range []string{"/api/events/s%65arch/cancel", "/api/events/%6Frganizer/cancel"} {
		h.wantProblem(h.do("POST", path, ""), 405, "method_not_allowed")
	}
}

// getRaw sends a request whose path may be malformed.
func (h *harness) getRaw(path string) response {
	h.t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.RequestURI = path
	return h.send(r)
}
