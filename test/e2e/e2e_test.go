// Package e2e_test uses Boxoffice as its clients do, over HTTP, with all parts
// real.
package e2e_test

import (
	"fmt"
	"os"
	"testing"

	"boxoffice/test/stack"
)

// running is the one stack of this package's tests: they share it as clients
// share a service. Set once, before any test.
var running *stack.Stack //nolint:gochecknoglobals // TestMain has no other way to hand it on

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (status int) {
	data, err := os.MkdirTemp("", "boxoffice-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(data)
	running, err = stack.Start(stack.Options{Data: data, Env: []string{
		// In the path, and out of the tests' way.
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
