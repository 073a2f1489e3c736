// Package readcache keeps the results of reads for a short time in memory, and lets
// concurrent reads of the same key share one load.
//
// A load begins when no entry is fresh enough. Every read of the key that arrives while
// the load runs waits for it instead of beginning another one. The age of an entry is
// measured from before its load began, so that an entry is never older than it seems.
//
// A change of the data drops entries at once. A load that began before the change may
// have read the old data. Drop therefore also detaches running loads: a detached load
// still returns its result to the reads that already wait for it, which arrived before
// the change, but its result is not stored, and no later read joins it. For example:
//
//	read 1 begins load A, which reads version 1
//	the data changes to version 2, and the change is announced: Drop
//	read 2 begins load B, because A is detached
//	A ends: read 1 gets version 1, nothing is stored
//	B ends: read 2 gets version 2, which is stored
//
// The memory is bounded: when the entries exceed Config.MaxBytes, the least recently
// used ones are evicted. Each running load has at least one read that began it, so the
// number of loads is bounded by that of the requests, or by the loads' own time limits if
// requests are abandoned.
package readcache

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"boxoffice/shared/apperr"
)

const (
	// entryOverhead is the approximate memory of an entry beside its key, body and
	// ETag, in bytes: the entry, its list element, and its places in three maps.
	entryOverhead = 512
	// regressionLimit is how long an entry outranks a load that returned a lower
	// version. Such a load was overtaken by another one, which takes seconds at most. A
	// version that stays lower for longer is real, for example after the database was
	// restored from a backup.
	regressionLimit = time.Minute
)

// Key identifies a read.
type Key struct {
	Subject string // the entries of one subject are dropped together
	Read    string // the name of the read
	Params  string // the read's parameters in canonical form
}

// Value is the result of a load. The cache shares it between reads, so it must not be
// modified.
type Value struct {
	Body    []byte
	ETag    string
	Version int64  // zero if the value has no version
	Status  string // for the caller; the cache does not interpret it
	// AsOf is when the value was current, if it is older than its load: it is a copy that
	// replaces an answer. It is zero otherwise.
	AsOf time.Time
	// Refusal is the reason why there is no value, for example that the resource does
	// not exist. It is stored like a value.
	Refusal error
}

// Source says where a result comes from.
type Source string

// The sources of results.
const (
	Hit   Source = "hit"   // a fresh entry
	Miss  Source = "miss"  // a load
	Stale Source = "stale" // a value that is no longer fresh, because the load failed or the app is overloaded
)

// Result is the result of a read.
type Result struct {
	Value
	Age    time.Duration // time since before the load of the value began
	Source Source
}

// Policy says which entries a read accepts.
type Policy struct {
	// MaxAge is the age below which an entry is returned without a load.
	MaxAge time.Duration
	// StaleFor is how much older an entry may be that replaces the result of a load that
	// failed or met an overloaded app. Zero means that the error is returned.
	StaleFor time.Duration
	// JoinWithin is how long after its beginning a load can be joined. A read that
	// arrives later begins another load, so that its result is not older than this at
	// the time of its arrival. Zero means that any running load can be joined.
	JoinWithin time.Duration
}

// Config configures a Cache. All fields must be set.
type Config struct {
	MaxBytes int64 // bounds the memory of all entries
	Now      func() time.Time
	// Follow is called for each read that waits for the load of another one, the leader.
	// It receives the name of the read and the contexts of both. The returned function
	// is called when the wait ends.
	Follow func(ctx, leader context.Context, read string) (end func())
}

// Cache holds entries. It is safe for concurrent use.
type Cache struct {
	cfg Config

	mu       sync.Mutex
	entries  *simplelru.LRU[Key, entry]
	bytes    int64                       // the sizes of all entries
	subjects map[string]map[Key]struct{} // the keys of the entries
	loads    map[Key]*load               // running loads that can be joined
}

// entry is a stored value.
type entry struct {
	Value
	began  time.Time // when the load began that confirmed the value
	readAt time.Time // when the load began that returned the value
}

// load is a running or ended load.
type load struct {
	began time.Time
	ctx   context.Context //nolint:containedctx // the leader's, for its values; the load outlives the leader's request
	done  chan struct{}   // closed when the load has ended

	// The following fields are set when done is closed.
	value    Value
	err      error
	fallback *entry // the entry of the key when the load failed
}

// New returns an empty cache.
func New(cfg Config) *Cache {
	c := &Cache{cfg: cfg, subjects: map[string]map[Key]struct{}{}, loads: map[Key]*load{}}
	// The number of entries is not limited, only their size. NewLRU fails only if the
	// number is not positive.
	c.entries, _ = simplelru.NewLRU[Key, entry](math.MaxInt, c.forget)
	return c
}

