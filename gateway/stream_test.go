package main_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"boxoffice/gateway"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/test/kit"
)

const streamPath = "/api/events/e1/availability/stream"

// newLiveHarness returns a harness with real time, because streams poll.
func newLiveHarness(t *testing.T, change ...func(*main.Config)) *harness {
	h := newHarness(t, append([]func(*main.Config){withReadCache}, change...)...)
	h.now = time.Time{}
	h.setVersion(1)
	return h
}

// stream is an open availability stream.
type stream struct {
	*http.Response
	t     *testing.T
	lines *bufio.Scanner
}

// openStream opens a stream over a connection of its own, which ends with the test.
func openStream(t *testing.T, addr string, headers ...string) *stream {
	t.Helper()
	res := requestStream(t, addr, headers...) //nolint:bodyclose // requestStream closes it when the test ends
	if res.StatusCode != 200 {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("got %d %s, want 200", res.StatusCode, body)
	}
	return &stream{res, t, bufio.NewScanner(res.Body)}
}

// requestStream requests a stream over a connection of its own, which ends with the test.
func requestStream(t *testing.T, addr string, headers ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+addr+streamPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// want reads lines, ignoring empty ones, and compares them.
func (s *stream) want(want ...string) {
	s.t.Helper()
	var got []string
	for len(got) < len(want) && s.lines.Scan() {
		if s.lines.Text() != "" {
			got = append(got, s.lines.Text())
		}
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("got %q, %v, want %q", got, s.lines.Err(), want)
	}
}

// wantEnd reads the rest of the stream, which must be empty.
func (s *stream) wantEnd() {
	s.t.Helper()
	for s.lines.Scan() {
		if s.lines.Text() != "" {
			s.t.Errorf("got %q, want the end of the stream", s.lines.Text())
		}
	}
}

// availabilityEvent returns the lines of an event.
func availabilityEvent(version int) []string {
	return []string{
		fmt.Sprintf("id: %d", version), "event: availability",
		fmt.Sprintf(`data: {"eventId":"e1","capacity":0,"available":0,"held":0,"sold":0,"version":%d}`, version),
	}
}

func TestAvailabilityStream(t *testing.T) {
	h := newLiveHarness(t)
	addr := listen(t, h.server)
	s := openStream(t, addr)
	if got := s.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type: got %q, want text/event-stream", got)
	}
	if got := s.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: got %q, want no-store", got)
	}
	wantHeaders(t, response{s.Response, ""})
	s.want(availabilityEvent(1)...)
	if got := "data: " + h.get("/api/events/e1/availability").body; got != availabilityEvent(1)[2] {
		t.Errorf("availability: got %s, want the same as in the stream, %s", got, availabilityEvent(1)[2])
	}
	h.setVersion(2)
	s.want(availabilityEvent(2)...)

	resumed := openStream(t, addr, "Last-Event-ID", "2")
	h.setVersion(3)
	for _, each := range []*stream{s, resumed} {
		each.want(availabilityEvent(3)...)
	}
	malformed := openStream(t, addr, "Last-Event-ID", "three")
	malformed.want(availabilityEvent(3)...)

	h.event.set(func() { h.event.seats.Status = eventapi.StatusCancelled })
	for _, each := range []*stream{s, resumed, malformed} {
		each.want("event: closed", `data: {"eventId":"e1"}`)
		each.wantEnd()
	}
}

func TestAvailabilityStreamClosesWhenTheEventDisappears(t *testing.T) {
	h := newLiveHarness(t)
	s := openStream(t, listen(t, h.server))
	s.want(availabilityEvent(1)...)
	h.event.set(func() { h.event.one.Event.Status = eventapi.StatusDraft })
	s.want("event: closed", `data: {"eventId":"e1"}`)
	s.wantEnd()
}

func TestAvailabilityStreamIsRefusedBeforeItStarts(t *testing.T) {
	h := newLiveHarness(t)
	h.wantProblem(h.get(streamPath, "Accept", "application/json"), 406, "not_acceptable")
	h.wantProblem(h.get(streamPath, "Authorization", "Bearer nonsense"), 401, "auth.token_invalid")
	h.wantProblem(h.get("/api/events/a.b/availability/stream"), 400, "invalid")
	h.event.set(func() { h.event.one.Event.Status = eventapi.StatusDraft })
	h.wantProblem(h.get(streamPath, "Accept", "text/event-stream"), 404, "event.not_found")
	if res := h.do("HEAD", streamPath, ""); res.StatusCode != 404 {
		t.Errorf("HEAD: got %d, want 404", res.StatusCode)
	}
	h.event.set(func() { h.event.fail = apperr.Unreachable(errors.New("down")) })
	h.wantProblem(h.get("/api/events/e2/availability/stream"), 503, "unavailable")
}

