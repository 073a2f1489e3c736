package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// Signal asks a process to end.
type Signal = syscall.Signal

// killWithin limits the wait for a process that was killed. The kernel may hold a
// process in a system call that cannot be interrupted.
const killWithin = 2 * time.Second

// outputWithin limits how long output is read after its process has ended. A
// descendant may hold the output open.
const outputWithin = time.Second

// process is one running process and its group.
type process struct {
	pid int
	out *output

	done chan struct{} // closed when the process has ended and its output is written
	err  error         // set before done is closed; nil for exit status 0
}

// spawner starts processes with env from a single thread, which ends with the spawner. The
// kernel sends the parent-death signal when the thread that started a child ends,
// and Go's other threads may end at any time.
type spawner struct {
	env      []string
	requests chan func()
	closed   chan struct{}
}

func newSpawner(env ...string) *spawner {
	s := &spawner{env: env, requests: make(chan func()), closed: make(chan struct{})}
	go func() {
		defer close(s.closed)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for f := range s.requests {
			f()
		}
	}()
	return s
}

func (s *spawner) close() {
	close(s.requests)
	<-s.closed
}

// start starts p in a new process group. It calls ended with the pid when the
// process has ended.
func (s *spawner) start(p Process, out *output, ended func(pid int)) (*process, error) {
	cmd := exec.Command(p.Path, p.Args...) //nolint:gosec,noctx // the caller's program; a stop is a signal, a wait and then a kill
	cmd.Env = append(slices.Clone(s.env), p.Env...)
	cmd.Dir = p.Dir
	cmd.SysProcAttr = childAttr()
	// Because os/exec does not copy from this pipe, Wait returns when the process
	// ends. Otherwise it would wait for every descendant that shares the output.
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = write, write

	started := make(chan error)
	s.requests <- func() { started <- cmd.Start() }
	err = <-started
	_ = write.Close() // the child has its own copy
	if err != nil {
		_ = read.Close()
		return nil, err
	}
	if p.Nice != 0 {
		// Set it for the group, in case the process has started a child already. If
		// that fails, the process runs with the usual niceness.
		_ = syscall.Setpriority(syscall.PRIO_PGRP, cmd.Process.Pid, p.Nice)
	}
	proc := &process{pid: cmd.Process.Pid, out: out, done: make(chan struct{})}
	go func() {
		copied := make(chan struct{})
		go func() {
			defer close(copied)
			_, _ = io.Copy(out, read)
		}()
		proc.err = cmd.Wait()
		signalGroup(proc.pid, syscall.SIGKILL) // its descendants
		finishOutput(read, copied)
		out.flush()
		ended(proc.pid)
		close(proc.done)
	}()
	return proc, nil
}

// finishOutput waits until the rest of the output is copied. It gives up after
// outputWithin if a descendant that left the group holds the output open.
func finishOutput(read *os.File, copied <-chan struct{}) {
	timer := time.NewTimer(outputWithin)
	defer timer.Stop()
	select {
	case <-copied:
	case <-timer.C:
	}
	_ = read.Close()
	<-copied
}

// stop asks the group to end, and kills it at the given time. It returns when the
// process has ended, or killWithin after the kill.
func (p *process) stop(sig Signal, by time.Time) {
	if sig == 0 {
		sig = syscall.SIGTERM
	}
	signalGroup(p.pid, sig)
	signalGroup(p.pid, syscall.SIGCONT) // a suspended process does not handle sig until it continues
	if p.endsBy(by) {
		return
	}
	signalGroup(p.pid, syscall.SIGKILL)
	p.endsBy(time.Now().Add(killWithin))
}

// endsBy waits until the process has ended, but no longer than until t. It reports
// whether the process has ended.
func (p *process) endsBy(t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return false
	}
}

// errExitZero is the status of a process that should have kept running and ended
// with exit status 0, for which os/exec has no error.
var errExitZero = errors.New("exit status 0")

// status returns how the process ended, as an error even for exit status 0.
func (p *process) status() error {
	if p.err == nil {
		return errExitZero
	}
	return p.err
}

// failure returns the status and the last line of output.
func (p *process) failure() error {
	if last := p.out.last(); last != "" {
		return fmt.Errorf("%w, its last line was: %s", p.status(), last)
	}
	return p.status()
}

// signalGroup signals a process and its descendants in the same group. An error
// means that there is no process left to signal.
func signalGroup(pid int, sig Signal) {
	_ = syscall.Kill(-pid, sig)
}
