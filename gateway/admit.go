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
	"boxoffice/shared/subnet"
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
	// perAddress counts every request of an address, in addition to the bucket of the
	// request's kind.
	perAddress bucket = "address"
)

// SessionCache counts a request against its rate limits and looks up its session in
// one round trip to Redis.
type SessionCache interface {
	Lookup(ctx context.Context, req sessioncache.Request) (ratelimit.Decision, sessioncache.Entry, error)
}

var _ SessionCache = (*sessioncache.Cache)(nil)

// admit counts the request against its rate limits and sets the RateLimit headers, which
// describe the limit that leaves the fewest requests. admit returns the cache entry of the
// token's session. If a limit is exceeded, it returns a RateLimited error.
//
// If the token is valid, the limit of the request's bucket is that of its user, and
// otherwise that of the client address. Registrations and log-ins always count against
// the address, and with a valid token against the user as well, because anyone can have
// many accounts. For the same reason all requests of an address count together.
//
// While Redis is unreachable, admit counts the request in this process only and
// returns an empty entry.
func (s *Server) admit(c *fiber.Ctx, kind bucket, cred credentials, address string) (sessioncache.Entry, error) {
	req := sessioncache.Request{}
	if cred.err == nil && cred.claims.SessionID != "" {
		req.SessionID, req.UserID = cred.claims.SessionID, cred.claims.Subject
	}
	req.Limits = s.limitsOf(kind, address, req.UserID)
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

// addressSubject returns the subject of the limits of a client address.
func addressSubject(address string) string { return "address:" + subnet.Of(address) }

// maxLimits is the largest number of limits of one request.
const maxLimits = 3

// limitsOf returns the limits of a request of a kind that comes from an address. user is
// the id of the token's user, or empty without a valid token. Each limit counts the
// request, except the one of refusals.
func (s *Server) limitsOf(kind bucket, address, user string) []ratelimit.Limit {
	if kind == unlimited {
		return nil
	}
	fromAddress := addressSubject(address)
	subject := fromAddress
	if user != "" {
		subject = userSubject(user)
	}
	limits := make([]ratelimit.Limit, 0, maxLimits)
	switch kind {
	case logIn:
		limits = s.appendLimit(limits, logIn, fromAddress)
		if user != "" {
			limits = s.appendLimit(limits, logIn, subject)
		}
	case refusable:
		limits = s.appendLimit(limits, write, subject)
		n := len(limits)
		if limits = s.appendLimit(limits, refusals, subject); len(limits) > n {
			limits[n].Peek = true
		}
	default:
		limits = s.appendLimit(limits, kind, subject)
	}
	return s.appendLimit(limits, perAddress, fromAddress)
}

// appendLimit appends the limit of a bucket for a subject, unless the bucket has no limit.
func (s *Server) appendLimit(limits []ratelimit.Limit, kind bucket, subject string) []ratelimit.Limit {
	rate := s.rates[kind]
	if rate.Requests == 0 {
		return limits
	}
	return append(limits, ratelimit.Limit{Bucket: string(kind), Subject: subject, Requests: rate.Requests, Period: rate.Period})
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
