package stack

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// Main runs the tests of a package on one stack that they share, and returns the exit status
// of the test program. It sets *running before the first test. The stack has a temporary
// data directory.
func Main(m *testing.M, running **Stack, o Options) (status int) {
	status, err := runOn(m, running, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

func runOn(m *testing.M, running **Stack, o Options) (status int, err error) {
	if o.Data, err = os.MkdirTemp("", "boxoffice-test-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(o.Data)
	s, err := Start(o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	*running = s
	return m.Run(), nil
}
