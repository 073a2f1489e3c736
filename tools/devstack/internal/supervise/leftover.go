package supervise

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// markerName is a variable in the environment of every child. Descendants
// inherit it, so Open can find them after the child has ended. The pids file lists
// only the children.
const markerName = "SUPERVISED_IN"

// goneWithin limits the wait for one process that was killed.
const goneWithin = 5 * time.Second

func marker(dir string) string { return markerName + "=" + dir }

// killLeftovers kills what an earlier supervisor of dir left running. It does not
// ask the processes to end first. On Linux, the death of their supervisor kills them
// without a warning too.
func (s *Supervisor) killLeftovers(dir string) error {
	for _, r := range s.pids.records {
		started, err := startTime(r.pid)
		if errors.Is(err, errNoProcess) || err == nil && started != r.started {
			continue
		}
		if err != nil {
			return fmt.Errorf("look for %s of an earlier run: %w", r.name, err)
		}
		s.Logf("killing %s of an earlier run (pid %d)", r.name, r.pid)
		signalGroup(r.pid, syscall.SIGKILL)
		if err := awaitGone(r.pid, started); err != nil {
			return fmt.Errorf("kill %s of an earlier run: %w", r.name, err)
		}
	}
	for _, pid := range marked(marker(dir)) {
		started, err := startTime(pid)
		if err != nil {
			continue
		}
		s.Logf("killing pid %d, a descendant of an earlier run", pid)
		_ = syscall.Kill(pid, syscall.SIGKILL)
		if err := awaitGone(pid, started); err != nil {
			return fmt.Errorf("kill a descendant of an earlier run: %w", err)
		}
	}
	return s.pids.remove()
}

// awaitGone waits until the process that was started at the given time is gone.
func awaitGone(pid int, started string) error {
	ctx, cancel := context.WithTimeout(context.Background(), goneWithin)
	defer cancel()
	return await(ctx, func(context.Context) error {
		if now, err := startTime(pid); err != nil || now != started {
			return nil
		}
		return fmt.Errorf("pid %d is still running", pid)
	}, func(error) {})
}
