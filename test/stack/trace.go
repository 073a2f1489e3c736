package stack

import (
	"context"

	"boxoffice/tools/traces"
)

// Span is one span of a trace.
type Span = traces.Span

// Trace waits until no span of the trace is missing in Jaeger and complete(root) returns
// nil. It then returns the root. It gives up after WaitTimeout.
func (s *Stack) Trace(ctx context.Context, id string, complete func(root *Span) error) (*Span, error) {
	ctx, cancel := context.WithTimeout(ctx, WaitTimeout)
	defer cancel()
	return traces.Jaeger(s.Jaeger).Wait(ctx, id, complete)
}
