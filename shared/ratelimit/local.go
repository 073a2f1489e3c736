package ratelimit

import (
	"sync"
	"time"
)

// Local counts requests in this process, by the same algorithm as [Script]. It is
// for the time during which Redis is unreachable. Each of several gateways then
// allows the full limit. It is safe for concurrent use.
//
// Its memory is bounded, however many subjects send requests: the counters are
// kept in two generations. When the newer generation is full it becomes the older
// one, and the counters of the previous older one are dropped.
type Local struct {
	now  func() time.Time
	size int // of a generation

	mu           sync.Mutex
	newer, older map[localKey]time.Time // theoretical arrival times
}

type localKey struct{ bucket, subject string }

// NewLocal returns a Local that remembers at least the last size counters that
// changed, and at most twice as many.
func NewLocal(now func() time.Time, size int) *Local {
	return &Local{now: now, size: size, newer: map[localKey]time.Time{}}
}

// Take counts one request against limit, unless the limit refuses it.
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
