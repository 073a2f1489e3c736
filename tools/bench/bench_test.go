package main

import (
	"context"
	"errors"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestSpreadIsMedianLowestAndHighest(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{9, 1, 5}, spread{5, 1, 9}},
		{[]float64{4, 1, 3, 2}, spread{2.5, 1, 4}},
	} {
		values := slices.Clone(tt.values)
		if got := spreadOf(values); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.values, got, tt.want)
		}
		if !slices.Equal(values, tt.values) {
			t.Errorf("got the argument sorted in place: %v, want it unchanged", values)
		}
	}
	if none := spreadOf(nil); !math.IsNaN(none.median) {
		t.Errorf("without values: got %v, want NaN", none)
	}
}

// A round in which the machine was slow must be compared with the same round of the other
// rung.
func TestRatiosCompareTheSameRound(t *testing.T) {
	if got, want := ratios([]float64{10, 5, 20}, []float64{100, 50, 100}), []float64{0.1, 0.1, 0.2}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPercentileUsesTheNearestRank(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, tt := range []struct {
		times   []time.Duration
		percent float64
		want    time.Duration
	}{
		{hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100}, {hundred, 0, 1},
		{hundred[:3], 50, 2}, {hundred[:1], 99, 1}, {nil, 50, 0},
	} {
		if got := percentile(tt.times, tt.percent); got != tt.want {
			t.Errorf("percentile %g of %d values: got %d, want %d", tt.percent, len(tt.times), got, tt.want)
		}
	}
}

// startRung starts a server and returns a rung that expects a 201 with "pending" from it.
func startRung(t *testing.T, handler http.HandlerFunc) rung {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	s := newServer(srv.URL, 4)
	return rung{name: "booking", send: func(c *caller) error {
		s.prepare(c, http.MethodPost, "/api/bookings", "token", []byte("{}"))
		return s.send(c, booked)
	}}
}

func created(w http.ResponseWriter) {
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write([]byte(`{"status":"pending"}`))
}

// The error must name the rung, the status and the body.
func TestMeasureEndsAtTheFirstUnexpectedResponse(t *testing.T) {
	for _, tt := range []struct {
		name  string
		wrong http.HandlerFunc
		want  []string
	}{
		{"a failure", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"code":"unavailable"}`))
		}, []string{`rung "booking"`, "POST /api/bookings", "got 503, want 201", `{"code":"unavailable"}`}},
		{"another success", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"status":"pending"}`)) }, []string{"got 200, want 201"}},
		{"the expected status with another body", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"status":"refused"}`))
		}, []string{"got 201", `{"status":"refused"}`}},
		{"no response", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, []string{`rung "booking"`, "POST /api/bookings"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var n atomic.Int64
			r := startRung(t, func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) == 20 {
					tt.wrong(w, r)
					return
				}
				created(w)
			})
			_, err := measure(t.Context(), r, newCallers(4), limit{requests: 1000})
			if err == nil {
				t.Fatal("got no error, want one")
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, want it to contain %q", err, part)
				}
			}
			if sent := n.Load(); sent >= 1000 {
				t.Errorf("got %d requests, want fewer than 1000", sent)
			}
		})
	}
}

func TestMeasureSendsTheRequestedNumberOfRequests(t *testing.T) {
	var n atomic.Int64
	r := startRung(t, func(w http.ResponseWriter, _ *http.Request) { n.Add(1); created(w) })
	callers := newCallers(4)
	b, err := measure(t.Context(), r, callers, limit{requests: 101})
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for _, c := range callers {
		sent += c.sent
	}
	if b.requests != 101 || n.Load() != 101 || sent != 101 || len(b.times) != 101 {
		t.Errorf("got %d counted, %d served, %d sent, %d timed, want 101 each", b.requests, n.Load(), sent, len(b.times))
	}
	if !slices.IsSorted(b.times) || b.rate() <= 0 || b.times[100] > b.took {
		t.Errorf("got times %v in %s, want them sorted and within the block", b.times, b.took)
	}
}

func TestMeasureLastsTheRequestedTime(t *testing.T) {
	r := startRung(t, func(w http.ResponseWriter, _ *http.Request) { created(w) })
	b, err := measure(t.Context(), r, newCallers(4), limit{time: 50 * time.Millisecond})
	if err != nil || b.requests == 0 || b.took < 50*time.Millisecond {
		t.Errorf("got %d requests in %s, %v, want some in at least 50ms", b.requests, b.took, err)
	}
}

func TestMeasureEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := startRung(t, func(w http.ResponseWriter, _ *http.Request) { cancel(); created(w) })
	if _, err := measure(ctx, r, newCallers(4), limit{time: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// Health checks and the sidecar's own requests are not round trips of the app.
func TestAddMetricsCountsRoundTripsOnly(t *testing.T) {
	u := usage{}
	err := u.addMetrics(strings.NewReader(`# HELP dapr_http_server_request_count n
