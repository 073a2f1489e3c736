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
	refusable bucket = "refusable" // counted as write; see refusals.go
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
		subject = userSubject(cred.claims.Subject)
		req.SessionID, req.UserID = cred.claims.SessionID, cred.claims.Subject
	}
	req.Limits = s.limitsOf(kind, subject)
	if len(req.Limits) == 0 && req.SessionID == "" {
		return sessioncache.Entry{}, nil
	}
	decision, entry := s.lookup(c.UserContext(), req)
	if len(req.Limits) == 0 {
		return entry, nil
	}
	limit := req.Limits[decision.Index]
	if limit.Peek && !decision.Refused { // it is the only limit, and counts nothing
		return entry, nil
	}
	c.Set("RateLimit-Policy", fmt.Sprintf(`"%s";q=%d;w=%d`, limit.Bucket, limit.Requests, ceilSeconds(limit.Period)))
	c.Set("RateLimit", fmt.Sprintf(`"%s";r=%d;t=%d`, limit.Bucket, decision.Remaining, ceilSeconds(decision.ResetIn)))
	switch {
	case !decision.Refused:
		return entry, nil
	case limit.Peek:
		return entry, apperr.TooManyRequests("", "Too many of your bookings were refused. Send the request again after the time in Retry-After.", decision.RetryIn)
	}
	return entry, apperr.TooManyRequests("", "Too many requests. Send the request again after the time in Retry-After.", decision.RetryIn)
}

// userSubject returns the subject of the limits of a user.
func userSubject(userID string) string { return "user:" + userID }

// limitsOf returns the limits of the requests that a subject sends of a kind. The first
// one counts them, unless their kind has no limit.
func (s *Server) limitsOf(kind bucket, subject string) []ratelimit.Limit {
	if kind != refusable {
		return s.limit(kind, subject)
	}
	limits := s.limit(write, subject)
	for _, peeked := range s.limit(refusals, subject) {
		peeked.Peek = true
		limits = append(limits, peeked)
	}
	return limits
}

// limit returns the limit of a bucket for a subject, or nothing if it has none.
func (s *Server) limit(kind bucket, subject string) []ratelimit.Limit {
	rate := s.rates[kind]
	if rate.Requests == 0 {
		return nil
	}
	return []ratelimit.Limit{{Bucket: string(kind), Subject: subject, Requests: rate.Requests, Period: rate.Period}}
}

// lookup counts a request and looks up its session. While Redis is unreachable, it counts
// the request in this process only and returns an empty entry.
func (s *Server) lookup(ctx context.Context, req sessioncache.Request) (ratelimit.Decision, sessioncache.Entry) {
	decision, entry, err := s.cache.Lookup(ctx, req)
	if err == nil {
		return decision, entry
	}
	// ErrPaused follows a failure that was already logged.
	if !errors.Is(err, redisconn.ErrPaused) {
		s.log.WarnContext(ctx, "redis is unreachable", telemetry.KeyError, err.Error())
	}
	return s.localLimits.Take(req.Limits...), entry
}

// ceilSeconds returns d in seconds, rounded up, so that a client that waits for the
// result has waited at least d.
func ceilSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
