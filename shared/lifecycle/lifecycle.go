// Package lifecycle starts the parts of a program in order and stops them in reverse order.
// It stops every part that was started, even if a later part fails to start.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Part is a component that lives as long as the program. Each function may be nil.
type Part struct {
	Name string
	// Start returns when the part is ready for use. Its context ends when all parts have
	// started, so the part must not keep it.
	Start func(ctx context.Context) error
	// Run runs in the background until its context ends. If it returns earlier, with or
	// without an error, the program stops.
	Run func(ctx context.Context) error
	// Stop shuts the part down before its context's deadline. The context of Run ends
	// when Stop has returned.
	Stop func(ctx context.Context) error
}

// Config limits the durations of starting and stopping.
type Config struct {
	StartTimeout time.Duration // for all parts together
	StopTimeout  time.Duration // for all parts together
}

// Run starts the parts in order, waits until ctx ends or a part's Run returns, and stops
// the started parts in reverse order. It returns nil if ctx has ended and every part
// stopped without an error.
func Run(ctx context.Context, cfg Config, parts ...Part) error {
	g := &group{ended: make(chan error, len(parts))}
	err := g.start(ctx, cfg.StartTimeout, parts)
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-g.ended:
		}
	}
	if ctx.Err() != nil {
		err = nil // the program was asked to stop, perhaps while it started
	}
	// ctx may have ended, but stopping needs a context that has not.
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.StopTimeout)
	defer cancel()
	return errors.Join(err, g.stop(stopping))
}

// group is a set of started parts.
type group struct {
	started []startedPart
	ended   chan error // receives an error when a part's Run returns too early
}

type startedPart struct {
	Part
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
}

// start starts the parts in order. It returns an error if a part fails to start, or if a
// started part ends.
func (g *group) start(ctx context.Context, timeout time.Duration, parts []Part) error {
	starting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, p := range parts {
		if p.Start != nil {
			if err := p.Start(starting); err != nil {
				return fmt.Errorf("start %s: %w", p.Name, err)
			}
		}
		g.started = append(g.started, g.runInBackground(ctx, p))
		select {
		case err := <-g.ended:
			return err
		default:
		}
	}
	return nil
}

// runInBackground starts Run of a part, if it has one.
func (g *group) runInBackground(ctx context.Context, p Part) startedPart {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := startedPart{Part: p, cancel: cancel, done: make(chan struct{})}
	if p.Run == nil {
		close(s.done)
		return s
	}
	go func() {
		defer close(s.done)
		err := p.Run(ctx)
		switch {
		case ctx.Err() != nil: // the part was asked to stop
		case err == nil:
			g.ended <- fmt.Errorf("%s ended unexpectedly", p.Name)
		default:
			g.ended <- fmt.Errorf("%s: %w", p.Name, err)
		}
	}()
	return s
}

// stop stops the started parts in reverse order and returns all their errors.
func (g *group) stop(ctx context.Context) error {
	var errs []error
	for i := len(g.started) - 1; i >= 0; i-- {
		if err := g.started[i].stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", g.started[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

func (s startedPart) stop(ctx context.Context) error {
	defer s.cancel()
	var err error
	if s.Stop != nil {
		err = s.Stop(ctx)
	}
	s.cancel()
	select {
	case <-s.done:
		return err
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("still running: %w", ctx.Err()))
	}
}
