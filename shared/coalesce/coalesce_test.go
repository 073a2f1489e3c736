package coalesce_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/shared/coalesce"
)

// crowd has rounds whose work a test holds up, one round after the other. In a
// bubble of synctest, so that "who waits" and "how long" are certain.
type crowd struct {
	t       *testing.T
	batches *coalesce.Group[string]
	goOn    chan struct{} // one for each round

	mu     sync.Mutex
	joined []string
	did    [][]string // the items of the rounds, in the order of their beginning
	err    []error    // of their contexts, at their end
}

func (c *crowd) tell(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joined = append(c.joined, what)
}

func newCrowd(t *testing.T, change func(*coalesce.Config[string])) *crowd {
	c := &crowd{t: t, goOn: make(chan struct{})}
	cfg := coalesce.Config[string]{
		MaxItems: 4, Timeout: time.Minute,
		Follow: func(ctx, leader context.Context) (through func()) {
			who := ctx.Value(name{}).(string)
			c.tell(who + " to " + leader.Value(name{}).(string))
			return func() { c.tell(who + " is through") }
		},
	}
	if change != nil {
		change(&cfg)
	}
	c.batches = coalesce.New(cfg)
	return c
}

type name struct{}

// call begins one, and returns when it waits or works.
func (c *crowd) call(ctx context.Context, items ...string) (result func() error) {
	done := make(chan error, 1)
	go func() {
		done <- c.batches.Do(context.WithValue(ctx, name{}, items[0]), "gala", c.work, items...)
	}()
	synctest.Wait()
	return func() error { return <-done }
}

func (c *crowd) work(ctx context.Context, items []string, over func()) {
	c.mu.Lock()
	at := len(c.did)
	c.did, c.err = append(c.did, items), append(c.err, nil)
	c.mu.Unlock()
	select {
	case <-c.goOn:
	case <-ctx.Done():
	}
	c.mu.Lock()
	c.err[at] = ctx.Err()
	c.mu.Unlock()
	over()
}

func (c *crowd) is(result func() error, want error) {
	c.t.Helper()
	if err := result(); !errors.Is(err, want) {
		c.t.Errorf("got %v, want %v", err, want)
	}
}

func (c *crowd) had(want ...[]string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.EqualFunc(c.did, want, slices.Equal) {
		c.t.Errorf("the rounds had %q, want %q", c.did, want)
	}
}

func TestWhoComesMeanwhileMakesTheNextRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, nil)
		results := []func() error{c.call(t.Context(), "a"), c.call(t.Context(), "b"), c.call(t.Context(), "c1", "c2")}
		if n := c.batches.Queued("gala"); n != 2 {
			t.Errorf("%d wait, want 2", n)
		}
		go func() { _ = c.batches.Do(t.Context(), "other", func(context.Context, []string, func()) {}, "x") }()
		synctest.Wait() // another subject waits for nobody
		c.goOn <- struct{}{}
		synctest.Wait()
		c.goOn <- struct{}{}
		for _, result := range results {
			c.is(result, nil)
		}
		c.had([]string{"a"}, []string{"b", "c1", "c2"})
		if want := []string{"c1 to b", "c1 is through"}; !slices.Equal(c.joined, want) {
			t.Errorf("joined %q, want %q", c.joined, want)
		}
		c.goOn = make(chan struct{})
		close(c.goOn)
		c.is(c.call(t.Context(), "d"), nil) // and nobody is left over
		c.had([]string{"a"}, []string{"b", "c1", "c2"}, []string{"d"})
	})
}

func TestARoundIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, func(cfg *coalesce.Config[string]) { cfg.Key = func(item string) string { return item } })
		first := c.call(t.Context(), "a")
		results := []func() error{
			c.call(t.Context(), "b", "c", "d"),
			c.call(t.Context(), "e", "f"), // would be five
			c.call(t.Context(), "b"),      // is there
			c.call(t.Context(), "g"),
			c.call(t.Context(), "1", "2", "3", "4", "5"), // more than fit, alone
		}
		close(c.goOn)
		c.is(first, nil)
		for _, result := range results {
			c.is(result, nil)
		}
		c.had([]string{"a"}, []string{"b", "c", "d", "g"}, []string{"e", "f", "b"}, []string{"1", "2", "3", "4", "5"})
	})
}

