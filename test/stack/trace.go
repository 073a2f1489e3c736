package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
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

// Trace waits until Jaeger has the trace whole: one root, every parent there, and
// everything that complete asks for. Parts arrive when each process sends them.
func (s *Stack) Trace(ctx context.Context, id string, complete func(root *Span) error) (*Span, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		root, err := s.fetchTrace(ctx, id)
		if err == nil {
			if err = complete(root); err == nil {
				return root, nil
			}
			err = fmt.Errorf("%w in\n%s", err, root)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return root, fmt.Errorf("trace %s: %w", id, err)
		}
	}
}

func (s *Stack) fetchTrace(ctx context.Context, id string) (*Span, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Jaeger+"/api/traces/"+id, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var answer struct {
		Data []struct {
			Spans []struct {
				ID         string `json:"spanID"`
				Name       string `json:"operationName"`
				Process    string `json:"processID"`
				Began      int64  `json:"startTime"`
				Duration   int64  `json:"duration"`
				References []struct {
					Type string `json:"refType"`
					Span string `json:"spanID"`
				} `json:"references"`
			} `json:"spans"`
			Processes map[string]struct {
				Service string `json:"serviceName"`
				Tags    []struct {
					Key string `json:"key"`
				} `json:"tags"`
			} `json:"processes"`
		} `json:"data"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if len(answer.Data) != 1 {
		return nil, fmt.Errorf("%d traces of that id", len(answer.Data))
	}
	spans := map[string]*Span{}
	for _, in := range answer.Data[0].Spans {
		process := answer.Data[0].Processes[in.Process]
		span := &Span{
			Name: in.Name, Service: process.Service, Duration: time.Duration(in.Duration) * time.Microsecond,
			id: in.ID, began: in.Began,
			// Our own processes say which instance they are.
			Sidecar: !slices.ContainsFunc(process.Tags, func(tag struct {
				Key string `json:"key"`
			}) bool {
				return tag.Key == "service.instance.id"
			}),
		}
		for _, ref := range in.References {
			if ref.Type == "CHILD_OF" {
				span.parent = ref.Span
			}
		}
		spans[in.ID] = span
	}
	return tree(spans)
}

func tree(spans map[string]*Span) (*Span, error) {
	var root *Span
	for _, span := range spans {
		parent, ok := spans[span.parent]
		switch {
		case ok:
			parent.Children = append(parent.Children, span)
		case span.parent != "":
			return nil, fmt.Errorf("the parent of %s %s is missing", span.Service, span.Name)
		case root != nil:
			return nil, fmt.Errorf("two roots: %s %s and %s %s", root.Service, root.Name, span.Service, span.Name)
		default:
			root = span
		}
	}
	if root == nil {
		return nil, fmt.Errorf("no root among %d spans", len(spans))
	}
	for _, span := range spans {
		slices.SortFunc(span.Children, func(a, b *Span) int { return int(a.began - b.began) })
	}
	return root, nil
}

// Find returns the span that the path leads to, each step a child's "service
// name", with "daprd " before it for a sidecar's.
func (s *Span) Find(path ...string) (*Span, error) {
	at := s
	for _, step := range path {
		i := slices.IndexFunc(at.Children, func(c *Span) bool { return c.label() == step })
		if i < 0 {
			return nil, fmt.Errorf("no %q beneath %q", step, at.label())
		}
		at = at.Children[i]
	}
	return at, nil
}

func (s *Span) label() string {
	if s.Sidecar {
		return "daprd " + s.Service + " " + s.Name
	}
	return s.Service + " " + s.Name
}

// String draws the tree.
func (s *Span) String() string {
	var b strings.Builder
	s.draw(&b, 0)
	return b.String()
}

func (s *Span) draw(b *strings.Builder, depth int) {
	fmt.Fprintf(b, "%s%s  %s\n", strings.Repeat("  ", depth), s.label(), s.Duration)
	for _, c := range s.Children {
		c.draw(b, depth+1)
	}
}