# TYPE dapr_http_server_request_count counter
dapr_http_server_request_count{app_id="gateway",method="GET",path="",status="204"} 44
dapr_http_server_request_count{app_id="gateway",method="POST",path="",status="200"} 10
dapr_http_server_request_count{app_id="gateway",method="POST",path="",status="500"} 3
dapr_grpc_io_server_completed_rpcs{app_id="booking",grpc_server_method="/dapr.proto.runtime.v1.Dapr/TryLockAlpha1",grpc_server_status="OK"} 5
dapr_grpc_io_server_completed_rpcs{app_id="booking",grpc_server_method="/dapr.proto.internals.v1.ServiceInvocation/CallLocal",grpc_server_status="OK"} 100
dapr_runtime_service_invocation_req_sent_total{app_id="gateway",dst_app_id="auth",type="unary"} 1.0e+01
dapr_http_client_completed_count{app_id="auth",method="GET",path="/dapr/config",status="404"} 1
dapr_http_client_completed_count{app_id="auth",method="POST",path="",status="200"} 7
`))
	if err != nil {
		t.Fatal(err)
	}
	want := usage{sidecarCalls: 18, sidecarHops: 10, sidecarInvokes: 7}
	if !maps.Equal(u, want) {
		t.Errorf("got %v, want %v", u, want)
	}
	if err := u.addMetrics(strings.NewReader(`dapr_runtime_service_invocation_req_sent_total{} many`)); err == nil {
		t.Error("a value that is not a number: got no error, want one")
	}
}

// The work of sweeps and heartbeats during a block and while its facts are settled is not
// part of the cost of a request.
func TestCostExcludesTheIdleStack(t *testing.T) {
	idle := usage{mongoCommands: 10, cpu("mongo"): 4, redisTrips: 100}
	r := result{blocks: []block{
		{requests: 10, took: 2 * time.Second, settled: time.Second, spent: usage{mongoCommands: 130, cpu("mongo"): 32, redisTrips: 5}},
		{requests: 10, took: time.Second, spent: usage{mongoCommands: 110, cpu("mongo"): 24}},
	}}
	got := r.cost(idle)
	if want := (usage{mongoCommands: 10, cpu("mongo"): 2, redisTrips: 0}); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got.cpu() != 2 {
		t.Errorf("processor time: got %g, want 2", got.cpu())
	}
}

// The test lists its own process under several names.
func TestCPUIsReadByGroup(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("no /proc on this system")
	}
	dir, pid := t.TempDir(), strconv.Itoa(os.Getpid())
	pids := pid + "\tstarted\tgateway\n" + pid + "\tstarted\tgateway-daprd\n" + pid + "\tstarted\tbooking-daprd\n"
	if err := os.WriteFile(filepath.Join(dir, "pids"), []byte(pids), 0o600); err != nil {
		t.Fatal(err)
	}
	// A new process may have used less than one clock tick.
	for deadline := time.Now().Add(10 * time.Second); ; {
		u := usage{}
		if err := u.readCPU(dir, os.Getpid()); err != nil {
			t.Fatal(err)
		}
		if u[cpu("gateway")] > 0 && u[cpu("sidecars")] >= 2*u[cpu("gateway")] && u[cpu("bench")] > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %v, want processor time of bench, gateway and sidecars", u)
		}
	}
}

// The tables print "-" for a counter that was not read, and 0.000 for one that is 0.
func TestCPUOfAProcessThatHasEndedIsNotRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pids"), []byte("0\tstarted\tgateway\n"), 0o600); err != nil { // no process has the id 0
		t.Fatal(err)
	}
	u := usage{}
	if err := u.readCPU(dir, os.Getpid()); err != nil {
		t.Fatal(err)
	}
	if ms, ok := u[cpu("gateway")]; ok {
		t.Errorf("got %g ms for the gateway, want no counter", ms)
	}
}

func TestRungsAreSelectedByWords(t *testing.T) {
	for _, tt := range []struct {
		name, words string
		want        bool
	}{
		{"GET event", "", true}, {"GET event", "hot,event", true}, {"GET event", "hot", false}, {"GET event", ",", false},
	} {
		if got := isSelected(tt.name, tt.words); got != tt.want {
			t.Errorf("%q with words %q: got %t, want %t", tt.name, tt.words, got, tt.want)
		}
	}
}

func TestReportPrintsTheTables(t *testing.T) {
	var out strings.Builder
	b := &bench{settings: settings{clients: 2, rounds: 1, block: time.Second}, out: &out}
	of := func(name string, requests int) *result {
		return &result{rung: rung{name: name, publishesFacts: name == hotRung}, blocks: []block{{
			requests: requests, took: time.Second, times: []time.Duration{time.Millisecond},
			spent: usage{mongoCommands: float64(3 * requests), cpu("sidecars"): float64(requests)},
		}}}
	}
	b.report([]*result{of(hopRung, 1000), of(hotRung, 150), of(spreadRung, 100)}, usage{})
	for _, line := range []string{
		"booking, one hot event  150 (150 .. 150)     0.150 (0.150 .. 0.150)  1ms  1ms  1.00 ms      0s",
		"booking, one hot event  3.00     -",
		"bookings of one hot event: 0.150 (0.150 .. 0.150) of the Dapr hop, 1.500 (1.500 .. 1.500) of bookings of 200 events",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("got\n%s\nwant it to contain %q", out.String(), line)
		}
	}
}

func TestParseRefusesInvalidFlags(t *testing.T) {
	var out strings.Builder
	for _, args := range [][]string{{"-clients", "0"}, {"-rounds", "0"}, {"-block", "0s"}, {"-after", "200"}, {"-after", "-1"}, {"hot"}, {"-nonsense"}} {
		if _, err := parse(args, &out); err == nil {
			t.Errorf("%v: got no error, want one", args)
		}
	}
	if s, err := parse([]string{"-after", "20000", "-rungs", "hot"}, &out); err != nil || s.after != 20000 || s.rungs != "hot" || s.clients != 32 {
		t.Errorf("got %+v, %v, want -after 20000, -rungs hot and the default of 32 clients", s, err)
	}
}
