package main_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"boxoffice/gateway"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/kit"
)

// withReadCache turns the cache of reads on.
func withReadCache(cfg *main.Config) { cfg.ReadCacheBytes = 1 << 20 }

// setVersion gives everything that the fake event app returns a version.
func (h *harness) setVersion(version int64) {
	h.event.set(func() {
		h.event.one = eventapi.Versioned{Event: eventapi.Event{ID: "e1", Version: version}, SeatsVersion: version}
		h.event.seats = eventapi.Seats{Availability: eventapi.Availability{EventID: "e1", Version: version}}
		h.event.page = contract.Page[eventapi.Event]{Items: []eventapi.Event{{ID: "e1", Version: version}}}
	})
}

// wantVersion reads a path and checks that the answer has a version.
func (h *harness) wantVersion(path string, version int64, headers ...string) response {
	h.t.Helper()
	res := h.get(path, headers...)
	if want := fmt.Sprintf(`"version":%d`, version); res.StatusCode != 200 || !strings.Contains(res.body, want) {
		h.t.Errorf("%s: got %d %s, want 200 with %s", path, res.StatusCode, res.body, want)
	}
	return res
}

// readPaths returns the routes of cached reads, by the operation that they call.
func readPaths() map[string]string {
	return map[string]string{
		"list": "/api/events", "search": "/api/events/search/gala",
		"get": "/api/events/e1", "availability": "/api/events/e1/availability",
	}
}

func TestPublicReadsAreCachedForASecond(t *testing.T) {
	for operation, path := range readPaths() {
		t.Run(operation, func(t *testing.T) {
			h := newHarness(t, withReadCache)
			h.setVersion(1)
			// A cache of the client may keep an event or a list for a second, and
			// availability only until it is a second old.
			maxAge := map[bool]string{true: "public, max-age=1", false: "public, max-age=0"}
			for _, wait := range []time.Duration{0, 600 * time.Millisecond, 399 * time.Millisecond} {
				h.now = h.now.Add(wait)
				res := h.wantVersion(path, 1, bearerIf(h, wait > 0)...) // users share the answers of guests
				wantHeaders(t, res)
				if got, want := res.Header.Get("Cache-Control"), maxAge[wait == 0 || operation != "availability"]; got != want || res.Header.Get("Vary") != "Authorization" {
					t.Errorf("after %s: got Cache-Control %q, Vary %q, want %q and Authorization", wait, got, res.Header.Get("Vary"), want)
				}
				h.setVersion(2)
			}
			if n := h.event.count(operation); n != 1 {
				t.Errorf("within a second: got %d calls, want 1", n)
			}
			h.now = h.now.Add(time.Millisecond)
			h.wantVersion(path, 2)
			if n := h.event.count(operation); n != 2 {
				t.Errorf("after a second: got %d calls, want 2", n)
			}
		})
	}
}

// bearerIf returns the header with the user's token if want is true.
func bearerIf(h *harness, want bool) []string {
	if want {
		return bearer(h.token())
	}
	return nil
}

func TestCachedReadsAnswerHeadAndConditionalRequests(t *testing.T) {
	h := newHarness(t, withReadCache)
	h.setVersion(3)
	full := h.wantVersion("/api/events/e1", 3)
	head := h.do("HEAD", "/api/events/e1", "")
	if head.StatusCode != 200 || head.body != "" || head.ContentLength != int64(len(full.body)) || head.Header.Get("ETag") != `"3-3"` {
		t.Errorf("HEAD: got %d, %d bytes, length %d, ETag %q, want 200, no body, length %d, \"3-3\"",
			head.StatusCode, len(head.body), head.ContentLength, head.Header.Get("ETag"), len(full.body))
	}
	same := h.get("/api/events/e1", "If-None-Match", `"3-3"`)
	wantHeaders(t, same)
	if same.StatusCode != 304 || same.body != "" || same.Header.Get("ETag") != `"3-3"` || same.Header.Get("Cache-Control") != "public, max-age=1" {
		t.Errorf("If-None-Match: got %d %q, %v, want 304 without a body", same.StatusCode, same.body, same.Header)
	}
	if n := h.event.count("get"); n != 1 {
		t.Errorf("got %d calls, want 1", n)
	}
}

