package coalesce_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/shared/coalesce"
)

const subject = "gala"

// harness is a Group whose batches block until the test lets one of them proceed. It
// is used inside a synctest bubble, which makes the order of calls and the durations
// exact.
type harness struct {
	t       *testing.T
	group   *coalesce.Group[string]
	proceed chan struct{} // one value ends one batch

	mu      sync.Mutex
	follows []string   // the calls to Follow and to the end functions that it returned
	batches [][]string // the items of each batch, in the order in which the batches started
	ctxErrs []error    // for each batch, the error of its context when it ended
}

func newHarness(t *testing.T, configure func(*coalesce.Config[string])) *harness {
	h := &harness{t: t, proceed: make(chan struct{})}
	cfg := coalesce.Config[string]{
		MaxItems: 4, Timeout: time.Minute,
		Follow: func(ctx, leader context.Context) (end func()) {
			follower := callName(ctx)
			h.recordFollow(follower + " follows " + callName(leader))
			return func() { h.recordFollow(follower + " ends") }
		},
	}
	if configure != nil {
		configure(&cfg)
	}
	h.group = coalesce.New(cfg)
	return h
}

func (h *harness) recordFollow(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.follows = append(h.follows, line)
}

// nameKey is the context key of a call's name, which is its first item.
type nameKey struct{}

func callName(ctx context.Context) string { return ctx.Value(nameKey{}).(string) }

// start calls Do in the background and returns once the call is queued or runs a
// batch. The returned function waits for the result of Do.
func (h *harness) start(ctx context.Context, items ...string) (result func() error) {
	done := make(chan error, 1)
	go func() {
		done <- h.group.Do(context.WithValue(ctx, nameKey{}, items[0]), subject, h.work, items...)
	}()
	synctest.Wait()
	return func() error { return <-done }
}

func (h *harness) work(ctx context.Context, items []string, release func()) {
	h.mu.Lock()
	at := len(h.batches)
	h.batches, h.ctxErrs = append(h.batches, items), append(h.ctxErrs, nil)
	h.mu.Unlock()
	select {
	case <-h.proceed:
	case <-ctx.Done():
	}
	h.mu.Lock()
	h.ctxErrs[at] = ctx.Err()
	h.mu.Unlock()
	release()
}

func (h *harness) wantResult(result func() error, want error) {
	h.t.Helper()
	if err := result(); !errors.Is(err, want) {
		h.t.Errorf("Do: got %v, want %v", err, want)
	}
}

func (h *harness) wantBatches(want ...[]string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.EqualFunc(h.batches, want, slices.Equal) {
		h.t.Errorf("batches: got %q, want %q", h.batches, want)
	}
}

func TestCallsThatArriveDuringABatchFormTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, nil)
		results := []func() error{h.start(t.Context(), "a"), h.start(t.Context(), "b"), h.start(t.Context(), "c1", "c2")}
		if got := h.group.Queued(subject); got != 2 {
			t.Errorf("queued calls: got %d, want 2", got)
		}
		// A call about another subject does not wait.
		go func() { _ = h.group.Do(t.Context(), "other", func(context.Context, []string, func()) {}, "x") }()
		synctest.Wait()
		h.proceed <- struct{}{}
		synctest.Wait()
		h.proceed <- struct{}{}
		for _, result := range results {
			h.wantResult(result, nil)
		}
		h.wantBatches([]string{"a"}, []string{"b", "c1", "c2"})
		if want := []string{"c1 follows b", "c1 ends"}; !slices.Equal(h.follows, want) {
			t.Errorf("follows: got %q, want %q", h.follows, want)
		}
		// No call is left in the queue, so the next one runs alone.
		h.proceed = make(chan struct{})
		close(h.proceed)
		h.wantResult(h.start(t.Context(), "d"), nil)
		h.wantBatches([]string{"a"}, []string{"b", "c1", "c2"}, []string{"d"})
	})
}

func TestBatchesAreLimitedBySizeAndKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(cfg *coalesce.Config[string]) { cfg.Key = func(item string) string { return item } })
		first := h.start(t.Context(), "a")
		results := []func() error{
			h.start(t.Context(), "b", "c", "d"),
			h.start(t.Context(), "e", "f"), // the batch would have five items
			h.start(t.Context(), "b"),      // the batch already has this key
			h.start(t.Context(), "g"),
			h.start(t.Context(), "1", "2", "3", "4", "5"), // exceeds MaxItems, so it runs alone
		}
		close(h.proceed)
		h.wantResult(first, nil)
		for _, result := range results {
			h.wantResult(result, nil)
		}
		h.wantBatches([]string{"a"}, []string{"b", "c", "d", "g"}, []string{"e", "f", "b"}, []string{"1", "2", "3", "4", "5"})
	})
}