func TestHeadOfAnAvailabilityStreamEndsAtOnce(t *testing.T) {
	h := newLiveHarness(t)
	for range 20 { // more than an address may have open
		res := h.do("HEAD", streamPath, "", "Accept", "text/event-stream")
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("got %d, Content-Type %q, want 200, text/event-stream", res.StatusCode, res.Header.Get("Content-Type"))
		}
	}
}

func TestStreamsPerAddressAreLimited(t *testing.T) {
	h := newLiveHarness(t, func(c *main.Config) { c.StreamsPerAddress = 2 })
	addr := listen(t, h.server)
	first, second := openStream(t, addr), openStream(t, addr)
	second.want(availabilityEvent(1)...)
	res := requestStream(t, addr)
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	h.wantProblem(response{res, string(body)}, 429, "rate_limited")
	first.Body.Close()
	kit.Eventually(t, 10*time.Second, "the place of the closed stream is free", func() error {
		res := requestStream(t, addr)
		defer res.Body.Close()
		if res.StatusCode != 200 {
			return fmt.Errorf("got %d", res.StatusCode)
		}
		return nil
	})
}

// A client usually has all addresses of an IPv6 network of 64 bits.
func TestStreamsPerAddressCountNetworksOfIPv6(t *testing.T) {
	h := newLiveHarness(t, func(c *main.Config) {
		c.StreamsPerAddress = 1
		c.Proxies = proxies("127.0.0.0/8")
	})
	addr := listen(t, h.server)
	for _, tt := range []struct {
		client string
		status int
	}{
		{"2001:db8::1", 200}, {"2001:db8::ffff:2", 429}, {"2001:db8:0:1::1", 200},
		{"192.0.2.1", 200}, {"192.0.2.2", 200}, {"::ffff:192.0.2.1", 429},
	} {
		res := requestStream(t, addr, "X-Forwarded-For", tt.client) //nolint:bodyclose // requestStream closes it when the test ends
		if res.StatusCode != tt.status {
			t.Errorf("%s: got %d, want %d", tt.client, res.StatusCode, tt.status)
		}
	}
}

func TestStreamsShareOnePollAndEndWithTheirClients(t *testing.T) {
	h := newLiveHarness(t, func(c *main.Config) { c.StreamsPerAddress = 200 })
	addr := listen(t, h.server)
	h.get("/api/events/e1/availability")
	idle := runtime.NumGoroutine()
	began := time.Now()
	var streams []*stream
	for range 200 {
		streams = append(streams, openStream(t, addr))
	}
	for _, s := range streams {
		s.want(availabilityEvent(1)...)
	}
	h.setVersion(2)
	for _, s := range streams {
		s.want(availabilityEvent(2)...)
	}
	// The first call was before the streams; later ones are an interval apart.
	if n, most := h.event.count("availability"), 2+int(time.Since(began)/(250*time.Millisecond)); n > most {
		t.Errorf("got %d calls for 200 streams, want at most %d", n, most)
	}
	for _, s := range streams {
		s.Body.Close()
	}
	kit.Eventually(t, 20*time.Second, "the goroutines of the streams end", func() error {
		if n := runtime.NumGoroutine(); n > idle+5 { // idle connections of the test's servers
			return fmt.Errorf("got %d goroutines, want about %d", n, idle)
		}
		return nil
	})
}

func TestStopEndsStreamsWithRetry(t *testing.T) {
	h := newLiveHarness(t)
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(kit.FreePort(t)))
	part := h.server.Part(addr)
	if err := part.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- part.Run(t.Context()) }()
	s := openStream(t, addr)
	s.want(availabilityEvent(1)...)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	if err := part.Stop(ctx); err != nil {
		t.Errorf("Stop: got %v, want nil", err)
	}
	s.want("retry: 2000")
	s.wantEnd()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

// The status of the event is for the gateway; clients see only the counters.
func TestAvailabilityHasNoStatus(t *testing.T) {
	h := newHarness(t)
	h.event.seats.Status = eventapi.StatusPublished
	if res := h.get("/api/events/e1/availability"); strings.Contains(res.body, "status") {
		t.Errorf("got %s, want no status", res.body)
	}
}
