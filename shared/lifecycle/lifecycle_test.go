package lifecycle_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/shared/lifecycle"
)

// diary records what parts do, in the order in which they do it.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) write(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) part(name string) lifecycle.Part {
	return lifecycle.Part{
		Name:  name,
		Start: func(context.Context) error { d.write("start " + name); return nil },
		Run: func(ctx context.Context) error {
			<-ctx.Done()
			d.write("ran " + name)
			return ctx.Err()
		},
		Stop: func(context.Context) error { d.write("stop " + name); return nil },
	}
}

func config() lifecycle.Config {
	return lifecycle.Config{StartTimeout: 10 * time.Second, StopTimeout: 10 * time.Second}
}

func TestPartsStartInOrderAndStopInReverse(t *testing.T) {
	var d diary
	ctx, cancel := context.WithCancel(t.Context())
	last := lifecycle.Part{Name: "last", Start: func(context.Context) error { cancel(); return nil }}
	if err := lifecycle.Run(ctx, config(), d.part("a"), d.part("b"), last); err != nil {
		t.Fatal(err)
	}
	want := []string{"start a", "start b", "stop b", "ran b", "stop a", "ran a"}
	if !slices.Equal(d.lines, want) {
		t.Errorf("got %q, want %q", d.lines, want)
	}
}

func TestFailedStartStopsTheStartedParts(t *testing.T) {
	var d diary
	broken := d.part("broken")
	broken.Start = func(context.Context) error { return errors.New("no such port") }
	err := lifecycle.Run(t.Context(), config(), d.part("a"), broken, d.part("never"))
	if err == nil || !strings.Contains(err.Error(), "start broken: no such port") {
		t.Errorf("got %v, want the error of the broken part", err)
	}
	if want := []string{"start a", "stop a", "ran a"}; !slices.Equal(d.lines, want) {
		t.Errorf("got %q, want %q", d.lines, want)
	}
}

func TestPartThatEndsUnexpectedlyStopsTheProgram(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{errors.New("lost the port"), "b: lost the port"},
		{nil, "b ended unexpectedly"},
	} {
		var d diary
		b := d.part("b")
		b.Run = func(context.Context) error { return tt.err }
		err := lifecycle.Run(t.Context(), config(), d.part("a"), b)
		if err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
		if !slices.Contains(d.lines, "stop a") {
			t.Errorf("got %q, want part a to be stopped", d.lines)
		}
	}
}

func TestErrorNamesAPartThatDoesNotStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	stuck := lifecycle.Part{Name: "stuck", Run: func(context.Context) error { <-release; return nil }}
	done := lifecycle.Part{Name: "done", Start: func(context.Context) error { cancel(); return nil }}
	cfg := config()
	cfg.StopTimeout = 20 * time.Millisecond
	err := lifecycle.Run(ctx, cfg, stuck, done)
	if err == nil || !strings.Contains(err.Error(), "stop stuck: still running") {
		t.Errorf("got %v, want the stuck part named", err)
	}
}

func TestReadinessFollowsTheProgramAndItsDependencies(t *testing.T) {
	synctest.Test(t, testReadiness)
}

func testReadiness(t *testing.T) {
	var probeErr error
	r := lifecycle.NewReadiness(time.Second, lifecycle.Check{Name: "redis", Probe: func(context.Context) error { return probeErr }})
	part := r.Part(0)
	get := func() (int, string) {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	if status, _ := get(); status != 503 {
		t.Errorf("before the start: got %d, want 503", status)
	}
	if err := part.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, body := get(); status != 200 || body != `{"status":"ready","checks":{"redis":"ok"}}` {
		t.Errorf("after the start: got %d %s, want 200 and ready", status, body)
	}
	probeErr = errors.New("the reason")
	if status, _ := get(); status != 200 {
		t.Errorf("within a second: got %d, want the result of the last check", status)
	}
	<-time.After(time.Second)
	if status, body := get(); status != 503 || body != `{"status":"unready","checks":{"redis":"failed"}}` {
		t.Errorf("with an unreachable dependency: got %d %s, want 503 and unready", status, body)
	}
	probeErr = nil
	<-time.After(time.Second)
	if status, _ := get(); status != 200 {
		t.Errorf("after the outage: got %d, want 200", status)
	}
	if err := part.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(); status != 503 {
		t.Errorf("while stopping: got %d, want 503", status)
	}
}

// However many callers ask at the same time, each dependency is probed once a second.
func TestReportsShareChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var probes atomic.Int64
		r := lifecycle.NewReadiness(time.Second, lifecycle.Check{Name: "sidecar", Probe: func(context.Context) error {
			probes.Add(1)
			<-time.After(10 * time.Millisecond)
			return nil
		}})
		if err := r.Part(0).Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for round := int64(1); round <= 3; round++ {
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					if report, ready := r.Report(t.Context()); !ready {
						t.Errorf("got %+v, want ready", report)
					}
				})
			}
			wg.Wait()
			if got := probes.Load(); got != round {
				t.Errorf("second %d: got %d probes, want %d", round, got, round)
			}
			<-time.After(time.Second)
		}
	})
}

// A caller that gives up, or a check that does not end, delays no other caller for longer
// than a check may take.
func TestReportWaitsNoLongerThanACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := lifecycle.NewReadiness(time.Second,
			lifecycle.Check{Name: "redis", Probe: func(context.Context) error { return nil }},
			lifecycle.Check{Name: "stuck", Probe: func(context.Context) error { <-release; return nil }})
		if err := r.Part(0).Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		r.Report(gone)
		began := time.Now()
		for range 3 {
			report, ready := r.Report(t.Context())
			if ready || report.Checks["redis"] != "ok" || report.Checks["stuck"] != "failed" {
				t.Errorf("got %+v, want only the stuck check failed", report)
			}
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("three reports took %s, want about a second each", took)
		}
		close(release)
		synctest.Wait()
		if _, ready := r.Report(t.Context()); !ready {
			t.Error("the check has ended: got unready, want ready")
		}
	})
}

// A dependency that was unreachable while the program started does not delay its readiness.
func TestStartForgetsEarlierChecks(t *testing.T) {
	isDown := true
	r := lifecycle.NewReadiness(time.Second, lifecycle.Check{Name: "sidecar", Probe: func(context.Context) error {
		if isDown {
			return errors.New("down")
		}
		return nil
	}})
	r.Report(t.Context())
	isDown = false
	if err := r.Part(0).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if report, ready := r.Report(t.Context()); !ready {
		t.Errorf("got %+v, want ready", report)
	}
}
