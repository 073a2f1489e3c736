// Package e2e_test uses a complete Boxoffice over HTTP, as clients do.
package e2e_test

import (
	"fmt"
	"os"
	"testing"

	"boxoffice/test/stack"
)

// running is the stack that all tests of this package share, as clients share a
// service. TestMain sets it before any test runs.
var running *stack.Stack //nolint:gochecknoglobals // TestMain has no other way to pass it on

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (status int) {
	data, err := os.MkdirTemp("", "boxoffice-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(data)
	running, err = stack.Start(stack.Options{Data: data, Env: []string{
		// Rate limiting stays enabled, with limits that the tests do not reach.
		"RATE_LIMIT_BROWSE=100000/1m", "RATE_LIMIT_WRITE=100000/1m", "RATE_LIMIT_LOGIN=100000/1m",
	}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	status = m.Run()
	if err := running.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}
