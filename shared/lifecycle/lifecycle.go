// Package lifecycle starts the parts of a program in order and stops them in
// reverse, however far the start came and whatever fails.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Part is something that runs for as long as the program. Each function may be
// nil.
type Part struct {
	Name string
	// Start returns when the part can be used. Its context ends when the start is
	// given up, so it must not be kept.
	Start func(ctx context.Context) error
	// Run goes on in the background until its context ends. Returning earlier,
	// with or without an error, stops the program.
	Run func(ctx context.Context) error
	// Stop ends the part within its context's time. Run's context ends after it.
	Stop func(ctx context.Context) error
}

// Config says how long things may take.
type Config struct {
	StopWithin  time.Duration // for all parts together
	StartWithin time.Duration // for all parts together
}

// Run starts the parts in order, waits until ctx ends or a part does, and stops
// what was started in reverse order. It returns nil when ctx ended and all
// stopped well.
func Run(ctx context.Context, cfg Config, parts ...Part) error {
	g := &group{ended: make(chan error, len(parts))}
	err := g.start(ctx, cfg.StartWithin, parts)
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-g.ended:
		}
	}
	if ctx.Err() != nil {
		err = nil // asked to stop, perhaps in mid-start
	}
	// The context that asked to stop has ended, and stopping takes a moment.
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.StopWithin)
	defer cancel()
	return errors.Join(err, g.stop(stopping))
}

type group struct {
	started []started
	ended   chan error
}

type started struct {
	Part
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
}

func (g *group) start(ctx context.Context, within time.Duration, parts []Part) error {
	starting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for _, p := range parts {
		if p.Start != nil {
			if err := p.Start(starting); err != nil {
				return fmt.Errorf("start %s: %w", p.Name, err)
			}
		}
		g.started = append(g.started, g.background(ctx, p))
		select {
		case err := <-g.ended:
			return err
		default:
		}
	}
	return nil
}

func (g *group) background(ctx context.Context, p Part) started {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := started{Part: p, cancel: cancel, done: make(chan struct{})}
	if p.Run == nil {
		close(s.done)
		return s
	}
	go func() {
		defer close(s.done)
		err := p.Run(ctx)
		switch {
		case ctx.Err() != nil: // told to
		case err == nil:
			g.ended <- fmt.Errorf("%s ended", p.Name)
		default:
			g.ended <- fmt.Errorf("%s: %w", p.Name, err)
		}
	}()
	return s
}

func (g *group) stop(ctx context.Context) error {
	var errs []error
	for i := len(g.started) - 1; i >= 0; i-- {
		if err := g.started[i].stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", g.started[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

func (s started) stop(ctx context.Context) error {
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
