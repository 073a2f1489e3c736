package drain_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/shared/drain"
)

// queue is a backlog of numbers.
type queue struct {
	mu    sync.Mutex
	items []int
}

func (q *queue) claim(context.Context) ([]int, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(3, len(q.items))
	batch := q.items[:n]
	q.items = q.items[n:]
	return batch, n > 0, nil
}

func newQueue(n int) *queue {
	q := &queue{}
	for i := range n {
		q.items = append(q.items, i)
	}
	return q
}

func TestRunHandlesEachItemOnce(t *testing.T) {
	q, counts := newQueue(100), make([]atomic.Int64, 100)
	err := drain.Run(t.Context(), 4, q.claim, func(_ context.Context, batch []int) error {
		for _, i := range batch {
			counts[i].Add(1)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for i := range counts {
		if n := counts[i].Load(); n != 1 {
			t.Errorf("item %d: handled %d times, want once", i, n)
		}
	}
}

func TestRunHandlesUpToParallelBatchesAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, running, most := newQueue(60), 0, 0
		var mu sync.Mutex
		began := time.Now()
		err := drain.Run(t.Context(), 4, q.claim, func(context.Context, []int) error {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return nil
		})
		if err != nil || most != 4 || time.Since(began) != 5*time.Second {
			t.Errorf("got %v, %d batches at a time, %s, want 4 and 5s for 20 batches", err, most, time.Since(began))
		}
	})
}

// Another process may take what a claim has just read. The backlog is not empty then.
func TestRunGoesOnAfterAnEmptyBatch(t *testing.T) {
	q, calls, handled := newQueue(6), 0, 0
	err := drain.Run(t.Context(), 1, func(ctx context.Context) ([]int, bool, error) {
		if calls++; calls%2 == 1 && calls < 4 {
			return nil, true, nil
		}
		return q.claim(ctx)
	}, func(_ context.Context, batch []int) error { handled += len(batch); return nil })
	if err != nil || handled != 6 {
		t.Errorf("got %v, %d handled, want 6", err, handled)
	}
}

func TestRunStops(t *testing.T) {
	broken := errors.New("broken")
	t.Run("after a failed claim", func(t *testing.T) {
		calls := 0
		err := drain.Run(t.Context(), 2, func(context.Context) ([]int, bool, error) { calls++; return nil, true, broken },
			func(context.Context, []int) error { return nil })
		if !errors.Is(err, broken) || calls != 1 {
			t.Errorf("got %v after %d claims, want one", err, calls)
		}
	})
	t.Run("after three failed batches", func(t *testing.T) {
		q, handled := newQueue(300), 0
		err := drain.Run(t.Context(), 1, q.claim, func(context.Context, []int) error { handled++; return broken })
		if !errors.Is(err, broken) || handled != 3 {
			t.Errorf("got %v after %d batches, want 3", err, handled)
		}
	})
	t.Run("when its context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		q, handled := newQueue(300), 0
		err := drain.Run(ctx, 1, q.claim, func(context.Context, []int) error {
			if handled++; handled == 2 {
				cancel()
			}
			return nil
		})
		if err != nil || handled != 2 {
			t.Errorf("got %v after %d batches, want 2", err, handled)
		}
	})
}