// A queued call whose context ends joins no batch. A leader whose context ends keeps
// working for its followers, until the batch's timeout.
func TestCancelledCallsDoNotAffectOtherCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, nil)
		first := h.start(t.Context(), "a")
		leaderCtx, cancelLeader := context.WithCancel(t.Context())
		leader := h.start(leaderCtx, "b")
		queuedCtx, cancelQueued := context.WithCancel(t.Context())
		queued := h.start(queuedCtx, "c")
		follower := h.start(t.Context(), "d")
		cancelQueued()
		h.wantResult(queued, context.Canceled)
		h.proceed <- struct{}{}
		h.wantResult(first, nil)
		synctest.Wait()
		cancelLeader()
		started := time.Now()
		h.wantResult(follower, nil)
		h.wantResult(leader, nil)
		h.wantBatches([]string{"a"}, []string{"b", "d"})
		if got := time.Since(started); got != time.Minute {
			t.Errorf("duration of the batch: got %s, want %s", got, time.Minute)
		}
		if got := h.ctxErrs[1]; !errors.Is(got, context.DeadlineExceeded) {
			t.Errorf("context of the batch: got %v, want %v", got, context.DeadlineExceeded)
		}
	})
}

func TestFollowersOfAPanickingLeaderGetErrLeaderFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, nil)
		first := h.start(t.Context(), "a")
		panicked := make(chan any, 1)
		go func() {
			defer func() { panicked <- recover() }()
			_ = h.group.Do(context.WithValue(t.Context(), nameKey{}, "b"), subject, func(context.Context, []string, func()) { panic("a bug") }, "b")
		}()
		synctest.Wait()
		follower := h.start(t.Context(), "c")
		h.proceed <- struct{}{}
		h.wantResult(first, nil)
		h.wantResult(follower, coalesce.ErrLeaderFailed)
		if got := <-panicked; got != "a bug" {
			t.Errorf("panic of the leader: got %v, want %q", got, "a bug")
		}
		close(h.proceed)
		h.wantResult(h.start(t.Context(), "d"), nil)
	})
}

// After MaxWait a queued call starts a batch beside the one that hangs, and later
// calls wait for the new batch only.
func TestQueuedCallTakesOverAfterMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(cfg *coalesce.Config[string]) { cfg.MaxWait = time.Second })
		hanging, end := context.WithCancel(t.Context())
		first := h.start(hanging, "a")
		started := time.Now()
		second := h.start(t.Context(), "b")
		time.Sleep(time.Millisecond)
		third := h.start(t.Context(), "c")
		time.Sleep(time.Second - time.Millisecond)
		synctest.Wait()
		h.wantBatches([]string{"a"}, []string{"b", "c"})
		fourth := h.start(t.Context(), "d")
		h.proceed <- struct{}{} // ends one of the two running batches
		synctest.Wait()
		h.proceed <- struct{}{}
		synctest.Wait()
		end()
		close(h.proceed)
		for _, result := range []func() error{first, second, third, fourth} {
			h.wantResult(result, nil)
		}
		h.wantBatches([]string{"a"}, []string{"b", "c"}, []string{"d"})
		if got := time.Since(started); got != time.Second {
			t.Errorf("duration: got %s, want %s", got, time.Second)
		}
	})
}

// Many calls arrive, are cancelled and take over at the same time. A call that succeeds
// must be processed exactly once, and a call that fails not at all. No call may remain
// in the queue.
func TestEveryCallIsProcessedOnceOrCancelled(t *testing.T) {
	group := coalesce.New(coalesce.Config[int]{
		MaxItems: 5, Timeout: time.Minute, MaxWait: 50 * time.Microsecond,
		Follow: func(_, _ context.Context) func() { return nil },
	})
	const calls = 2000
	var processed [calls]int // each element is written by one batch only
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7)*100*time.Microsecond)
			defer cancel()
			err := group.Do(ctx, subject, func(_ context.Context, items []int, release func()) {
				for _, item := range items {
					processed[item]++
				}
				if i%2 == 0 {
					release()
				}
				time.Sleep(time.Duration(i%3) * 50 * time.Microsecond) // some batches last longer than MaxWait
			}, i)
			if want := map[bool]int{true: 1}[err == nil]; processed[i] != want {
				t.Errorf("call %d returned %v: processed %d times, want %d", i, err, processed[i], want)
			}
		})
	}
	wg.Wait()
	if got := group.Queued(subject); got != 0 {
		t.Errorf("queued calls: got %d, want 0", got)
	}
}

func TestStartedReceivesTheSizeOfEachBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started []string
		h := newHarness(t, func(cfg *coalesce.Config[string]) {
			cfg.Started = func(ctx context.Context, items int) {
				started = append(started, fmt.Sprintf("%s leads %d", callName(ctx), items))
			}
		})
		results := []func() error{h.start(t.Context(), "a"), h.start(t.Context(), "b"), h.start(t.Context(), "c1", "c2")}
		close(h.proceed)
		for _, result := range results {
			h.wantResult(result, nil)
		}
		if want := []string{"a leads 1", "b leads 3"}; !slices.Equal(started, want) {
			t.Errorf("got %q, want %q", started, want)
		}
	})
}
