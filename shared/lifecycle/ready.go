package lifecycle

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Check probes a dependency of the program.
type Check struct {
	Name  string
	Probe func(ctx context.Context) error // returns an error if the dependency does not answer
}

// Readiness reports whether the program is ready for requests. The program is ready while
// all of its parts run and all of its dependencies answer.
type Readiness struct {
	isRunning atomic.Bool
	timeout   time.Duration
	checks    []Check
}

// NewReadiness returns a Readiness that is unready until its part starts. The timeout
// applies to each check.
func NewReadiness(timeout time.Duration, checks ...Check) *Readiness {
	return &Readiness{timeout: timeout, checks: checks}
}

// Part returns the part that must start last and stop first. Its Stop makes the program
// unready and then waits for the duration drain, so that load balancers notice before any
// other part stops.
func (r *Readiness) Part(drain time.Duration) Part {
	return Part{
		Name: "readiness",
		Start: func(context.Context) error {
			r.isRunning.Store(true)
			return nil
		},
		Stop: func(ctx context.Context) error {
			r.isRunning.Store(false)
			select {
			case <-time.After(drain):
			case <-ctx.Done():
			}
			return nil
		},
	}
}

// Report is the result of all checks.
type Report struct {
	Status string            `json:"status"` // ready or unready
	Checks map[string]string `json:"checks"` // ok or failed, by name
}

// Report runs all checks concurrently. It returns their results and whether the program is
// ready. The report does not contain the reasons for failures, because it is public.
func (r *Readiness) Report(ctx context.Context) (Report, bool) {
	report := Report{Status: "ready", Checks: map[string]string{}}
	ready := r.isRunning.Load()
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
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

// ServeHTTP sends the report, with status 200 if the program is ready and 503 if not.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	report, ready := r.Report(req.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(report) // fails only if the client has disconnected
}
