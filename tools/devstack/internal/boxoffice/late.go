package boxoffice

import (
	"context"
	"fmt"

	"boxoffice/tools/devstack/internal/buildcache"
	"boxoffice/tools/devstack/internal/otlpsink"
	"boxoffice/tools/devstack/internal/ports"
	"boxoffice/tools/devstack/internal/supervise"
)

// Only traces need Jaeger, and its build takes longer than any other. A start
// without a built Jaeger therefore becomes ready without it. Apps and sidecars
// send their traces to a sink, which discards them, until Jaeger has been built
// in the background and replaces the sink.

// lateBuild is the outcome of a build in the background.
type lateBuild struct {
	built *buildcache.Built
	err   error
}

// discardTraces starts the sink at the address of Jaeger's OTLP receiver.
func (s *stack) discardTraces() (err error) {
	s.sink, err = otlpsink.Listen(ports.Addr(s.stores.jaeger.otlp))
	return err
}

// buildJaegerLate builds Jaeger in the background. It returns a channel that
// receives the outcome, even if ctx ends first. It returns nil if Jaeger is
// already built or not wanted.
func (s *stack) buildJaegerLate(ctx context.Context) <-chan lateBuild {
	if !s.stores.jaeger.mustBuild() {
		return nil
	}
	cache := *s.cache
	cache.Run = s.runGoNicely
	if !s.Verbose {
		cache.Report = func(string) {} // progress would scroll the ready screen away
	}
	result := make(chan lateBuild, 1)
	go func() {
		b, err := cache.Build(ctx, s.jaegerTarget())
		result <- lateBuild{b, err}
	}()
	return result
}

// startJaegerLate replaces the sink with Jaeger. If that fails, it logs why, and the
// stack runs on without traces.
func (s *stack) startJaegerLate(ctx context.Context, r lateBuild) {
	err := r.err
	if err == nil {
		s.hold(r.built)
		s.useJaeger(r.built)
		err = s.replaceSink(ctx)
	}
	switch {
	case ctx.Err() != nil: // a stop is not a failure
	case err != nil:
		s.sup.Logf("no traces: %v", err)
	default:
		s.sup.Logf("traces: %s", s.tracesURL())
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

// awaitLateBuild waits until a background build has ended. The context of the build
// must have ended before. The channel may be nil.
func (s *stack) awaitLateBuild(building <-chan lateBuild) {
	if building == nil {
		return
	}
	if r := <-building; r.err == nil {
		s.hold(r.built)
	}
}
