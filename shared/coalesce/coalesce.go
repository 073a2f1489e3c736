// Package coalesce batches concurrent calls about the same subject.
//
// The first call runs at once, alone. Calls that arrive while it runs queue up; when
// it finishes, one of them leads the next batch on behalf of all of them. Batches
// therefore grow with load, and a call that is alone never waits. The technique is
// flat combining (Hendler, Incze, Shavit and Tzafrir, SPAA 2010).
//
// Coalescing only saves work. Other processes form batches of their own, so whatever
// a batch does must be correct without it.
package coalesce

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrLeaderFailed is returned to calls whose batch leader failed before it produced
// their results. Their work may or may not have been done.
var ErrLeaderFailed = errors.New("the leader of the call's batch failed")

// Config holds the parameters of a Group. MaxWait, Key and Started are optional.
type Config[T any] struct {
	// MaxItems limits the items of a batch that several calls share. A call with more
	// items than that forms a batch alone.
	MaxItems int
	// Timeout limits how long a batch of several calls runs. It replaces the deadlines
	// of the calls, because the batch outlives any one of them. A call that is alone in
	// its batch keeps its own context.
	Timeout time.Duration
	// MaxWait limits how long a queued call waits for the running batch before it
	// starts another one beside it. Zero means no limit.
	MaxWait time.Duration
	// Key returns the key of an item. Items of different calls that have the same key
	// never share a batch. If Key is nil, any items may share one.
	Key func(T) string
	// Follow is called for each call whose work is done by another call, the leader,
	// when their batch starts. It receives the contexts of both. The returned end
	// function, unless it is nil, is called when the batch ends.
	Follow func(ctx, leader context.Context) (end func())
	// Started is called when a batch starts, with the leader's context and the number of
	// items in the batch.
	Started func(ctx context.Context, items int)
}

// Group forms batches, one after the other for each subject. It is safe for
// concurrent use.
type Group[T any] struct {
	cfg    Config[T]
	mu     sync.Mutex
	queues map[string]*queue[T] // by subject; only subjects with a running batch have one
}

// queue is the state of a subject for which a batch runs.
type queue[T any] struct {
	// latest is the batch that started last. The next batch starts when latest ends.
	// An older batch may still run after a call has taken over from it; its end starts
	// nothing.
	latest  *batch[T]
	waiting []*call[T] // in order of arrival
}

// batch is a set of calls that share one piece of work. The first call leads it.
type batch[T any] struct {
	calls []*call[T]
	items []T
	keys  map[string]bool // nil without Config.Key
}

// call is one invocation of Do.
type call[T any] struct {
	ctx   context.Context //nolint:containedctx // the call lives exactly as long as Do
	items []T
	err   error // the result of Do; written before wake receives nil
	// wake receives the batch that the call must lead, or nil once another call has
	// led a batch that includes it.
	wake chan *batch[T]
}

// Work processes the items of one batch. It stores each item's result in the item.
//
// Calling release lets the next batch start before Work returns; release may be
// called more than once. If several calls share the batch, ctx carries the values of
// the leader's context but not its cancellation: it ends after Config.Timeout.
type Work[T any] func(ctx context.Context, items []T, release func())

// New returns a Group without calls.
func New[T any](cfg Config[T]) *Group[T] {
	return &Group[T]{cfg: cfg, queues: map[string]*queue[T]{}}
}

// Do returns once the items have been processed, all in the same batch. Either this
// call ran work, or another call about the same subject ran its own work with these
// items, so all calls about a subject must pass equivalent functions.
//
// Do returns ctx.Err() if ctx ends before the call joins a batch. In that case its
// items were not processed. Do returns ErrLeaderFailed if the leader of its batch
// panicked.
func (g *Group[T]) Do(ctx context.Context, subject string, work Work[T], items ...T) error {
	c := &call[T]{ctx: ctx, items: items, err: ErrLeaderFailed, wake: make(chan *batch[T], 1)}
	if b := g.join(subject, c); b != nil {
		g.run(subject, b, work) //nolint:contextcheck // run uses the leader's context
	}
	return c.err
}

// Queued returns the number of calls about subject that wait for a batch.
func (g *Group[T]) Queued(subject string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if q := g.queues[subject]; q != nil {
		return len(q.waiting)
	}
	return 0
}