func TestKeyOfACachedListIsItsCanonicalQuery(t *testing.T) {
	h := newHarness(t, withReadCache)
	h.setVersion(1)
	for i, path := range []string{
		"/api/events?category=a%20b&from=2030-01-01T01:00:00%2B01:00",
		"/api/events?from=2030-01-01T00:00:00Z&category=a+b",
		"/api/events?from=2030-01-01T00:00:00.000Z&utm_source=mail&category=a%20b&cursor=",
	} {
		h.wantVersion(path, 1)
		if n := h.event.count("list"); n != 1 {
			t.Errorf("%s: got %d calls after %d reads, want 1", path, n, i+1)
		}
	}
	for i, path := range []string{"/api/events?category=a", "/api/events?category=a&limit=2", "/api/events?category=a&limit=2&cursor=x"} {
		h.wantVersion(path, 1)
		if n := h.event.count("list"); n != i+2 {
			t.Errorf("%s: got %d calls, want %d", path, n, i+2)
		}
	}
	h.wantProblem(h.get("/api/events?limit=0&category=a"), 400, "invalid") // not from the cache
}

func TestReadCacheCanBeTurnedOff(t *testing.T) {
	h := newHarness(t)
	for i := range int64(3) {
		h.setVersion(i)
		h.wantVersion("/api/events/e1", i)
	}
}

func TestConcurrentReadsCostOneCall(t *testing.T) {
	const readers = 1000
	h := newHarness(t, withReadCache)
	h.setVersion(1)
	proceed := make(chan struct{})
	h.event.before = func(string) { <-proceed }
	url := "http://" + listen(t, h.server) + "/api/events/e1"
	h.spans.Reset()
	done := make(chan map[string]int)
	go func() {
		done <- kit.Outcomes(readers, func(int) error {
			res, err := http.Get(url)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			_, err = io.Copy(io.Discard, res.Body)
			if res.StatusCode != 200 {
				return apperr.New(apperr.Internal, "", res.Status)
			}
			return err
		})
	}()
	const name = "call event/method/event.get"
	kit.Eventually(t, time.Minute, "all readers wait for the call", func() error {
		n := 0
		for _, s := range h.started.Started() {
			if s.Name() == name {
				n++
			}
		}
		if n != readers {
			return fmt.Errorf("got %d spans, want %d", n, readers)
		}
		return nil
	})
	close(proceed)
	if got := <-done; got["none"] != readers {
		t.Errorf("got outcomes %v, want %d successes", got, readers)
	}
	if n := h.event.count("get"); n != 1 {
		t.Errorf("got %d calls, want 1", n)
	}
	// The span of each follower is in its own trace, and links to the leader's request.
	roots, links := map[string]bool{}, map[string]int{}
	for _, s := range h.spans.GetSpans() {
		id := s.SpanContext.TraceID().String()
		if s.Name == "GET /api/events/:eventId" {
			roots[id] = true
		}
		if s.Name == name {
			for _, link := range s.Links {
				links[link.SpanContext.TraceID().String()]++
			}
		}
	}
	if len(roots) != readers || len(links) != 1 {
		t.Fatalf("got %d traces and links to the traces %v, want %d and links to one", len(roots), links, readers)
	}
	for leader, n := range links {
		if n != readers-1 || !roots[leader] {
			t.Errorf("got %d links to trace %s, want %d to one of the requests", n, leader, readers-1)
		}
	}
}