// Who gives up while it waits is in no round. A leader that gives up takes nobody
// with it, and nobody's round lasts for ever.
func TestWhoGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, nil)
		first := c.call(t.Context(), "a")
		leading, leave := context.WithCancel(t.Context())
		leader := c.call(leading, "b")
		waiting, giveUp := context.WithCancel(t.Context())
		gone := c.call(waiting, "c")
		follower := c.call(t.Context(), "d")
		giveUp()
		c.is(gone, context.Canceled)
		c.goOn <- struct{}{}
		c.is(first, nil)
		synctest.Wait()
		leave()
		began := time.Now()
		c.is(follower, nil)
		c.is(leader, nil)
		c.had([]string{"a"}, []string{"b", "d"})
		if lasted := time.Since(began); lasted != time.Minute || !errors.Is(c.err[1], context.DeadlineExceeded) {
			t.Errorf("the round lasted %s and ended with %v", lasted, c.err[1])
		}
	})
}

// A leader that breaks down leaves nobody waiting, and nobody is told that it went
// well.
func TestALeaderThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, nil)
		first := c.call(t.Context(), "a")
		panicked := make(chan any, 1)
		go func() {
			defer func() { panicked <- recover() }()
			_ = c.batches.Do(context.WithValue(t.Context(), name{}, "b"), "gala", func(context.Context, []string, func()) { panic("a bug") }, "b")
		}()
		synctest.Wait()
		follower := c.call(t.Context(), "c")
		c.goOn <- struct{}{}
		c.is(first, nil)
		c.is(follower, coalesce.ErrLeaderFailed)
		if p := <-panicked; p != "a bug" {
			t.Errorf("the leader panicked with %v", p)
		}
		close(c.goOn)
		c.is(c.call(t.Context(), "d"), nil)
	})
}

// A round that hangs keeps nobody for longer than the patience, and is not waited
// for any more.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, func(cfg *coalesce.Config[string]) { cfg.MaxWait = time.Second })
		hanging, end := context.WithCancel(t.Context())
		first := c.call(hanging, "a")
		began := time.Now()
		second := c.call(t.Context(), "b")
		time.Sleep(time.Millisecond)
		third := c.call(t.Context(), "c")
		time.Sleep(time.Second - time.Millisecond)
		synctest.Wait()
		c.had([]string{"a"}, []string{"b", "c"})
		fourth := c.call(t.Context(), "d")
		c.goOn <- struct{}{} // either takes it
		synctest.Wait()
		c.goOn <- struct{}{}
		synctest.Wait()
		end()
		close(c.goOn)
		for _, result := range []func() error{first, second, third, fourth} {
			c.is(result, nil)
		}
		c.had([]string{"a"}, []string{"b", "c"}, []string{"d"})
		if lasted := time.Since(began); lasted != time.Second {
			t.Errorf("it took %s", lasted)
		}
	})
}

// However calls come, give up and are overtaken, each is worked for once, with
// those of its round, and nobody is left waiting.
func TestACrowdGoesThrough(t *testing.T) {
	r := coalesce.New(coalesce.Config[int]{MaxItems: 5, Timeout: time.Minute, MaxWait: 50 * time.Microsecond, Follow: func(_, _ context.Context) func() { return nil }})
	const calls = 2000
	var done [calls]int // each by its own round alone
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7)*100*time.Microsecond)
			defer cancel()
			err := r.Do(ctx, "gala", func(_ context.Context, items []int, over func()) {
				for _, item := range items {
					done[item]++
				}
				if i%2 == 0 {
					over()
				}
				time.Sleep(time.Duration(i%3) * 50 * time.Microsecond) // so that some lose their patience
			}, i)
			if want := map[bool]int{true: 1}[err == nil]; done[i] != want {
				t.Errorf("call %d ended with %v, and was worked for %d times", i, err, done[i])
			}
		})
	}
	wg.Wait()
	if n := r.Queued("gala"); n != 0 {
		t.Errorf("%d are left over", n)
	}
}
