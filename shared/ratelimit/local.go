package ratelimit

import (
	"sync"
	"time"
)

// Local counts requests in this process with the same algorithm as [Script]. Use it
// while Redis is unreachable. Gateways do not share its counters, so each of them
// allows the full limit. Local is safe for concurrent use.
//
// Its memory is bounded, however many subjects send requests. The counters are kept
// in two generations. When the newer generation is full, it replaces the older one,
// whose counters are dropped.
type Local struct {
	now  func() time.Time
	size int // maximum number of counters in a generation

	mu           sync.Mutex
	newer, older map[localKey]time.Time // theoretical arrival times
}

type localKey struct{ bucket, subject string }

// NewLocal returns a Local that holds at most 2*size counters. A counter is dropped
// only after at least size others have changed.
func NewLocal(now func() time.Time, size int) *Local {
	return &Local{now: now, size: size, newer: map[localKey]time.Time{}}
}

// Take counts one request against limit, unless limit refuses the request.
func (l *Local) Take(limit Limit) Decision {
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
		return Decision{Refused: true, ResetIn: full.Sub(now), RetryIn: next.Sub(last)}
	}
	if len(l.newer) >= l.size {
		l.older, l.newer = l.newer, map[localKey]time.Time{}
	}
	l.newer[key] = next
	return Decision{Remaining: int(last.Sub(next) / step), ResetIn: next.Sub(now)}
}