func TestSpanSaysWhereTheAnswerCameFrom(t *testing.T) {
	h := newHarness(t, withReadCache)
	h.setVersion(1)
	h.spans.Reset()
	h.get("/api/events/e1")
	h.get("/api/events/e1")
	h.now = h.now.Add(time.Second)
	h.event.fail = apperr.Unreachable(errors.New("down"))
	h.get("/api/events/e1")
	var got []string
	for _, s := range h.spans.GetSpans() {
		for _, a := range s.Attributes {
			if a.Key == "boxoffice.cache" {
				got = append(got, s.Name+" "+a.Value.AsString())
			}
		}
	}
	const name = "GET /api/events/:eventId "
	if want := []string{name + "miss", name + "hit", name + "stale"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The answer to an admin may be a draft. It never reaches a guest, and the guest's 404
// never reaches an admin.
func TestAdminsNeitherUseNorFillTheReadCache(t *testing.T) {
	guestReads := func(h *harness) {
		h.t.Helper()
		for _, path := range []string{"/api/events/e1", "/api/events/e1/availability"} {
			h.wantProblem(h.get(path), 404, "event.not_found")
		}
	}
	adminReads := func(h *harness) {
		h.t.Helper()
		for _, path := range readPaths() {
			res := h.wantVersion(path, 1, bearer(h.token())...)
			if got := res.Header.Get("Cache-Control"); got != "private, no-store" {
				h.t.Errorf("%s: got Cache-Control %q, want private, no-store", path, got)
			}
		}
	}
	newDraft := func(t *testing.T) *harness {
		h := newHarness(t, withReadCache)
		h.setVersion(1)
		h.event.one.Event.Status = eventapi.StatusDraft
		h.auth.user.Role = authapi.RoleAdmin
		return h
	}
	t.Run("guest first", func(t *testing.T) {
		h := newDraft(t)
		guestReads(h)
		adminReads(h)
		guestReads(h)
	})
	t.Run("admin first", func(t *testing.T) {
		h := newDraft(t)
		adminReads(h)
		guestReads(h)
		adminReads(h)
		for operation := range readPaths() {
			if n := h.event.count(operation + " by admin"); n != 2 {
				t.Errorf("%s: got %d calls of the admin's reads, want 2", operation, n)
			}
		}
	})
	t.Run("concurrently", func(t *testing.T) {
		h := newDraft(t)
		both := make(chan string, 2)
		proceed := make(chan struct{})
		h.event.before = func(called string) { both <- called; <-proceed }
		url := "http://" + listen(t, h.server) + "/api/events/e1"
		token := h.token()
		done := make(chan [2]int)
		go func() {
			var statuses [2]int
			kit.Concurrently(2, func(i int) {
				r, _ := http.NewRequestWithContext(t.Context(), "GET", url, nil)
				if i == 1 {
					r.Header.Set("Authorization", "Bearer "+token)
				}
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
				statuses[i] = res.StatusCode
			})
			done <- statuses
		}()
		got := []string{<-both, <-both}
		close(proceed)
		if slices.Sort(got); !slices.Equal(got, []string{"get", "get by admin"}) {
			t.Errorf("got calls %q, want one by the guest and one by the admin", got)
		}
		if got := <-done; got != [2]int{404, 200} {
			t.Errorf("got statuses %v, want 404 for the guest and 200 for the admin", got)
		}
	})
}

func TestMissingEventIsCachedForASecond(t *testing.T) {
	h := newHarness(t, withReadCache)
	h.event.fail = apperr.New(apperr.NotFound, eventapi.ReasonNotFound, "There is no such event.")
	for range 2 {
		h.wantProblem(h.get("/api/events/e1"), 404, "event.not_found")
	}
	if n := h.event.count("get"); n != 1 {
		t.Errorf("got %d calls, want 1", n)
	}
	h.event.fail = nil
	h.setVersion(1)
	h.now = h.now.Add(time.Second)
	h.wantVersion("/api/events/e1", 1)
}

func TestStaleAnswersReplaceFailuresForAMinute(t *testing.T) {
	for _, fail := range []error{apperr.Unreachable(errors.New("down")), apperr.TimedOut(errors.New("slow")), apperr.Fault(errors.New("a bug"))} {
		h := newHarness(t, withReadCache)
		h.setVersion(1)
		for _, path := range readPaths() {
			h.wantVersion(path, 1)
		}
		h.event.fail = fail
		h.now = h.now.Add(61*time.Second - time.Millisecond)
		for operation, path := range readPaths() {
			if operation == "availability" {
				if res := h.get(path); res.StatusCode < 500 {
					t.Errorf("%v: %s: got %d %s, want a failure", fail, path, res.StatusCode, res.body)
				}
				continue
			}
			res := h.wantVersion(path, 1)
			if res.Header.Get("Age") != "60" || res.Header.Get("X-Boxoffice-Stale") != "true" || res.Header.Get("Cache-Control") != "public, max-age=0" {
				t.Errorf("%v: %s: got headers %v, want Age 60, X-Boxoffice-Stale true and max-age=0", fail, path, res.Header)
			}
		}
		if res := h.get("/api/events/e1", "If-None-Match", `"1-1"`); res.StatusCode != 304 || res.Header.Get("X-Boxoffice-Stale") != "true" {
			t.Errorf("%v: If-None-Match: got %d, X-Boxoffice-Stale %q, want 304, true", fail, res.StatusCode, res.Header.Get("X-Boxoffice-Stale"))
		}
		h.now = h.now.Add(time.Millisecond)
		for _, path := range readPaths() {
			if res := h.get(path); res.StatusCode < 500 || res.Header.Get("X-Boxoffice-Stale") != "" {
				t.Errorf("%v: %s: got %d %s, want a failure", fail, path, res.StatusCode, res.body)
			}
		}
		h.event.fail = nil // a failure is not cached
		h.setVersion(2)
		res := h.wantVersion("/api/events/e1", 2)
		if res.Header.Get("X-Boxoffice-Stale") != "" || res.Header.Get("Age") != "" {
			t.Errorf("got headers %v, want neither Age nor X-Boxoffice-Stale", res.Header)
		}
	}
}

// A refusal is the app's answer. It is not replaced by what the app answered before.
// While its database does not answer, the event app answers with a copy. The gateway marks
// it as stale, with and without its cache.
func TestCopyFromTheEventAppIsStale(t *testing.T) {
	for name, change := range map[string]func(*main.Config){
		"cache on": withReadCache, "cache off": func(cfg *main.Config) { cfg.ReadCacheBytes = 0 },
	} {
		h := newHarness(t, change)
		at := contract.At(h.now.Add(-7 * time.Second))
		h.event.set(func() {
			h.event.one = eventapi.Versioned{Event: eventapi.Event{ID: "e1", Version: 2}, SeatsVersion: 2, CopiedAt: &at}
		})
		res := h.get("/api/events/e1")
		if res.StatusCode != 200 || res.Header.Get("X-Boxoffice-Stale") != "true" || res.Header.Get("Age") != "7" || res.Header.Get("Cache-Control") != "public, max-age=0" {
			t.Errorf("%s: got %d, %v, want 200, stale, 7 s old and no freshness", name, res.StatusCode, res.Header)
		}
	}
}

func TestRefusalReplacesAStaleAnswer(t *testing.T) {
	h := newHarness(t, withReadCache)
	h.setVersion(1)
	h.wantVersion("/api/events/e1", 1)
	h.now = h.now.Add(time.Second)
	h.event.fail = apperr.New(apperr.NotFound, eventapi.ReasonNotFound, "There is no such event.")
	h.wantProblem(h.get("/api/events/e1"), 404, "event.not_found")
}

const fact = `{"specversion":"1.0","id":"f1","type":"event.updated","data":{"resource":{"id":"e1"}}}`

func TestFactDropsTheReadsOfItsEventAndAllLists(t *testing.T) {
	h := newHarness(t, withReadCache)
	paths := append(slices.Collect(valuesOf(readPaths())), "/api/events?category=opera", "/api/events/e2")
	h.setVersion(1)
	for _, path := range paths {
		h.wantVersion(path, 1)
	}
	h.setVersion(2)
	for _, tt := range []struct{ name, body, reply string }{
		{"announcement of streams", `{"type":"streams.made","data":{"streams":{"event-events":"2026-01-01T00:00:00Z"}}}`, "SUCCESS"},
		{"malformed", `{`, "DROP"},
	} {
		res := h.do("POST", "/facts/events", tt.body, "dapr-api-token", secret)
		if res.StatusCode != 200 || !strings.Contains(res.body, tt.reply) {
			t.Errorf("%s: got %d %s, want 200 %s", tt.name, res.StatusCode, res.body, tt.reply)
		}
	}
	for _, path := range paths {
		h.wantVersion(path, 1)
	}
	if res := h.do("POST", "/facts/events", fact, "dapr-api-token", secret); res.StatusCode != 200 || !strings.Contains(res.body, "SUCCESS") {
		t.Errorf("got %d %s, want 200 SUCCESS", res.StatusCode, res.body)
	}
	for _, path := range paths {
		h.wantVersion(path, map[bool]int64{true: 1, false: 2}[path == "/api/events/e2"])
	}
}

// The admin's gateway shows a change at once, before its fact has arrived, and also if it
// does not know the outcome.
func TestChangeDropsTheReadsOfItsEventAndAllLists(t *testing.T) {
	for _, tt := range []struct{ method, path, body string }{
		{"POST", "/api/events", eventBody}, {"PUT", "/api/events/e1", `{"name":"New"}`},
		{"POST", "/api/events/e1/cancel", ""}, {"DELETE", "/api/events/e1", ""},
	} {
		for _, fail := range []error{nil, apperr.TimedOut(errors.New("slow"))} {
			h := newHarness(t, withReadCache)
			h.auth.user.Role = authapi.RoleAdmin
			h.setVersion(1)
			for _, path := range readPaths() {
				h.wantVersion(path, 1)
			}
			h.event.fail = fail
			if res := h.do(tt.method, tt.path, tt.body, bearer(h.token())...); (res.StatusCode/100 == 2) != (fail == nil) {
				t.Errorf("%s %s: got %d %s, want success only without a failure", tt.method, tt.path, res.StatusCode, res.body)
			}
			h.event.fail = nil
			h.setVersion(2)
			for operation, path := range readPaths() {
				isOld := tt.path == "/api/events" && (operation == "get" || operation == "availability")
				h.wantVersion(path, map[bool]int64{true: 1, false: 2}[isOld])
			}
		}
	}
}

// valuesOf returns the values of a map.
func valuesOf(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

// Only the sidecar may deliver facts. For everyone else the path does not exist.
func TestClientsCannotDeliverFacts(t *testing.T) {
	h := newHarness(t, withReadCache, func(c *main.Config) { c.Write = main.Rate{Requests: 4, Period: time.Hour} })
	h.setVersion(1)
	h.wantVersion("/api/events/e1", 1)
	h.setVersion(2)
	for _, tt := range []struct{ method, path, token string }{
		{"POST", "/facts/events", ""}, {"POST", "/facts/events", "guessed"}, {"POST", "/facts/events", secret + "x"},
		{"POST", "/facts/other", secret}, {"GET", "/facts/events", secret},
	} {
		h.wantProblem(h.do(tt.method, tt.path, fact, "dapr-api-token", tt.token), 404, "not_found")
	}
	h.wantVersion("/api/events/e1", 1)
	h.wantProblem(h.do("POST", "/facts/events", fact, "dapr-api-token", "guessed"), 429, "rate_limited") // guesses are limited
	for range 10 {                                                                                       // deliveries are not
		if res := h.do("POST", "/facts/events", fact, "dapr-api-token", secret); res.StatusCode != 200 {
			t.Errorf("got %d %s, want 200", res.StatusCode, res.body)
		}
	}
	h.wantVersion("/api/events/e1", 2)
}

// The handling of a fact belongs to the trace of the change that it announces.
func TestFactIsHandledInTheTraceOfItsChange(t *testing.T) {
	h := newHarness(t, withReadCache)
	h.spans.Reset()
	const traceID, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	h.do("POST", "/facts/events", fact, "dapr-api-token", secret, "traceparent", "00-"+traceID+"-"+parent+"-01")
	spans := h.spans.GetSpans()
	i := slices.IndexFunc(spans, func(s tracetest.SpanStub) bool { return s.Name == "facts /facts/events" })
	if len(spans) != 1 || i < 0 || spans[i].SpanContext.TraceID().String() != traceID || spans[i].Parent.SpanID().String() != parent {
		t.Errorf("got spans %v, want one in trace %s with parent %s", spans, traceID, parent)
	}
}
