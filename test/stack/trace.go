package stack

import (
	"context"
	"time"

	"boxoffice/tools/traces"
)

// Span is one span of a trace.
type Span = traces.Span

// Trace waits, for a minute, until Jaeger has the trace whole and with everything
// that complete asks for.
func (s *Stack) Trace(ctx context.Context, id string, complete func(root *Span) error) (*Span, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return traces.Jaeger(s.Jaeger).Wait(ctx, id, complete)
}
