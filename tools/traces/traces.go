// Package traces reads traces back from Jaeger, checks that they are whole and
// draws them as trees.
package traces

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// Span is one span of a trace, with those beneath it in the order in which they
// began.
type Span struct {
	Name     string
	Service  string
	Sidecar  bool // made by a daprd process and not by an app of ours
	Duration time.Duration
	Children []*Span

	id, parent string
	began      int64
}

// Label names a span as Find does: "service name", with "daprd " before it for a
// sidecar's.
func (s *Span) Label() string {
	if s.Sidecar {
		return "daprd " + s.Service + " " + s.Name
	}
	return s.Service + " " + s.Name
}

// Find returns the span that the path leads to, each step the label of a child.
// Of children with one label it tries each.
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

// Wait reads a trace again and again until it is whole: one root, every parent
// there, and all that complete asks for. Parts arrive when each process sends
// them. When ctx ends first, the error says what was missing last.
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
		// A reading that the deadline cuts off knows less than the one before.
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

// tree puts spans beneath their parents. The error names what hangs in the air.
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
			return cmp.Or(cmp.Compare(a.began, b.began), cmp.Compare(a.id, b.id))
		})
	}
	return root, nil
}
