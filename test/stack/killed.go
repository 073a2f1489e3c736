package stack

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"boxoffice/test/kit"
)

// KillAll kills the devstack, and waits until every process that it started has
// ended. On Linux they end with it. Elsewhere they end when another devstack starts
// with the same data directory.
func (s *Stack) KillAll(t *testing.T) {
	t.Helper()
	pids, err := s.pids()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.exited
	for name, pid := range pids {
		kit.Eventually(t, WaitTimeout, name+" has ended", func() error {
			if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) && !isZombie(pid) {
				return fmt.Errorf("process %d still exists", pid)
			}
			return nil
		})
	}
}

// isZombie reports whether a process has ended, but has not been waited for.
func isZombie(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	// The state follows the name in parentheses, which may itself contain parentheses.
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')'):]), " ")
	return strings.HasPrefix(rest, "Z")
}
