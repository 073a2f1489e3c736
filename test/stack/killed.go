package stack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	text, err := os.ReadFile(filepath.Join(s.Data, "pids"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.exited
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		pid, err := strconv.Atoi(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		Await(t, "the end of "+line, func() error {
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
