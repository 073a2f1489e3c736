package main_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"

	"boxoffice/gateway"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

func TestRefusalsAreLimited(t *testing.T) {
	for name, redis := range map[string]bool{"with Redis": true, "Redis is unreachable": false} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(c *main.Config) {
				c.Write = main.Rate{Requests: 100, Period: time.Minute}
				c.Refusals = main.Rate{Requests: 3, Period: time.Minute}
			})
			h.redis.SetTime(h.now)
			if !redis {
				h.redis.Close()
			}
			book := func() response { return h.do("POST", "/api/bookings", bookingBody, bearer(h.token())...) }
			wantPolicy := func(res response, want string) {
				t.Helper()
				if got := res.Header.Get("RateLimit-Policy"); got != want {
					t.Errorf("RateLimit-Policy: got %s, want %s", got, want)
				}
			}
			// Only what the booking app refuses is counted.
			h.booking.one = bookingapi.Booking{ID: "b1"}
			for range 5 {
				wantPolicy(book(), `"write";q=100;w=60`)
			}
			for _, body := range []string{"{}x", "[]"} {
				h.wantProblem(h.do("POST", "/api/bookings", body, bearer(h.token())...), 400, "invalid")
			}
			h.booking.fail = apperr.InvalidFields(apperr.Field{Field: "quantity", Code: "too_large"})
			for range 4 {
				h.wantProblem(book(), 400, "invalid")
			}
			h.booking.fail = apperr.Overloaded(time.Second)
			for range 4 {
				h.wantProblem(book(), 503, "unavailable")
			}
			for status, refusal := range map[int]*apperr.Error{
				409: apperr.New(apperr.Conflict, eventapi.ReasonSoldOut, "Only 1 ticket is left."),
				404: apperr.New(apperr.NotFound, eventapi.ReasonNotFound, "There is no such event."),
				422: apperr.New(apperr.Unprocessable, bookingapi.ReasonMismatch, "Use a new key."),
			} {
				h.booking.fail = refusal
				res := book()
				h.wantProblem(res, status, refusal.Reason)
				wantPolicy(res, `"write";q=100;w=60`)
			}

			h.booking.fail, h.booking.create = nil, bookingapi.CreateRequest{}
			for range 2 { // a request that the limit refuses is not counted
				res := book()
				h.wantProblem(res, 429, "rate_limited")
				wantPolicy(res, `"refusals";q=3;w=60`)
				if got, want := res.Header.Get("RateLimit"), `"refusals";r=0;t=60`; got != want {
					t.Errorf("RateLimit: got %s, want %s", got, want)
				}
				if got, want := res.Header.Get("Retry-After"), "20"; got != want {
					t.Errorf("Retry-After: got %s, want %s", got, want)
				}
			}
			if h.booking.create.BookingID != "" {
				t.Error("the booking app was called, want the request refused before")
			}
			// Other requests of the user pass.
			if res := h.do("POST", "/api/bookings/b1/cancel", "", bearer(h.token())...); res.StatusCode != 200 {
				t.Errorf("cancel: got %d, want 200", res.StatusCode)
			}

			h.now = h.now.Add(20 * time.Second)
			h.redis.SetTime(h.now)
			if res := book(); res.StatusCode != 201 {
				t.Errorf("a third of the period later: got %d %s, want 201", res.StatusCode, res.body)
			}
			h.booking.fail = apperr.New(apperr.Conflict, eventapi.ReasonSoldOut, "Only 1 ticket is left.")
			h.wantProblem(book(), 409, eventapi.ReasonSoldOut)
			h.wantProblem(book(), 429, "rate_limited")
		})
	}
}

func TestRefusalsAreNotLimitedIfTurnedOff(t *testing.T) {
	h := newHarness(t)
	h.booking.fail = apperr.New(apperr.Conflict, eventapi.ReasonSoldOut, "Only 1 ticket is left.")
	for range 100 {
		h.wantProblem(h.do("POST", "/api/bookings", bookingBody, bearer(h.token())...), 409, eventapi.ReasonSoldOut)
	}
	if keys := h.redis.Keys(); slices.ContainsFunc(keys, func(key string) bool { return key == "limit:refusals:user:u1" }) {
		t.Errorf("got keys %v in Redis, want none for refusals", keys)
	}
}

// An accepted booking must cost one command, as it did before refusals were limited.
func TestLimitOfRefusalsCostsAnAcceptedBookingNoCommand(t *testing.T) {
	h := newHarness(t, func(c *main.Config) {
		c.Write = main.Rate{Requests: 100, Period: time.Minute}
		c.Refusals = main.Rate{Requests: 3, Period: time.Minute}
	})
	commands := h.countCommands()
	h.booking.one = bookingapi.Booking{ID: "b1"}
	book := func() int64 {
		before := commands.Load()
		h.do("POST", "/api/bookings", bookingBody, bearer(h.token())...)
		return commands.Load() - before
	}
	book() // loads the script
	if got := book(); got != 1 {
		t.Errorf("accepted: got %d commands, want 1", got)
	}
	h.booking.fail = apperr.New(apperr.Conflict, eventapi.ReasonSoldOut, "Only 1 ticket is left.")
	if got := book(); got != 2 {
		t.Errorf("refused: got %d commands, want 2", got)
	}
}

// countCommands returns a counter of the scripts that Redis runs.
func (h *harness) countCommands() *atomic.Int64 {
	var commands atomic.Int64
	h.redis.Server().SetPreHook(func(_ *server.Peer, name string, _ ...string) bool {
		if strings.HasPrefix(name, "EVAL") {
			commands.Add(1)
		}
		return false
	})
	return &commands
}