// Get returns the value of key: a fresh entry, or else the result of fetch. Concurrent
// calls for the same key share one call of fetch, so all must pass equivalent functions.
//
// fetch runs in a context that carries the values of ctx but not its cancellation, so it
// must limit its own duration. If ctx ends first, Get returns ctx.Err(), and the load
// goes on for the other reads. An error of fetch is returned and never stored.
func (c *Cache) Get(ctx context.Context, key Key, p Policy, fetch func(context.Context) (Value, error)) (Result, error) {
	l, hit, leads := c.lookup(ctx, key, p)
	if l == nil {
		return hit, nil
	}
	if leads {
		go c.run(key, l, fetch) //nolint:contextcheck // the load uses the leader's context without its cancellation
	} else {
		defer c.cfg.Follow(ctx, l.ctx, key.Read)()
	}
	select {
	case <-l.done:
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	now := c.cfg.Now()
	if l.err == nil {
		return resultOf(l.value, l.began, now, Miss), nil
	}
	if e := l.fallback; e != nil && e.Refusal == nil && p.StaleFor > 0 && apperr.VerdictOf(l.err) != apperr.Refused {
		if age := now.Sub(e.began); age < p.MaxAge+p.StaleFor {
			return Result{Value: e.Value, Age: age, Source: Stale}, nil
		}
	}
	return Result{}, l.err
}

// resultOf returns a value whose load began at the given time. A copy is always stale.
func resultOf(v Value, began, now time.Time, source Source) Result {
	if !v.AsOf.IsZero() {
		return Result{Value: v, Age: now.Sub(v.AsOf), Source: Stale}
	}
	return Result{Value: v, Age: now.Sub(began), Source: source}
}

// lookup returns a fresh entry as a hit. If there is none, it returns a load to wait for.
// It reports whether the caller leads the load and must therefore run it.
func (c *Cache) lookup(ctx context.Context, key Key, p Policy) (l *load, hit Result, leads bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Now()
	if e, ok := c.entries.Get(key); ok {
		if age := now.Sub(e.began); age < p.MaxAge {
			return nil, resultOf(e.Value, e.began, now, Hit), false
		}
	}
	l = c.loads[key]
	if l == nil || p.JoinWithin > 0 && now.Sub(l.began) >= p.JoinWithin {
		l, leads = &load{began: now, ctx: ctx, done: make(chan struct{})}, true
		c.loads[key] = l
	}
	return l, Result{}, leads
}

// run calls fetch and ends l with its result.
func (c *Cache) run(key Key, l *load, fetch func(context.Context) (Value, error)) {
	value, err := recovered(context.WithoutCancel(l.ctx), fetch)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(l.done)
	isCurrent := c.loads[key] == l
	if isCurrent {
		delete(c.loads, key)
	}
	l.value, l.err = value, err
	current, ok := c.entries.Peek(key)
	if err != nil {
		if ok {
			l.fallback = &current
		}
		return
	}
	if ok && current.Refusal == nil && value.AsOf.Before(current.began) && !value.AsOf.IsZero() {
		// The entry is newer than the copy, although it is no longer fresh.
		l.value = current.Value
		if l.value.AsOf.IsZero() {
			l.value.AsOf = current.began
		}
		return
	}
	e := entry{Value: value, began: l.began, readAt: l.began}
	if ok && value.Refusal == nil && value.Version < current.Version && l.began.Sub(current.readAt) < regressionLimit {
		// Another load overtook this one. The newer version is still the latest one
		// that any load has read, so this load confirms it.
		l.value = current.Value
		e.Value, e.readAt = current.Value, current.readAt
	}
	if isCurrent {
		c.store(key, e)
	}
}

// recovered calls fetch and converts a panic to an error. No other function would recover
// it, because the load has a goroutine of its own.
func recovered(ctx context.Context, fetch func(context.Context) (Value, error)) (v Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = apperr.Fault(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	return fetch(ctx)
}

// store stores an entry and evicts others until the cache is small enough. An entry that
// is larger than the whole cache is not stored.
func (c *Cache) store(key Key, e entry) {
	c.entries.Remove(key)
	size := sizeOf(key, e)
	if size > c.cfg.MaxBytes {
		return
	}
	c.entries.Add(key, e)
	c.bytes += size
	if c.subjects[key.Subject] == nil {
		c.subjects[key.Subject] = map[Key]struct{}{}
	}
	c.subjects[key.Subject][key] = struct{}{}
	for c.bytes > c.cfg.MaxBytes {
		c.entries.RemoveOldest()
	}
}

// forget updates the size and the subjects when an entry was removed.
func (c *Cache) forget(key Key, e entry) {
	c.bytes -= sizeOf(key, e)
	keys := c.subjects[key.Subject]
	if delete(keys, key); len(keys) == 0 {
		delete(c.subjects, key.Subject)
	}
}

func sizeOf(key Key, e entry) int64 {
	return int64(len(key.Subject) + len(key.Read) + len(key.Params) + len(e.Body) + len(e.ETag) + entryOverhead)
}

// Drop removes the entries of the subjects and detaches their running loads.
func (c *Cache) Drop(subjects ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, subject := range subjects {
		for key := range c.subjects[subject] {
			c.entries.Remove(key)
		}
		for key := range c.loads {
			if key.Subject == subject {
				delete(c.loads, key)
			}
		}
	}
}

// Size returns the number of entries and their size in bytes.
func (c *Cache) Size() (entries int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries.Len(), c.bytes
}
