package stack

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// KillAll ends the devstack itself at once, and waits until everything that it
// started is gone: on Linux at once, elsewhere with the next start. Start another
// on the same data directory afterwards.
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
		Await(t, "the end of "+name, func() error {
			if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) && !defunct(pid) {
				return fmt.Errorf("process %d is there", pid)
			}
			return nil
		})
	}
}

// defunct reports whether a process has ended and nobody has collected it.
func defunct(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	// The name, in parentheses, may hold anything.
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')'):]), " ")
	return strings.HasPrefix(rest, "Z")
}
