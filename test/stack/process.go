package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Freeze stops a process where it is, until Thaw or the test's end. The devstack
// leaves one that is stopped alone.
func (s *Stack) Freeze(t *testing.T, name string) {
	t.Helper()
	s.signal(t, name, syscall.SIGSTOP)
	if pid, err := s.PID(name); err == nil {
		awaitStopped(t, name, pid)
	}
	t.Cleanup(func() {
		if pid, err := s.PID(name); err == nil {
			_ = syscall.Kill(pid, syscall.SIGCONT) // it may have ended
		}
	})
}

// awaitStopped waits until no thread of a process runs: each stops when it is next
// given a processor, and on a busy machine it does other things before.
func awaitStopped(t *testing.T, name string, pid int) {
	t.Helper()
	Await(t, name+" stands still", func() error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // none where there is no /proc
		if err != nil {
			return err
		}
		for _, thread := range threads {
			stat, err := os.ReadFile(thread) //nolint:gosec // of the kernel's
			if err != nil {
				continue // it has ended
			}
			// The state follows the name, which is in brackets and may have some in it.
			if at := strings.LastIndex(string(stat), ") "); stat[at+2] != 'T' {
				return fmt.Errorf("a thread is in state %c", stat[at+2])
			}
		}
		return nil
	})
}

// Thaw lets a frozen process go on.
func (s *Stack) Thaw(t *testing.T, name string) {
	t.Helper()
	s.signal(t, name, syscall.SIGCONT)
}

// Kill ends a process at once. The devstack starts it again.
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

// PID is the process of that name: an instance, its sidecar (its name and
// "-daprd"), or nats, redis, mongo, jaeger.
func (s *Stack) PID(name string) (int, error) {
	all, err := s.pids()
	if err != nil {
		return 0, err
	}
	if pid, ok := all[name]; ok {
		return pid, nil
	}
	return 0, fmt.Errorf("no process %q runs", name)
}

// pids are the processes that the devstack has started, by name.
func (s *Stack) pids() (map[string]int, error) {
	text, err := os.ReadFile(filepath.Join(s.Data, "pids"))
	if err != nil {
		return nil, err
	}
	all := map[string]int{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 {
			return nil, fmt.Errorf("pids: %q", line)
		}
		if all[fields[2]], err = strconv.Atoi(fields[0]); err != nil {
			return nil, fmt.Errorf("pids: %w", err)
		}
	}
	return all, nil
}

// Await waits until ok returns nil, and fails the test when it does not within a
// minute. what says what is waited for.
func Await(t *testing.T, what string, ok func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}
