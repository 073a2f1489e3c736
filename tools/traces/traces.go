// Package traces reads traces from Jaeger, checks that they are complete, and renders
// them as trees.
package traces

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Span is a span of a trace with its children in the order of their start times.
type Span struct {
	Name     string
	Service  string
	Sidecar  bool // recorded by daprd, not by one of Boxoffice's programs
	Duration time.Duration
	Children []*Span

	id, parent string
	startTime  int64 // microseconds
}

// Label returns the service and the name, separated by a space, with the prefix "daprd "
// for spans of a sidecar. Find identifies spans by their labels.
func (s *Span) Label() string {
	if s.Sidecar {
		return "daprd " + s.Service + " " + s.Name
	}
	return s.Service + " " + s.Name
}

// Find returns the descendant at the end of a path. Each element of the path is the label
// of a child. Find backtracks if several children have the same label.
func (s *Span) Find(path ...string) (*Span, error) {
	if len(path) == 0 {
		return s, nil
	}
	missing := fmt.Errorf("no %q beneath %q", path[0], s.Label())
	for _, c := range s.Children {
		if c.Label() != path[0] {
			continue
		}
		found, err := c.Find(path[1:]...)
		if err == nil {
			return found, nil
		}
		missing = err
	}
	return nil, missing
}

// Wait polls Jaeger until it has a complete trace, and returns the root. A trace is
// complete if it has one root, no parent is missing, and complete returns nil. This takes
// time because every process exports its spans on its own schedule. If ctx ends first,
// the error says what was still missing.
func (j Jaeger) Wait(ctx context.Context, id string, complete func(root *Span) error) (*Span, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var missing error
	for {
		root, err := j.Fetch(ctx, id)
		if err == nil {
			if err = complete(root); err == nil {
				return root, nil
			}
			err = fmt.Errorf("%w in\n%s", err, root)
		}
		// If the deadline interrupted this read, the error of the previous one says more.
		if missing == nil || ctx.Err() == nil {
			missing = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return root, fmt.Errorf("trace %s: %w", id, missing)
		}
	}
}

// tree links spans to their parents and returns the root. It returns an error if a
// parent is missing or if there is not exactly one root.
func tree(spans map[string]*Span) (*Span, error) {
	var root *Span
	for _, span := range spans {
		parent, ok := spans[span.parent]
		switch {
		case ok:
			parent.Children = append(parent.Children, span)
		case span.parent != "":
			return nil, fmt.Errorf("the parent of %q is missing", span.Label())
		case root != nil:
			return nil, fmt.Errorf("two roots: %q and %q", root.Label(), span.Label())
		default:
			root = span
		}
	}
	if root == nil {
		return nil, fmt.Errorf("no root among %d spans", len(spans))
	}
	for _, span := range spans {
		slices.SortFunc(span.Children, func(a, b *Span) int {
			return cmp.Or(cmp.Compare(a.startTime, b.startTime), cmp.Compare(a.id, b.id))
		})
	}
	return root, nil
}
