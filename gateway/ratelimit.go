package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"

	"boxoffice/shared/apperr"
	"boxoffice/shared/redisconn"
	"boxoffice/shared/sessioncache"
	"boxoffice/shared/telemetry"
)

// bucket is the kind of requests that are counted together.
type bucket string

const (
	free   bucket = "" // not counted
	browse bucket = "browse"
	write  bucket = "write"
	logIn  bucket = "login"
)

// Looker counts a request and tells what is known of its session, in one round
// trip to Redis.
type Looker interface {
	Look(ctx context.Context, q sessioncache.Question) (sessioncache.Counted, sessioncache.Known, error)
}

var _ Looker = (*sessioncache.Cache)(nil)

// admit counts the request, against its user when the token is good and else
// against its address, and says so in the answer. Without Redis the process
// counts by itself and knows no session.
func (s *Server) admit(c *fiber.Ctx, kind bucket, b bearer, address string) (sessioncache.Known, error) {
	subject := "address:" + address
	q := sessioncache.Question{}
	if b.err == nil && b.claims.SessionID != "" {
		subject = "user:" + b.claims.Subject
		q.SessionID, q.UserID = b.claims.SessionID, b.claims.Subject
	}
	rate := s.rates[kind]
	if rate.Requests > 0 {
		q.Limits = []sessioncache.Limit{{Bucket: string(kind), Subject: subject, Requests: rate.Requests, Period: rate.Period}}
	}
	limited := len(q.Limits) > 0
	if !limited && q.SessionID == "" {
		return sessioncache.Known{}, nil
	}
	counted, known, err := s.cache.Look(c.UserContext(), q)
	if err != nil {
		if !errors.Is(err, redisconn.ErrPaused) { // which follows for a second
			s.log.WarnContext(c.UserContext(), "redis is away", telemetry.KeyError, err.Error())
		}
		if limited {
			counted = s.local.count(q.Limits[0])
		}
	}
	if !limited {
		return known, nil
	}
	c.Set("RateLimit-Policy", fmt.Sprintf(`"%s";q=%d;w=%d`, kind, rate.Requests, seconds(rate.Period)))
	c.Set("RateLimit", fmt.Sprintf(`"%s";r=%d;t=%d`, kind, counted.Remaining, seconds(counted.Full)))
	if counted.Refused {
		return known, apperr.TooManyRequests("", "Too many requests, try again later.", counted.Retry)
	}
	return known, nil
}

// seconds rounds up: a client who waits that long has waited enough.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// localLimits counts as sessioncache does, in this process alone. It is for the
// time in which Redis is away: with several gateways each lets the limit pass.
//
// There are two generations of entries. When the newer is full it becomes the
// older one, whose entries are forgotten: memory is bounded, whoever asks.
type localLimits struct {
	now  func() time.Time
	most int // entries in a generation

	mu           sync.Mutex
	newer, older map[localKey]time.Time // when the bucket is full again
}

type localKey struct{ bucket, subject string }

func newLocalLimits(now func() time.Time, most int) *localLimits {
	return &localLimits{now: now, most: most, newer: map[localKey]time.Time{}}
}

// count takes one request from a bucket, or nothing when it refuses.
func (l *localLimits) count(limit sessioncache.Limit) sessioncache.Counted {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := localKey{limit.Bucket, limit.Subject}
	now, step := l.now(), limit.Period/time.Duration(limit.Requests)
	full, ok := l.newer[key]
	if !ok {
		full = l.older[key]
	}
	if full.Before(now) {
		full = now
	}
	next, last := full.Add(step), now.Add(limit.Period)
	if next.After(last) {
		return sessioncache.Counted{Refused: true, Full: full.Sub(now), Retry: next.Sub(last)}
	}
	if len(l.newer) >= l.most {
		l.older, l.newer = l.newer, map[localKey]time.Time{}
	}
	l.newer[key] = next
	return sessioncache.Counted{Remaining: int(last.Sub(next) / step), Full: next.Sub(now)}
}
