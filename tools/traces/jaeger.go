package traces

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// fetchWithin bounds one reading.
const fetchWithin = 10 * time.Second

// Jaeger is the base URL of a Jaeger's query API.
type Jaeger string

// answer is the part of the API's answer that is read.
type answer struct {
	Data []struct {
		Spans     []span             `json:"spans"`
		Processes map[string]process `json:"processes"`
	} `json:"data"`
}

type span struct {
	ID         string `json:"spanID"`
	Name       string `json:"operationName"`
	Process    string `json:"processID"`
	Began      int64  `json:"startTime"` // microseconds, as the duration
	Duration   int64  `json:"duration"`
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

// Fetch returns the root of a trace as it is there now. It is an error when the
// trace has not exactly one root or when a parent is missing.
func (j Jaeger) Fetch(ctx context.Context, id string) (*Span, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
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
	var a answer
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		return nil, fmt.Errorf("answer of Jaeger (%s): %w", res.Status, err)
	}
	if len(a.Data) != 1 {
		return nil, fmt.Errorf("%d traces of that id", len(a.Data))
	}
	spans := map[string]*Span{}
	for _, in := range a.Data[0].Spans {
		spans[in.ID] = in.read(a.Data[0].Processes[in.Process])
	}
	return tree(spans)
}

func (in span) read(p process) *Span {
	s := &Span{
		Name: in.Name, Service: p.Service, Duration: time.Duration(in.Duration) * time.Microsecond,
		// Our own processes say which instance they are.
		Sidecar: !slices.ContainsFunc(p.Tags, func(t tag) bool { return t.Key == "service.instance.id" }),
		id:      in.ID, began: in.Began,
	}
	for _, ref := range in.References {
		if ref.Type == "CHILD_OF" {
			s.parent = ref.Span
		}
	}
	return s
}
