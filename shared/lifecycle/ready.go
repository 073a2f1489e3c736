package lifecycle

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Check tells whether something that the program depends on answers.
type Check struct {
	Name  string
	Probe func(ctx context.Context) error
}

// Readiness says whether the program should be sent work: after all parts have
// started, before the first one stops, and while its dependencies answer.
type Readiness struct {
	on     atomic.Bool
	within time.Duration
	checks []Check
}

// NewReadiness returns a readiness that is off. Each check has that long.
func NewReadiness(within time.Duration, checks ...Check) *Readiness {
	return &Readiness{within: within, checks: checks}
}

// Part is the last to start and the first to stop. It stays unready for the
// drain before anything else stops, so that nobody sends more.
func (r *Readiness) Part(drain time.Duration) Part {
	return Part{
		Name: "readiness",
		Start: func(context.Context) error {
			r.on.Store(true)
			return nil
		},
		Stop: func(ctx context.Context) error {
			r.on.Store(false)
			select {
			case <-time.After(drain):
			case <-ctx.Done():
			}
			return nil
		},
	}
}

// Report is what a readiness says of itself.
type Report struct {
	Status string            `json:"status"` // ready or unready
	Checks map[string]string `json:"checks"` // ok, or failed
}

// Report asks all dependencies side by side. It does not say why one failed: the
// answer is public.
func (r *Readiness) Report(ctx context.Context) (Report, bool) {
	report := Report{Status: "ready", Checks: map[string]string{}}
	ready := r.on.Load()
	ctx, cancel := context.WithTimeout(ctx, r.within)
	defer cancel()
	failed := make([]bool, len(r.checks))
	var wg sync.WaitGroup
	for i, c := range r.checks {
		wg.Go(func() { failed[i] = c.Probe(ctx) != nil })
	}
	wg.Wait()
	for i, c := range r.checks {
		report.Checks[c.Name] = "ok"
		if failed[i] {
			report.Checks[c.Name] = "failed"
			ready = false
		}
	}
	if !ready {
		report.Status = "unready"
	}
	return report, ready
}

// ServeHTTP answers 200 when ready and 503 when not.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	report, ready := r.Report(req.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(report) // a prober who has left cannot be told
}
