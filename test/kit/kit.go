// Package kit helps tests of all packages to wait for a condition, to run a function
// concurrently, to find a free port, and to call an app's operations.
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

// Eventually checks condition until it holds. If it still does not hold after the time
// within, Eventually fails the test with a message that contains the description what, the
// time limit, and the condition's last error. The description is a clause such as "the
// server is ready". Eventually must run in the test's own goroutine.
func Eventually[C Condition](t testing.TB, within time.Duration, what string, condition C) {
	t.Helper()
	holds, lastErr := evaluate(condition)
	pause, deadline := minPause, time.Now().Add(within)
	for !holds {
		left := time.Until(deadline)
		switch {
		case left > 0:
		case lastErr != nil:
			t.Fatalf("timed out after %s waiting until %s: %v", within, what, lastErr)
		default:
			t.Fatalf("timed out after %s waiting until %s", within, what)
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

// Concurrently calls fn(0) to fn(n-1), each in its own goroutine, and returns when all
// calls have returned. No call begins before all goroutines have been started. fn must
// not call t.FailNow or t.Fatal.
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

// Outcomes calls fn as Concurrently does and counts the returned errors as Reasons does.
func Outcomes(n int, fn func(i int) error) map[string]int {
	errs := make([]error, n)
	Concurrently(n, func(i int) { errs[i] = fn(i) })
	return Reasons(errs)
}

// Reasons counts errors by the reason of their apperr.Error. Nil errors count under
// "none".
func Reasons(errs []error) map[string]int {
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
