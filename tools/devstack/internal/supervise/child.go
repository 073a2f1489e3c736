package supervise

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"time"
)

// reportEvery is the time between two lines about a process that is not ready yet.
const reportEvery = 10 * time.Second

// child keeps one process of a stage running until it is stopped.
type child struct {
	Process
	sup *Supervisor

	ctx    context.Context // ends when the child is to stop
	cancel context.CancelFunc
	done   chan struct{} // closed when no process of the child runs any more

	firstOnce sync.Once
	firstDone chan struct{} // closed when the first start is ready or has failed
	firstErr  error

	last *process // the process that was started last; used by run only

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

// awaitFirst waits until the first start is ready or has failed, or ctx ends.
func (c *child) awaitFirst(ctx context.Context) error {
	select {
	case <-c.firstDone:
		return c.firstErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop asks the process to end, and has it killed at the given time. It does not
// wait; done is closed when the process has ended.
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

// run starts the process, and starts it again each time it ends, until the child
// is stopped. If the first start fails, run returns: a configuration that has
// never worked does not start to work by waiting.
func (c *child) run() {
	defer close(c.done)
	delay := c.sup.backoff.Min
	var ended time.Time // when the process before this one ended
	for {
		started := time.Now()
		err := c.once(func() {
			if ended.IsZero() {
				c.settleFirst(nil)
				return
			}
			c.sup.Logf("%s is back after %s", c.Name, time.Since(ended).Round(time.Millisecond))
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
		if time.Since(started) >= c.sup.backoff.Stable || c.asksForRestart(err) {
			delay = c.sup.backoff.Min
		}
		ended = time.Now()
		c.reportEnd(err, delay)
		if !pause(c.ctx, delay) {
			return
		}
		delay = min(2*delay, c.sup.backoff.Max)
	}
}

// reportEnd prints that the process ended. It quotes the log only while the delay is
// the shortest one, because a process that keeps failing prints the same each time.
func (c *child) reportEnd(err error, delay time.Duration) {
	line := fmt.Sprintf("%v; starting it again in %s", err, delay)
	if c.last == nil {
		c.sup.Logf("%s", line)
		return
	}
	c.sup.logEnd(c.last, c.Name, line, delay == c.sup.backoff.Min)
}

// quoteFirst prints the end of the log of a first start that failed. The caller
// of Start prints the error.
func (c *child) quoteFirst() {
	if c.last != nil && !c.sup.verbose {
		c.sup.logEnd(c.last, c.Name, c.Name+" did not start", true)
	}
}

// asksForRestart reports whether err is the exit status that asks for a restart.
func (c *child) asksForRestart(err error) bool {
	var exit *exec.ExitError
	return c.RestartStatus != 0 && errors.As(err, &exit) && exit.ExitCode() == c.RestartStatus
}

// once runs one process until it ends or the child is stopped, and returns why it
// ended. It calls ready when the process is ready. It stops a process that is not
// ready in time.
func (c *child) once(ready func()) error {
	if c.BeforeRestart != nil && c.wasReady() {
		if err := c.BeforeRestart(c.ctx); err != nil {
			c.sup.Logf("before the restart of %s: %v", c.Name, err)
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
	notReady := c.reportNotReady()
	go func() { probed <- await(probing, c.Ready, notReady) }()

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

// afterRestart calls AfterRestart until it succeeds or ctx ends.
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

// reportNotReady returns a function that logs the errors of a probe, one every ten
// seconds, so that a long wait has an explanation.
func (c *child) reportNotReady() func(error) {
	next := time.Now().Add(reportEvery)
	return func(err error) {
		if now := time.Now(); now.After(next) {
			next = now.Add(reportEvery)
			c.sup.Logf("waiting for %s: %v", c.Name, err)
		}
	}
}

// settleFirst records the outcome of the first start. Later calls have no effect.
func (c *child) settleFirst(err error) {
	c.firstOnce.Do(func() {
		c.firstErr = err
		close(c.firstDone)
	})
}

// wasReady reports whether the first start was ready.
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

// pause waits for d. It returns false if ctx ends first.
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
