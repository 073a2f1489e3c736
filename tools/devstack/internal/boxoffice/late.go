package boxoffice

import (
	"context"
	"fmt"

	"boxoffice/tools/devstack/internal/buildcache"
	"boxoffice/tools/devstack/internal/otlpsink"
	"boxoffice/tools/devstack/internal/ports"
	"boxoffice/tools/devstack/internal/supervise"
)

// Only traces need Jaeger, and its build takes longer than that of everything
// else. So the first start does without it: apps and sidecars send their traces
// to a sink until Jaeger has been built in the background and takes its place.

// lateBuild is the outcome of a build in the background.
type lateBuild struct {
	built *buildcache.Built
	err   error
}

// discardTraces listens where Jaeger is going to.
func (s *stack) discardTraces() (err error) {
	s.sink, err = otlpsink.Listen(ports.Addr(s.stores.jaeger.otlp))
	return err
}

// buildJaegerLater builds Jaeger in the background if that is left to do. It
// returns a channel that receives the outcome, also when ctx ends; it returns nil
// if there is nothing to build.
func (s *stack) buildJaegerLater(ctx context.Context) <-chan lateBuild {
	if !s.stores.jaeger.mustBuild() {
		return nil
	}
	cache := *s.cache
	cache.Run = s.runGoNicely
	if !s.Verbose {
		cache.Report = func(string) {} // the ready screen is to stay in view
	}
	result := make(chan lateBuild, 1)
	go func() {
		b, err := cache.Build(ctx, s.jaegerTarget())
		result <- lateBuild{b, err}
	}()
	return result
}

// startJaegerLate starts Jaeger in the place of the sink. The stack goes on
// without traces if that fails.
func (s *stack) startJaegerLate(ctx context.Context, r lateBuild) {
	if r.err == nil {
		s.adopt(job{adopt: s.adoptJaeger}, r.built)
		r.err = s.replaceSink(ctx)
	}
	switch {
	case ctx.Err() != nil:
	case r.err != nil:
		s.sup.Logf("no traces: %v", r.err)
	default:
		s.sup.Logf("traces: %s", s.tracesPage())
	}
}

func (s *stack) replaceSink(ctx context.Context) error {
	p, err := s.jaegerProcess()
	if err != nil {
		return err
	}
	if err := s.sink.Close(); err != nil {
		return fmt.Errorf("stop discarding traces: %w", err)
	}
	return s.start(ctx, []supervise.Process{p})
}

// discardLate waits for the end of a background build that nothing waits for.
func (s *stack) discardLate(built <-chan lateBuild) {
	if built == nil {
		return
	}
	if r := <-built; r.err == nil {
		s.built = append(s.built, r.built)
	}
}
