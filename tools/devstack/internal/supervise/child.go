package supervise

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"time"
)

// reportEvery is the time between two lines about one that is not ready yet.
const reportEvery = 10 * time.Second

// child keeps one process of a stage running until it is stopped.
type child struct {
	Process
	sup *Supervisor

	ctx    context.Context // ends when the child is to stop
	cancel context.CancelFunc
	done   chan struct{} // closed when nothing of it runs any more

	firstOnce sync.Once
	firstDone chan struct{} // closed when the first start is ready or failed
	firstErr  error

	last *process // the process that once started last; used by run only

	mu     sync.Mutex
	stopBy time.Time
}

func newChild(p Process, s *Supervisor) *child {
	ctx, cancel := context.WithCancel(context.Background())
	return &child{
		Process:   p,
		sup:       s,
		ctx:       ctx,
		cancel:    cancel,
		done:      make(chan struct{}),
		firstDone: make(chan struct{}),
	}
}

// awaitFirst waits until the first start is ready, failed, or ctx is done.
func (c *child) awaitFirst(ctx context.Context) error {
	select {
	case <-c.firstDone:
		return c.firstErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop asks the child to end and to be killed at the given time. The channel
// done tells when it has ended.
func (c *child) stop(by time.Time) {
	c.mu.Lock()
	c.stopBy = by
	c.mu.Unlock()
	c.cancel()
}

func (c *child) stopDeadline() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopBy
}

// run is the child's life: one process after another. Only the first start may
// fail for good, since a set-up that never worked is not mended by waiting.
func (c *child) run() {
	defer close(c.done)
	delay := c.sup.backoff.Min
	var down time.Time // when it ended, for the line that says it is back
	for {
		started := time.Now()
		err := c.once(func() {
			if down.IsZero() {
				c.settleFirst(nil)
				return
			}
			c.sup.Logf("%s is back after %s", c.Name, time.Since(down).Round(time.Millisecond))
		})
		if c.ctx.Err() != nil {
			c.settleFirst(c.ctx.Err())
			return
		}
		if !c.wasReady() {
			c.quoteFirst()
			c.settleFirst(withHint(err, c.Hint))
			return
		}
		if time.Since(started) >= c.sup.backoff.Stable || c.left(err) {
			delay = c.sup.backoff.Min
		}
		down = time.Now()
		line := fmt.Sprintf("%v; starting it again in %s", err, delay)
		if c.last == nil {
			c.sup.Logf("%s", line)
		} else {
			// A process that keeps ending has the same last words each time.
			c.sup.logEnd(c.last, c.Name, line, delay == c.sup.backoff.Min)
		}
		if !pause(c.ctx, delay) {
			return
		}
		delay = min(2*delay, c.sup.backoff.Max)
	}
}

// quoteFirst prints the end of the log of a first start that failed. Its error
// is printed by the caller of Start.
func (c *child) quoteFirst() {
	if c.last != nil && !c.sup.verbose {
		c.sup.logEnd(c.last, c.Name, fmt.Sprintf("%s did not start", c.Name), true)
	}
}

// left reports whether a process ended with the status for that.
func (c *child) left(err error) bool {
	var exit *exec.ExitError
	return c.LeaveStatus != 0 && errors.As(err, &exit) && exit.ExitCode() == c.LeaveStatus
}

// once runs one process until it ends, calls ready when it serves, and returns
// why it ended. A process that is not ready in time is stopped.
func (c *child) once(ready func()) error {
	if c.BeforeRestart != nil && c.wasReady() {
		if err := c.BeforeRestart(c.ctx); err != nil {
			c.sup.Logf("prepare %s: %v", c.Name, err)
		}
	}
	if err := c.ctx.Err(); err != nil {
		return err
	}
	proc, err := c.sup.spawn(c.Process)
	c.last = proc
	if err != nil {
		return err
	}

	probing, stopProbing := context.WithTimeout(c.ctx, c.readyWithin())
	defer stopProbing()
	probed := make(chan error, 1)
	missing := c.reportMissing()
	go func() { probed <- await(probing, c.Ready, missing) }()

	running, ended := context.WithCancel(c.ctx)
	var after sync.WaitGroup
	defer after.Wait()
	defer ended()
	restarted := c.wasReady()

	for {
		select {
		case <-proc.done:
			if c.wasReady() {
				return fmt.Errorf("%s ended: %w", c.Name, proc.status())
			}
			return fmt.Errorf("%s ended before it was ready: %w", c.Name, proc.failure())
		case <-c.ctx.Done():
			proc.stop(c.StopSignal, c.stopDeadline())
			return c.ctx.Err()
		case err := <-probed:
			probed = nil
			switch {
			case err == nil:
				ready()
				if restarted && c.AfterRestart != nil {
					after.Go(func() { c.afterRestart(running) })
				}
			case c.ctx.Err() == nil:
				proc.stop(c.StopSignal, time.Now().Add(c.stopWithin()))
				return fmt.Errorf("%s was not ready within %s: %w", c.Name, c.readyWithin(), err)
			}
		}
	}
}

// afterRestart does what comes after one, and gives up when ctx is done.
func (c *child) afterRestart(ctx context.Context) {
	for delay := c.sup.backoff.Min; ; delay = min(2*delay, c.sup.backoff.Max) {
		err := c.AfterRestart(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		c.sup.Logf("after the restart of %s: %v; trying again in %s", c.Name, err, delay)
		if !pause(ctx, delay) {
			return
		}
	}
}

// reportMissing returns a function that logs what it is told now and then, so
// that a long wait for a process explains itself.
func (c *child) reportMissing() func(error) {
	next := time.Now().Add(reportEvery)
	return func(err error) {
		if now := time.Now(); now.After(next) {
			next = now.Add(reportEvery)
			c.sup.Logf("waiting for %s: %v", c.Name, err)
		}
	}
}

func (c *child) settleFirst(err error) {
	c.firstOnce.Do(func() {
		c.firstErr = err
		close(c.firstDone)
	})
}

func (c *child) wasReady() bool {
	select {
	case <-c.firstDone:
		return c.firstErr == nil
	default:
		return false
	}
}

func withHint(err error, hint string) error {
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w; %s", err, hint)
}

// pause waits for d and reports whether ctx is still alive then.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
