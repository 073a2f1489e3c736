// Package e2e_test uses a complete Boxoffice over HTTP, as clients do.
package e2e_test

import (
	"os"
	"testing"

	"boxoffice/test/kit"
	"boxoffice/test/stack"
)

// running is the stack that all tests of this package share, as clients share a
// service. TestMain sets it before any test runs.
var running *stack.Stack //nolint:gochecknoglobals // TestMain has no other way to pass it on

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, &running, stack.Options{Args: []string{"--replicas", "event=2,gateway=2"}, Env: []string{
		// Rate limiting stays enabled, with limits that the tests do not reach.
		"RATE_LIMIT_BROWSE=100000/1m", "RATE_LIMIT_WRITE=100000/1m", "RATE_LIMIT_LOGIN=100000/1m", "RATE_LIMIT_REFUSALS=100000/1m", "RATE_LIMIT_ADDRESS=100000/1m", "CONNECTIONS_PER_ADDRESS=100000",
	}}))
}

// countStatuses calls send n times concurrently, and returns the number of responses by
// status. It reports an error for each missing response, and counts it as status 0.
func countStatuses(t *testing.T, n int, send func() (stack.Response, error)) map[int]int {
	t.Helper()
	statuses := make([]int, n)
	kit.Concurrently(n, func(i int) {
		res, err := send()
		if err != nil {
			t.Error(err)
			return
		}
		statuses[i] = res.StatusCode
	})
	counts := map[int]int{}
	for _, status := range statuses {
		counts[status]++
	}
	return counts
}