// join waits until c must lead a batch, and returns that batch. It returns nil if c
// was processed as part of another call's batch, or if c's context ended first; c.err
// then holds the outcome.
func (g *Group[T]) join(subject string, c *call[T]) *batch[T] {
	if b := g.startOrQueue(subject, c); b != nil {
		return b
	}
	var tooLong <-chan time.Time
	if g.cfg.MaxWait > 0 {
		timer := time.NewTimer(g.cfg.MaxWait)
		defer timer.Stop()
		tooLong = timer.C
	}
	select {
	case b := <-c.wake:
		return b
	case <-tooLong:
		if b := g.takeOver(subject, c); b != nil {
			return b
		}
	case <-c.ctx.Done():
		if g.withdraw(subject, c) {
			c.err = c.ctx.Err()
			return nil
		}
	}
	// c is already part of a batch. Waiting for it is bounded by Config.Timeout.
	return <-c.wake
}

// startOrQueue starts a batch of c alone and returns it, if no batch runs for subject.
// Otherwise it queues c and returns nil.
func (g *Group[T]) startOrQueue(subject string, c *call[T]) *batch[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if q := g.queues[subject]; q != nil {
		q.waiting = append(q.waiting, c)
		return nil
	}
	q := &queue[T]{waiting: []*call[T]{c}}
	g.queues[subject] = q
	return g.startBatch(q)
}

// withdraw removes c from the queue. It reports false if c was not queued, because a
// batch includes it.
func (g *Group[T]) withdraw(subject string, c *call[T]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.queues[subject]
	return q != nil && q.remove(c)
}

// remove removes c from the waiting calls. It reports whether c was one of them.
func (q *queue[T]) remove(c *call[T]) bool {
	at := slices.Index(q.waiting, c)
	if at < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, at, at+1)
	return true
}

// takeOver starts a batch led by c beside the running one, which takes too long, and
// returns it. The calls that remain in the queue then wait for the new batch. takeOver
// returns nil if c was not queued, because a batch includes it.
func (g *Group[T]) takeOver(subject string, c *call[T]) *batch[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.queues[subject]
	if q == nil || !q.remove(c) {
		return nil
	}
	q.waiting = slices.Insert(q.waiting, 0, c) // the first call leads
	return g.startBatch(q)
}

// startNext starts the next batch for subject after ended, or forgets subject if no
// call waits. It does nothing if another batch has taken over from ended.
func (g *Group[T]) startNext(subject string, ended *batch[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.queues[subject]
	if q == nil || q.latest != ended {
		return
	}
	if len(q.waiting) == 0 {
		delete(g.queues, subject)
		return
	}
	b := g.startBatch(q)
	b.calls[0].wake <- b
}

// startBatch moves calls from the queue, which must not be empty, into a new batch
// and makes it the latest. The first call always joins; each later one joins if it
// fits. The others keep their places.
func (g *Group[T]) startBatch(q *queue[T]) *batch[T] {
	b := &batch[T]{}
	var left []*call[T]
	for _, c := range q.waiting {
		if len(b.calls) == 0 || g.fits(b, c) {
			g.add(b, c)
		} else {
			left = append(left, c)
		}
	}
	q.waiting, q.latest = left, b
	return b
}

// fits reports whether c can join b: there is room for its items, and none of them
// has the key of an item in b.
func (g *Group[T]) fits(b *batch[T], c *call[T]) bool {
	if len(b.items)+len(c.items) > g.cfg.MaxItems {
		return false
	}
	return g.cfg.Key == nil || !slices.ContainsFunc(c.items, func(item T) bool { return b.keys[g.cfg.Key(item)] })
}

// add adds c and its items to b.
func (g *Group[T]) add(b *batch[T], c *call[T]) {
	b.calls = append(b.calls, c)
	b.items = append(b.items, c.items...)
	if g.cfg.Key == nil {
		return
	}
	if b.keys == nil {
		b.keys = map[string]bool{}
	}
	for _, item := range c.items {
		b.keys[g.cfg.Key(item)] = true
	}
}

// run processes b in the leader's goroutine and then wakes the followers. If work
// panics, the followers return ErrLeaderFailed and the panic propagates.
func (g *Group[T]) run(subject string, b *batch[T], work Work[T]) {
	release := sync.OnceFunc(func() { g.startNext(subject, b) })
	ctx, followers := b.calls[0].ctx, b.calls[1:]
	ends := make([]func(), len(followers))
	defer func() {
		release()
		for i, c := range followers {
			if ends[i] != nil {
				ends[i]()
			}
			c.wake <- nil
		}
	}()
	if len(followers) > 0 {
		for i, c := range followers {
			ends[i] = g.cfg.Follow(c.ctx, ctx)
		}
		// The batch belongs to the followers too, so the end of the leader's request
		// must not end it.
		var cancel func()
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), g.cfg.Timeout)
		defer cancel()
	}
	if g.cfg.Started != nil {
		g.cfg.Started(ctx, len(b.items))
	}
	work(ctx, b.items, release)
	for _, c := range b.calls {
		c.err = nil
	}
}
