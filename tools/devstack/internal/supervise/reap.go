package supervise

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// markerName is a variable in the environment of every child. It finds the
// descendants whose parent, the recorded one, is gone.
const markerName = "SUPERVISED_IN"

// reapWithin bounds the wait for one leftover to be gone.
const reapWithin = 5 * time.Second

func marker(dir string) string { return markerName + "=" + dir }

// reap kills what an earlier supervisor of dir left running. It has no use for
// politeness: their supervisor was killed, and they must stand that too.
func (s *Supervisor) reap(dir string) error {
	for _, r := range s.pids.records {
		started, err := startTime(r.pid)
		if errors.Is(err, errNoProcess) || err == nil && started != r.started {
			continue
		}
		if err != nil {
			return fmt.Errorf("look for %s of an earlier run: %w", r.name, err)
		}
		s.Logf("ending %s of an earlier run (pid %d)", r.name, r.pid)
		signalGroup(r.pid, syscall.SIGKILL)
		if err := awaitGone(r.pid, started); err != nil {
			return fmt.Errorf("end %s of an earlier run: %w", r.name, err)
		}
	}
	for _, pid := range marked(marker(dir)) {
		started, err := startTime(pid)
		if err != nil {
			continue
		}
		s.Logf("ending pid %d, a descendant of an earlier run", pid)
		_ = syscall.Kill(pid, syscall.SIGKILL)
		if err := awaitGone(pid, started); err != nil {
			return fmt.Errorf("end a descendant of an earlier run: %w", err)
		}
	}
	return s.pids.remove()
}

func awaitGone(pid int, since string) error {
	ctx, cancel := context.WithTimeout(context.Background(), reapWithin)
	defer cancel()
	return await(ctx, func(context.Context) error {
		if started, err := startTime(pid); err != nil || started != since {
			return nil
		}
		return fmt.Errorf("pid %d is still there", pid)
	}, func(error) {})
}
