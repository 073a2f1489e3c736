package main_test

import (
	"fmt"
	"testing"
	"time"

	"boxoffice/gateway"
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

func TestUnacceptableRequestCountsAgainstItsLimit(t *testing.T) {
	h := newHarness(t, func(c *main.Config) { c.Browse = main.Rate{Requests: 1, Period: time.Minute} })
	const path = "/.well-known/jwks.json"
	h.wantProblem(h.get(path, "Accept", "image/png"), 406, "not_acceptable")
	h.wantProblem(h.get(path, "Accept", "image/png"), 429, "rate_limited")
}
