package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"boxoffice/gateway"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/token"
)

func TestRequestsAreRateLimited(t *testing.T) {
	for name, redis := range map[string]bool{"with Redis": true, "Redis is unreachable": false} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(c *main.Config) {
				c.LogIn = main.Rate{Requests: 2, Period: time.Minute}
				c.Browse = main.Rate{Requests: 1, Period: time.Minute}
			})
			if !redis {
				h.redis.Close()
			}
			for left := 1; left >= 0; left-- {
				res := h.do("POST", "/api/auth/login", loginBody)
				if got, want := res.Header.Get("RateLimit"), fmt.Sprintf(`"login";r=%d;t=%d`, left, 60-30*left); got != want || res.StatusCode != 200 {
					t.Errorf("got %d, RateLimit %s, want 200, %s", res.StatusCode, got, want)
				}
				if got, want := res.Header.Get("RateLimit-Policy"), `"login";q=2;w=60`; got != want {
					t.Errorf("RateLimit-Policy: got %s, want %s", got, want)
				}
			}
			res := h.do("POST", "/api/auth/login", loginBody)
			h.wantProblem(res, 429, "rate_limited")
			if got := res.Header.Get("Retry-After"); got != "30" {
				t.Errorf("Retry-After: got %s, want 30", got)
			}
			// Each bucket, user and address has a separate counter. A request that
			// matches no route is counted too.
			if res := h.get("/api/auth/me", bearer(h.token())...); res.StatusCode != 200 {
				t.Errorf("first request of the user: got %d, want 200", res.StatusCode)
			}
			h.wantProblem(h.get("/api/auth/me", bearer(h.token())...), 429, "rate_limited")
			h.wantProblem(h.get("/nowhere"), 404, "not_found")
			h.wantProblem(h.get("/nowhere"), 429, "rate_limited")
		})
	}
}

const registerBody = `{"email":"ada@example.org","password":"correct horse","name":"Ada"}`

// withOrWithoutRedis runs a test with a harness whose Redis is reachable, and with one
// whose Redis is not.
func withOrWithoutRedis(t *testing.T, change func(*main.Config), test func(h *harness)) {
	for name, isReachable := range map[string]bool{"with Redis": true, "Redis is unreachable": false} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, change, func(c *main.Config) { c.Proxies = proxies("0.0.0.0/32") })
			if !isReachable {
				h.redis.Close()
			}
			test(h)
		})
	}
}

// from returns the headers of a request from an address with a token of a user, or without
// a token if user is empty.
func (h *harness) from(address, user string) []string {
	headers := []string{"X-Forwarded-For", address}
	if user == "" {
		return headers
	}
	return append(headers, bearer(h.token(func(c *token.Claims) { c.Subject, c.SessionID = user, "session of "+user }))...)
}

// wantLimited checks whether a limit refuses a request, and that RateLimit names its
// bucket.
func (h *harness) wantLimited(what string, res response, isLimited bool, bucket string) {
	h.t.Helper()
	if got := res.StatusCode == http.StatusTooManyRequests; got != isLimited {
		h.t.Errorf("%s: got %d, want refused %t", what, res.StatusCode, isLimited)
	}
	if got := res.Header.Get("RateLimit-Policy"); !strings.HasPrefix(got, `"`+bucket+`"`) {
		h.t.Errorf("%s: RateLimit-Policy: got %s, want the bucket %s", what, got, bucket)
	}
}

// Otherwise anyone with an account could register any number of others.
func TestLogInBucketCountsTheAddressAndTheUser(t *testing.T) {
	withOrWithoutRedis(t, func(c *main.Config) { c.LogIn = main.Rate{Requests: 2, Period: time.Minute} }, func(h *harness) {
		register := func(headers []string) response { return h.do("POST", "/api/auth/register", registerBody, headers...) }
		// Each request has a token of another user, or none.
		h.wantLimited("first", register(h.from("192.0.2.1", "u1")), false, "login")
		h.wantLimited("another user", register(h.from("192.0.2.1", "u2")), false, "login")
		h.wantLimited("a third user", register(h.from("192.0.2.1", "u3")), true, "login")
		h.wantLimited("a guest", register(h.from("192.0.2.1", "")), true, "login")
		h.wantLimited("a log-in", h.do("POST", "/api/auth/login", loginBody, h.from("192.0.2.1", "")...), true, "login")
		h.wantLimited("a log-in with a token", h.do("POST", "/api/auth/login", loginBody, h.from("192.0.2.1", "u4")...), true, "login")
		// One user has many addresses.
		h.wantLimited("another address", register(h.from("192.0.2.2", "u1")), false, "login")
		h.wantLimited("a third address", register(h.from("192.0.2.3", "u1")), true, "login")
		h.wantLimited("a third address, another user", register(h.from("192.0.2.3", "u5")), false, "login")
	})
}

