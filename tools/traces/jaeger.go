package traces

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// fetchTimeout limits one request to Jaeger.
const fetchTimeout = 10 * time.Second

// Jaeger is a client of Jaeger's query API. Its value is the base URL of the API.
type Jaeger string

// response is the part of the API's response that this package reads.
type response struct {
	Data []struct {
		Spans     []span             `json:"spans"`
		Processes map[string]process `json:"processes"`
	} `json:"data"`
}

type span struct {
	ID         string `json:"spanID"`
	Name       string `json:"operationName"`
	Process    string `json:"processID"`
	StartTime  int64  `json:"startTime"` // microseconds since the Unix epoch
	Duration   int64  `json:"duration"`  // microseconds
	References []struct {
		Type string `json:"refType"`
		Span string `json:"spanID"`
	} `json:"references"`
}

type process struct {
	Service string `json:"serviceName"`
	Tags    []tag  `json:"tags"`
}

type tag struct {
	Key string `json:"key"`
}

// Fetch returns the root of a trace with the spans that Jaeger has received so far. It
// returns an error if there is not exactly one root or if a parent is missing.
func (j Jaeger) Fetch(ctx context.Context, id string) (*Span, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, string(j)+"/api/traces/"+id, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var a response
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		return nil, fmt.Errorf("decode the response of Jaeger (%s): %w", res.Status, err)
	}
	if len(a.Data) != 1 {
		return nil, fmt.Errorf("got %d traces with this id, want 1", len(a.Data))
	}
	spans := map[string]*Span{}
	for _, in := range a.Data[0].Spans {
		spans[in.ID] = in.convert(a.Data[0].Processes[in.Process])
	}
	return tree(spans)
}

// convert returns the span with the id of its parent and without its children. p is its
// process.
func (in span) convert(p process) *Span {
	s := &Span{
		Name: in.Name, Service: p.Service, Duration: time.Duration(in.Duration) * time.Microsecond,
		// Boxoffice's programs set service.instance.id; daprd does not.
		Sidecar: !slices.ContainsFunc(p.Tags, func(t tag) bool { return t.Key == "service.instance.id" }),
		id:      in.ID, startTime: in.StartTime,
	}
	for _, ref := range in.References {
		if ref.Type == "CHILD_OF" {
			s.parent = ref.Span
		}
	}
	return s
}
