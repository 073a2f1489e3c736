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

const (
	// maxCheckAge is how old the results of checks may be. All reports within this time
	// share the same checks, so callers cannot make the program probe its dependencies
	// more often.
	maxCheckAge = time.Second
	// checkGrace is how long a report waits for a check that has exceeded its timeout.
	checkGrace = 100 * time.Millisecond
)

// Readiness reports whether the program is ready for requests. The program is ready while
// all of its parts run and all of its dependencies answer.
type Readiness struct {
	isRunning atomic.Bool
	timeout   time.Duration
	checks    []Check

	mu     sync.Mutex
	latest *round // nil if no results are recent
}

// round is one run of all checks.
type round struct {
	passed []atomic.Bool // by check
	done   chan struct{} // closed when all checks have ended
	ended  time.Time     // when done was closed
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
			r.mu.Lock()
			defer r.mu.Unlock()
			r.latest = nil // what failed while the program started may be there by now
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

// Report returns the results of all checks and whether the program is ready. The results
// are at most a second old. If they are older, Report waits for new ones, which all callers
// share, until ctx ends, and hardly longer than the timeout of a check. A check without a
// result has failed. The report does not contain the reasons for failures, because it is
// public.
func (r *Readiness) Report(ctx context.Context) (Report, bool) {
	report := Report{Status: "ready", Checks: map[string]string{}}
	latest := r.round() //nolint:contextcheck // the round belongs to all callers
	limit := time.NewTimer(r.timeout + checkGrace)
	defer limit.Stop()
	select {
	case <-latest.done:
	case <-limit.C:
	case <-ctx.Done():
	}
	ready := r.isRunning.Load()
	for i, c := range r.checks {
		report.Checks[c.Name] = "ok"
		if !latest.passed[i].Load() {
			report.Checks[c.Name] = "failed"
			ready = false
		}
	}
	if !ready {
		report.Status = "unready"
	}
	return report, ready
}

// round returns the running round, or the last one if its results are recent. Otherwise it
// starts a new one.
func (r *Readiness) round() *round {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.latest != nil && !r.latest.isOld() {
		return r.latest
	}
	r.latest = &round{passed: make([]atomic.Bool, len(r.checks)), done: make(chan struct{})}
	go r.run(r.latest)
	return r.latest
}

// isOld reports whether the round has ended and its results must not be used any longer.
func (o *round) isOld() bool {
	select {
	case <-o.done:
		return time.Since(o.ended) >= maxCheckAge
	default:
		return false
	}
}

// run runs all checks concurrently. Their context is that of no caller, because all
// callers share the results.
func (r *Readiness) run(o *round) {
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	defer cancel()
	var wg sync.WaitGroup
	for i, c := range r.checks {
		wg.Go(func() { o.passed[i].Store(c.Probe(ctx) == nil) })
	}
	wg.Wait()
	o.ended = time.Now()
	close(o.done)
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
