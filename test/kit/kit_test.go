package kit_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/test/kit"
)

func TestEventuallyReturnsOnceTheConditionHolds(t *testing.T) {
	checks := 0
	kit.Eventually(t, time.Minute, "three checks were made", func() bool { checks++; return checks == 3 })
	if checks != 3 {
		t.Errorf("got %d checks of a bool, want 3", checks)
	}
	checks = 0
	kit.Eventually(t, time.Minute, "three checks were made", func() error {
		if checks++; checks < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if checks != 3 {
		t.Errorf("got %d checks of an error, want 3", checks)
	}
}

func TestEventuallyFailsTheTestWithTheLastError(t *testing.T) {
	for _, tt := range []struct {
		name string
		wait func(t testing.TB)
		want string
	}{
		{
			"condition that returns a bool", func(t testing.TB) {
				kit.Eventually(t, 10*time.Millisecond, "all seats are sold", func() bool { return false })
			},
			"timed out after 10ms waiting until all seats are sold",
		},
		{
			"condition that returns an error", func(t testing.TB) {
				kit.Eventually(t, 10*time.Millisecond, "all seats are sold", func() error { return errors.New("3 are left") })
			},
			"timed out after 10ms waiting until all seats are sold: 3 are left",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := failure(t, tt.wait); got != tt.want {
				t.Errorf("got failure %q, want %q", got, tt.want)
			}
		})
	}
}

// fatalRecorder is a test that records the message of Fatalf instead of failing.
type fatalRecorder struct {
	testing.TB
	message string
}

func (r *fatalRecorder) Fatalf(format string, args ...any) {
	r.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// failure returns the message with which fn fails its test, or "" if it does not.
func failure(t *testing.T, fn func(t testing.TB)) string {
	t.Helper()
	r := &fatalRecorder{TB: t}
	var wg sync.WaitGroup
	wg.Go(func() { fn(r) })
	wg.Wait()
	return r.message
}

func TestConcurrentlyRunsAllCallsAtOnce(t *testing.T) {
	const n = 10
	var arrived sync.WaitGroup
	arrived.Add(n)
	var sum atomic.Int64
	kit.Concurrently(n, func(i int) {
		arrived.Done()
		arrived.Wait() // returns only if all calls run at once
		sum.Add(int64(i))
	})
	if got := sum.Load(); got != 45 {
		t.Errorf("sum of the arguments: got %d, want 45", got)
	}
}

func TestOutcomesCountsTheReasonsOfErrors(t *testing.T) {
	got := kit.Outcomes(5, func(i int) error {
		if i < 3 {
			return apperr.New(apperr.Conflict, "sold_out", "")
		}
		return nil
	})
	if want := map[string]int{"sold_out": 3, "none": 2}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFreePortReturnsEachPortOnce(t *testing.T) {
	const n = 200
	ports := make([]int, n)
	kit.Concurrently(n, func(i int) { ports[i] = kit.FreePort(t) })
	slices.Sort(ports)
	if got := len(slices.Compact(slices.Clone(ports))); got != n {
		t.Errorf("got %d different ports, want %d", got, n)
	}
	for _, port := range ports {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Fatalf("the port is not free: %v", err)
		}
		l.Close()
	}
}
