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
	"time"

	"boxoffice/test/kit"
)

// WaitTimeout limits how long a test waits for the stack to reach a state.
const WaitTimeout = time.Minute

// Freeze stops a process with SIGSTOP until Thaw or the end of the test. The
// devstack does not restart a stopped process.
func (s *Stack) Freeze(t *testing.T, name string) {
	t.Helper()
	s.signal(t, name, syscall.SIGSTOP)
	if pid, err := s.PID(name); err == nil {
		awaitStopped(t, name, pid)
	}
	t.Cleanup(func() {
		if pid, err := s.PID(name); err == nil {
			_ = syscall.Kill(pid, syscall.SIGCONT) // the process may have ended
		}
	})
}

// awaitStopped waits until all threads of a process have stopped. A thread stops only
// when it is next scheduled, which may take a while on a busy machine.
func awaitStopped(t *testing.T, name string, pid int) {
	t.Helper()
	kit.Eventually(t, WaitTimeout, name+" has stopped", func() error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // empty without /proc
		if err != nil {
			return err
		}
		for _, thread := range threads {
			stat, err := os.ReadFile(thread) //nolint:gosec // a file of /proc
			if err != nil {
				continue // the thread has ended
			}
			// The state follows the name in parentheses, which may itself contain parentheses.
			if at := strings.LastIndex(string(stat), ") "); stat[at+2] != 'T' {
				return fmt.Errorf("a thread is in state %c", stat[at+2])
			}
		}
		return nil
	})
}

// Thaw lets a frozen process continue.
func (s *Stack) Thaw(t *testing.T, name string) {
	t.Helper()
	s.signal(t, name, syscall.SIGCONT)
}

// Kill ends a process with SIGKILL. The devstack restarts it.
func (s *Stack) Kill(t *testing.T, name string) {
	t.Helper()
	s.signal(t, name, syscall.SIGKILL)
}

func (s *Stack) signal(t *testing.T, name string, sig syscall.Signal) {
	t.Helper()
	pid, err := s.PID(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("%s %s: %v", sig, name, err)
	}
}

// PID returns the id of a process. name is an instance, a sidecar (the instance
// followed by "-daprd"), or one of nats, redis, mongo and jaeger.
func (s *Stack) PID(name string) (int, error) {
	all, err := s.pids()
	if err != nil {
		return 0, err
	}
	if pid, ok := all[name]; ok {
		return pid, nil
	}
	return 0, fmt.Errorf("no process is called %q", name)
}

// pids returns the ids of the processes that the devstack has started, by name.
func (s *Stack) pids() (map[string]int, error) {
	text, err := os.ReadFile(filepath.Join(s.Data, "pids"))
	if err != nil {
		return nil, err
	}
	all := map[string]int{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 {
			return nil, fmt.Errorf("pids: malformed line %q", line)
		}
		if all[fields[2]], err = strconv.Atoi(fields[0]); err != nil {
			return nil, fmt.Errorf("pids: %w", err)
		}
	}
	return all, nil
}

// KillAll kills the devstack, and waits until every process that it started has ended.
// It works only on Linux, where the kernel ends them with the devstack. On other systems
// they run until another devstack starts with the same data directory.
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

// isZombie reports whether a process has ended but has not been waited for. It returns
// false on systems without /proc.
func isZombie(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	// The state follows the name in parentheses, which may itself contain parentheses.
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')'):]), " ")
	return strings.HasPrefix(rest, "Z")
}
