// Package attack_test attacks a running Boxoffice with its default settings. A test
// passes if the attack fails. Every attack is bounded, and all traffic stays on the
// loopback interface.
package attack_test

import (
	"fmt"
	"os"
	"testing"

	"boxoffice/test/stack"
)

// running is the stack that the attacks share. TestMain sets it before any test runs. An
// attack that exhausts a limit of its address uses an address of its own.
var running *stack.Stack //nolint:gochecknoglobals // TestMain has no other way to pass it on

// spans receives the traces of the stack. TestMain sets it before any test runs.
var spans *collector //nolint:gochecknoglobals // as above

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (status int) {
	var err error
	if spans, err = startCollector(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer spans.close()
	return stack.Main(m, &running, stack.Options{Env: append(spans.env(), "JAEGER=off")})
}
