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

// Take counts one request against the limits, except those with Peek, unless one of them
// refuses the request.
func (l *Local) Take(limits ...Limit) Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	var decision Decision
	decided := false
	now, next := l.now(), make([]time.Time, len(limits))
	for i, limit := range limits {
		one, full := limit.take(i, now, l.full(limit))
		switch next[i] = full; {
		case one.Refused && (!decision.Refused || one.RetryIn > decision.RetryIn):
			decision = one
		case one.Refused, decision.Refused, limit.Peek:
		case !decided || one.Remaining < decision.Remaining:
			decided, decision = true, one
		}
	}
	if decision.Refused {
		return decision
	}
	for i, limit := range limits {
		if !limit.Peek {
			l.set(limit, next[i])
		}
	}
	return decision
}

// take decides on a request at the time now, when the bucket would be full again at full.
// It returns that time with the request counted. index is the limit's position in a list.
func (limit Limit) take(index int, now, full time.Time) (Decision, time.Time) {
	if full.Before(now) {
		full = now
	}
	step := limit.Period / time.Duration(limit.Requests)
	next, last := full.Add(step), now.Add(limit.Period)
	if next.After(last) {
		return Decision{Index: index, Refused: true, ResetIn: full.Sub(now), RetryIn: next.Sub(last)}, full
	}
	return Decision{Index: index, Remaining: int(last.Sub(next) / step), ResetIn: next.Sub(now)}, next
}

// full returns the time at which the bucket of limit is full again, or the zero time if it
// is full.
func (l *Local) full(limit Limit) time.Time {
	key := localKey{limit.Bucket, limit.Subject}
	if at, ok := l.newer[key]; ok {
		return at
	}
	return l.older[key]
}

// set stores the time at which the bucket of limit is full again.
func (l *Local) set(limit Limit, full time.Time) {
	if len(l.newer) >= l.size {
		l.older, l.newer = l.newer, map[localKey]time.Time{}
	}
	l.newer[localKey{limit.Bucket, limit.Subject}] = full
}
