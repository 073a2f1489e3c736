// Package kit holds what the tests of all packages share: waiting for a condition,
// running a function concurrently, and calling an app's operations.
package kit

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"boxoffice/shared/apperr"
)

// The pause between two checks of a condition doubles from minPause to maxPause.
const (
	minPause = 2 * time.Millisecond
	maxPause = 50 * time.Millisecond
)

// Condition is a check that Eventually repeats. It holds when it returns true or a
// nil error.
type Condition interface {
	func() bool | func() error
}

// Eventually checks condition until it holds. If it still does not hold after within,
// Eventually fails the test with a message that consists of what, the limit, and the
// condition's last error. It must run in the test's own goroutine.
func Eventually[C Condition](t testing.TB, within time.Duration, what string, condition C) {
	t.Helper()
	holds, lastErr := evaluate(condition)
	pause, deadline := minPause, time.Now().Add(within)
	for !holds {
		left := time.Until(deadline)
		switch {
		case left > 0:
		case lastErr != nil:
			t.Fatalf("%s: not within %s: %v", what, within, lastErr)
		default:
			t.Fatalf("%s: not within %s", what, within)
		}
		time.Sleep(min(pause, left))
		pause = min(2*pause, maxPause)
		holds, lastErr = evaluate(condition)
	}
}

func evaluate[C Condition](condition C) (holds bool, err error) {
	switch check := any(condition).(type) {
	case func() bool:
		return check(), nil
	case func() error:
		err := check()
		return err == nil, err
	}
	panic(fmt.Sprintf("kit: unexpected condition %T", condition))
}

// Concurrently calls fn(0) to fn(n-1), each in a goroutine of its own, and returns
// when all have returned. The goroutines start together, once all of them exist. fn
// must not call t.FailNow or t.Fatal.
func Concurrently(n int, fn func(i int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	wg.Wait()
}

// Outcomes calls fn as Concurrently does. It returns how many calls ended with each
// reason of an apperr.Error, and counts the calls that returned nil under "none".
func Outcomes(n int, fn func(i int) error) map[string]int {
	errs := make([]error, n)
	Concurrently(n, func(i int) { errs[i] = fn(i) })
	counts := map[string]int{}
	for _, err := range errs {
		if err == nil {
			counts["none"]++
		} else {
			counts[apperr.From(err).Reason]++
		}
	}
	return counts
}
