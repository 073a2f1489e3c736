// Package drain works through a backlog, of which any number of processes handle
// different parts at the same time.
//
// A backlog is a queue in a database: the items that are due, in the order in which they
// became due. A process claims a batch, by a conditional write that takes the items out of
// the queue for a while or for good, and then handles it. Two processes that read the same
// batch compete for it once; the loser reads on while the winner handles the batch.
package drain

import (
	"context"
	"errors"
	"sync"
)

// maxFailures is the number of failed batches after which Run stops. A dependency is
// probably unreachable then, and each further batch would wait for its time limit.
const maxFailures = 3

// Run claims batches of items and handles them, up to parallel batches at a time. It returns
// when the backlog is empty, when ctx ends, or after a few failures. It returns the errors,
// joined. An end of ctx is no error: the backlog waits for the next Run.
//
// claim returns the next batch. It returns more as false if it found nothing due. It may
// return an empty batch if another process was faster. Run never calls it concurrently.
// handle handles the items of a batch; it is called concurrently.
func Run[T any](ctx context.Context, parallel int, claim func(ctx context.Context) (batch []T, more bool, err error), handle func(ctx context.Context, batch []T) error) error {
	b := &backlog[T]{claim: claim}
	work := func() {
		for {
			batch, ok := b.next(ctx)
			if !ok {
				return
			}
			if len(batch) > 0 {
				b.fail(handle(ctx, batch))
			}
		}
	}
	var others sync.WaitGroup
	for range parallel - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	return errors.Join(b.failures...)
}

type backlog[T any] struct {
	claim func(ctx context.Context) (batch []T, more bool, err error)

	claiming sync.Mutex // held during a claim

	mu       sync.Mutex
	isDone   bool
	failures []error
}

// next returns the next batch. It reports false if the run is over.
func (b *backlog[T]) next(ctx context.Context) ([]T, bool) {
	b.claiming.Lock()
	defer b.claiming.Unlock()
	if ctx.Err() != nil || b.isOver() {
		return nil, false
	}
	batch, more, err := b.claim(ctx)
	b.fail(err)
	if !more || err != nil {
		b.mu.Lock()
		b.isDone = true
		b.mu.Unlock()
	}
	return batch, len(batch) > 0 || !b.isOver()
}

func (b *backlog[T]) isOver() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.isDone || len(b.failures) >= maxFailures
}

// fail records an error, unless it is nil.
func (b *backlog[T]) fail(err error) {
	if err == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.failures) < maxFailures {
		b.failures = append(b.failures, err)
	}
}

// Do calls functions, up to parallel of them at a time, in their order. It returns when all
// have returned, with their errors joined.
func Do(parallel int, functions ...func() error) error {
	errs := make([]error, len(functions))
	slots := make(chan struct{}, parallel)
	var others sync.WaitGroup
	for i, fn := range functions {
		if parallel <= 1 {
			errs[i] = fn() // in the goroutine of the caller
			continue
		}
		slots <- struct{}{}
		others.Go(func() {
			defer func() { <-slots }()
			errs[i] = fn()
		})
	}
	others.Wait()
	return errors.Join(errs...)
}
