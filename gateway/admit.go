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

// SessionCache counts a request against its rate limits and looks up its session in
// one round trip to Redis.
type SessionCache interface {
	Lookup(ctx context.Context, req sessioncache.Request) (ratelimit.Decision, sessioncache.Entry, error)
}

var _ SessionCache = (*sessioncache.Cache)(nil)

// admit counts the request against the rate limit of its bucket and sets the
// RateLimit headers. If the token is valid, the limit is that of its user, and
// otherwise that of the client address. admit returns the cache entry of the token's
// session. If the limit is exceeded, it returns a RateLimited error.
//
// While Redis is unreachable, admit counts the request in this process only and
// returns an empty entry.
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
		// ErrPaused follows a failure that was already logged.
		if !errors.Is(err, redisconn.ErrPaused) {
			s.log.WarnContext(c.UserContext(), "redis is unreachable", telemetry.KeyError, err.Error())
		}
		if limited {
			decision = s.localLimits.Take(req.Limits[0])
		}
	}
	if !limited {
		return entry, nil
	}
	c.Set("RateLimit-Policy", fmt.Sprintf(`"%s";q=%d;w=%d`, kind, rate.Requests, ceilSeconds(rate.Period)))
	c.Set("RateLimit", fmt.Sprintf(`"%s";r=%d;t=%d`, kind, decision.Remaining, ceilSeconds(decision.ResetIn)))
	if decision.Refused {
		return entry, apperr.TooManyRequests("", "Too many requests. Send the request again after the time in Retry-After.", decision.RetryIn)
	}
	return entry, nil
}

// ceilSeconds returns d in seconds, rounded up, so that a client that waits for the
// result has waited at least d.
func ceilSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
