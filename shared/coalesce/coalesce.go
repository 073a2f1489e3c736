// Package coalesce lets calls that come together share one piece of work, as flat
// combining does (Hendler, Incze, Shavit and Tzafrir, SPAA 2010): one of them
// works for all who are there, and who comes meanwhile makes the next round.
// Nobody waits for others to come.
//
// It saves work only. Other processes have rounds of their own, so what is done in
// one must be right without it.
package coalesce

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrLeaderFailed is what a call ends with whose round another led and broke off: what
// became of it is unknown.
var ErrLeaderFailed = errors.New("the round of this call broke off")

// Config is what Group need. All fields must be set but MaxWait and Key.
type Config[T any] struct {
	// Max is how many items share a round at most.
	MaxItems int
	// For bounds a round that several calls share, since it does not end with any of
	// their requests.
	Timeout time.Duration
	// MaxWait is after how long a call that still waits makes a round beside the
	// one that runs; never, when it is zero.
	MaxWait time.Duration
	// Key of items that must not be in one round is the same; any may, without it.
	Key func(T) string
	// Follow is told of a request whose work another's round carries, when that
	// begins, with the contexts of both. through, unless it is nil, is called at its
	// end.
	Follow func(ctx, leader context.Context) (through func())
}

// Group is safe for concurrent use.
type Group[T any] struct {
	cfg      Config[T]
	mu       sync.Mutex
	subjects map[string]*subject[T] // those that a round runs for
}

// subject is what a round is about.
type subject[T any] struct {
	runs    *round[T] // whose end the others wait for: the one that began last
	waiting []*call[T]
}

// round is the calls that share one piece of work; the first leads it.
type round[T any] struct{ calls []*call[T] }

type call[T any] struct {
	ctx   context.Context //nolint:containedctx // of the request, while Do runs
	items []T
	err   error
	wake  chan *round[T] // the round that it is to lead; nil when it is through
}

// Work does what a round is for, and leaves what became of each item in it. over
// lets the next round begin before this one returns. When several share the round,
// its context has the values of the leader's, and another end.
type Work[T any] func(ctx context.Context, items []T, over func())

// New returns rounds.
func New[T any](cfg Config[T]) *Group[T] {
	return &Group[T]{cfg: cfg, subjects: map[string]*subject[T]{}}
}

// Do returns when work was done for the items, all in one round, by this call or by
// another that came for the same subject. Its error is the context's, when the call
// gave up before it was in a round and nothing was done, or ErrLeaderFailed.
func (r *Group[T]) Do(ctx context.Context, about string, work Work[T], items ...T) error {
	c := &call[T]{ctx: ctx, items: items, err: ErrLeaderFailed, wake: make(chan *round[T], 1)}
	if led := r.join(about, c); led != nil {
		r.lead(about, led, work) //nolint:contextcheck // it has the leader's
	}
	return c.err
}

// Queued is how many calls about a subject wait for their round.
func (r *Group[T]) Queued(about string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.subjects[about]; s != nil {
		return len(s.waiting)
	}
	return 0
}

// join returns the round that c is to lead. It returns nil when another has led
// one with c in it, or c gave up first, with its error.
func (r *Group[T]) join(about string, c *call[T]) *round[T] {
	if led := r.enter(about, c); led != nil {
		return led
	}
	var late <-chan time.Time
	if r.cfg.MaxWait > 0 {
		timer := time.NewTimer(r.cfg.MaxWait)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case led := <-c.wake:
		return led
	case <-late:
		if led := r.overtake(about, c); led != nil {
			return led
		}
	case <-c.ctx.Done():
		if r.leave(about, c) {
			c.err = c.ctx.Err()
			return nil
		}
	}
	return <-c.wake // it is in a round already, and that is bounded
}

// enter returns a round of c alone when none runs; else c waits.
func (r *Group[T]) enter(about string, c *call[T]) *round[T] {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.subjects[about]
	if s != nil {
		s.waiting = append(s.waiting, c)
		return nil
	}
	led := &round[T]{calls: []*call[T]{c}}
	r.subjects[about] = &subject[T]{runs: led}
	return led
}

// leave takes c out again. It reports false when c waits no more.
func (r *Group[T]) leave(about string, c *call[T]) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.subjects[about]
	return s != nil && s.drop(c)
}

// drop takes one out of those who wait. It reports false when it is not there.
func (s *subject[T]) drop(c *call[T]) bool {
	at := slices.Index(s.waiting, c)
	if at >= 0 {
		s.waiting = slices.Delete(s.waiting, at, at+1)
	}
	return at >= 0
}

// overtake returns a round that c leads beside the one that takes too long; nil
// when c waits no more. From now on the others wait for this one.
func (r *Group[T]) overtake(about string, c *call[T]) *round[T] {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.subjects[about]
	if s == nil || !s.drop(c) {
		return nil
	}
	s.waiting = slices.Insert(s.waiting, 0, c)
	s.runs = r.pick(s)
	return s.runs
}

// next ends a round: who waits makes the next one.
func (r *Group[T]) next(about string, ended *round[T]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.subjects[about]
	if s == nil || s.runs != ended {
		return // it was overtaken
	}
	if len(s.waiting) == 0 {
		delete(r.subjects, about)
		return
	}
	s.runs = r.pick(s)
	s.runs.calls[0].wake <- s.runs
}

// pick takes a round out of those who wait, of whom there is one at least.
func (r *Group[T]) pick(s *subject[T]) *round[T] {
	picked := &round[T]{}
	var later []*call[T]
	keys := map[string]bool{}
	size := 0
	for _, c := range s.waiting {
		if len(picked.calls) > 0 && (size+len(c.items) > r.cfg.MaxItems || r.meets(keys, c)) {
			later = append(later, c)
			continue
		}
		picked.calls = append(picked.calls, c)
		size += len(c.items)
		if r.cfg.Key != nil {
			for _, item := range c.items {
				keys[r.cfg.Key(item)] = true
			}
		}
	}
	s.waiting = later
	return picked
}

// meets reports whether a call has an item of one of the keys.
func (r *Group[T]) meets(keys map[string]bool, c *call[T]) bool {
	return r.cfg.Key != nil && slices.ContainsFunc(c.items, func(item T) bool { return keys[r.cfg.Key(item)] })
}

// lead brings a round to its end, for all who are in it.
func (r *Group[T]) lead(about string, led *round[T], work Work[T]) {
	over := sync.OnceFunc(func() { r.next(about, led) })
	ctx, others := led.calls[0].ctx, led.calls[1:]
	through := make([]func(), len(others))
	defer func() {
		over()
		for i, c := range others {
			if through[i] != nil {
				through[i]()
			}
			c.wake <- nil
		}
	}()
	var items []T
	for _, c := range led.calls {
		items = append(items, c.items...)
	}
	if len(others) > 0 {
		for i, c := range others {
			through[i] = r.cfg.Follow(c.ctx, ctx)
		}
		// Theirs it is too, and does not end with the leader's request.
		var cancel func()
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Timeout)
		defer cancel()
	}
	work(ctx, items, over)
	for _, c := range led.calls {
		c.err = nil
	}
}
