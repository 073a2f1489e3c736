package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/gofiber/fiber/v2"

	"boxoffice/shared/apperr"
	"boxoffice/shared/ratelimit"
	"boxoffice/shared/redisconn"
	"boxoffice/shared/sessioncache"
	"boxoffice/shared/telemetry"
)

// bucket is a kind of request. Each kind has a separate rate limit.
type bucket string

const (
	unlimited bucket = ""
	browse    bucket = "browse"
	write     bucket = "write"
	logIn     bucket = "login"
)

// SessionCache counts a request against its rate limits and looks up its session,
// in one round trip to Redis.
type SessionCache interface {
	Lookup(ctx context.Context, req sessioncache.Request) (ratelimit.Decision, sessioncache.Entry, error)
}

var _ SessionCache = (*sessioncache.Cache)(nil)

// admit counts the request against the rate limit of its bucket and sets the
// RateLimit headers. The subject is the user if the token is valid, and otherwise
// the client address. admit returns what the cache holds about the token's
// session, or an error if the request is refused.
//
// While Redis is unreachable, this process counts the request alone and the entry
// is empty.
func (s *Server) admit(c *fiber.Ctx, kind bucket, cred credentials, address string) (sessioncache.Entry, error) {
	subject := "address:" + address
	req := sessioncache.Request{}
	if cred.err == nil && cred.claims.SessionID != "" {
		subject = "user:" + cred.claims.Subject
		req.SessionID, req.UserID = cred.claims.SessionID, cred.claims.Subject
	}
	rate := s.rates[kind]
	if rate.Requests > 0 {
		req.Limits = []ratelimit.Limit{{Bucket: string(kind), Subject: subject, Requests: rate.Requests, Period: rate.Period}}
	}
	limited := len(req.Limits) > 0
	if !limited && req.SessionID == "" {
		return sessioncache.Entry{}, nil
	}
	decision, entry, err := s.cache.Lookup(c.UserContext(), req)
	if err != nil {
		// After each failure the Redis client returns ErrPaused for a second. One log
		// line is enough.
		if !errors.Is(err, redisconn.ErrPaused) {
			s.log.WarnContext(c.UserContext(), "redis is unreachable", telemetry.KeyError, err.Error())
		}
		if limited {
			decision = s.local.Take(req.Limits[0])
		}
	}
	if !limited {
		return entry, nil
	}
	c.Set("RateLimit-Policy", fmt.Sprintf(`"%s";q=%d;w=%d`, kind, rate.Requests, ceilSeconds(rate.Period)))
	c.Set("RateLimit", fmt.Sprintf(`"%s";r=%d;t=%d`, kind, decision.Remaining, ceilSeconds(decision.ResetIn)))
	if decision.Refused {
		return entry, apperr.TooManyRequests("", "Too many requests. Retry after the time in the Retry-After header.", decision.RetryIn)
	}
	return entry, nil
}

// ceilSeconds returns d in whole seconds, rounded up so that a client that waits
// that long has waited long enough.
func ceilSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