func TestAddressLimitCountsAllUsersAndKindsOfRequests(t *testing.T) {
	withOrWithoutRedis(t, func(c *main.Config) {
		c.Address = main.Rate{Requests: 6, Period: time.Minute}
		c.Browse, c.Write, c.LogIn = main.Rate{Requests: 100, Period: time.Minute}, main.Rate{Requests: 100, Period: time.Minute}, main.Rate{Requests: 100, Period: time.Minute}
	}, func(h *harness) {
		const path = "/api/auth/me"
		h.wantLimited("a user", h.get(path, h.from("192.0.2.1", "u1")...), false, "address")
		h.wantLimited("another user", h.get(path, h.from("192.0.2.1", "u2")...), false, "address")
		h.wantLimited("a guest", h.get("/api/events", h.from("192.0.2.1", "")...), false, "address")
		h.wantLimited("an unknown path", h.get("/nowhere", h.from("192.0.2.1", "")...), false, "address")
		h.wantLimited("a log-in", h.do("POST", "/api/auth/login", loginBody, h.from("192.0.2.1", "")...), false, "address")
		h.wantLimited("a booking", h.do("POST", "/api/bookings", bookingBody, h.from("192.0.2.1", "u3")...), false, "address")
		for _, user := range []string{"", "u1", "u4"} {
			h.wantLimited("the seventh request", h.get(path, h.from("192.0.2.1", user)...), true, "address")
		}
		h.wantLimited("another address", h.get(path, h.from("192.0.2.2", "u1")...), false, "address")
		for range 10 {
			if res := h.get("/healthz", h.from("192.0.2.1", "")...); res.StatusCode != 200 || res.Header.Get("RateLimit") != "" {
				t.Fatalf("a probe: got %d, RateLimit %q, want 200 without a limit", res.StatusCode, res.Header.Get("RateLimit"))
			}
		}
	})
}

// One client usually has all addresses of an IPv6 network of 64 bits.
func TestLimitsCountIPv6AddressesByNetwork(t *testing.T) {
	withOrWithoutRedis(t, func(c *main.Config) {
		c.Browse = main.Rate{Requests: 2, Period: time.Minute}
	}, func(h *harness) {
		for _, tt := range []struct {
			address   string
			isLimited bool
		}{
			{"2001:db8::1", false}, {"2001:db8::2", false}, {"2001:db8:0:0:ffff::", true}, {"2001:DB8::0:3", true},
			{"2001:db8:0:1::1", false}, {"192.0.2.1", false}, {"::ffff:192.0.2.1", false}, {"192.0.2.1", true}, {"192.0.2.2", false},
		} {
			h.wantLimited(tt.address, h.get("/nowhere", h.from(tt.address, "")...), tt.isLimited, "browse")
		}
	})
}

// The limits of an address are part of the script that counts the request.
func TestAllLimitsCostOneCommand(t *testing.T) {
	h := newHarness(t, func(c *main.Config) {
		all := main.Rate{Requests: 100, Period: time.Minute}
		c.Browse, c.Write, c.LogIn, c.Address, c.Refusals = all, all, all, all, all
	})
	commands := h.countCommands()
	h.booking.one = bookingapi.Booking{ID: "b1"}
	for name, send := range map[string]func() response{
		"a registration": func() response { return h.do("POST", "/api/auth/register", registerBody, bearer(h.token())...) },
		"a booking":      func() response { return h.do("POST", "/api/bookings", bookingBody, bearer(h.token())...) },
		"a read":         func() response { return h.get("/api/auth/me", bearer(h.token())...) },
	} {
		send() // loads the script
		before := commands.Load()
		if res := send(); res.StatusCode >= 300 {
			t.Errorf("%s: got %d %s, want success", name, res.StatusCode, res.body)
		}
		if got := commands.Load() - before; got != 1 {
			t.Errorf("%s: got %d commands, want 1", name, got)
		}
	}
}

// Otherwise malformed requests would be free, although each costs a response and a line of
// the log.
func TestUnparsableRequestCountsAgainstItsLimit(t *testing.T) {
	h := newHarness(t, func(c *main.Config) { c.Write = main.Rate{Requests: 2, Period: time.Minute} })
	addr := listen(t, h.server)
	const malformed = "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"
	for range 2 {
		h.wantProblem(sendRaw(t, addr, malformed), 400, "invalid")
	}
	h.wantProblem(sendRaw(t, addr, malformed), 429, "rate_limited")
	h.wantProblem(h.do("POST", "/nowhere", ""), 404, "not_found") // comes from another address
}

func TestUnacceptableRequestCountsAgainstItsLimit(t *testing.T) {
	h := newHarness(t, func(c *main.Config) { c.Browse = main.Rate{Requests: 1, Period: time.Minute} })
	const path = "/.well-known/jwks.json"
	h.wantProblem(h.get(path, "Accept", "image/png"), 406, "not_acceptable")
	h.wantProblem(h.get(path, "Accept", "image/png"), 429, "rate_limited")
}
