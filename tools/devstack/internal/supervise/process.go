package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Signal asks a process to end.
type Signal = syscall.Signal

// killWithin bounds the wait for a process that was killed: the kernel may hold
// one in a system call that cannot be broken off.
const killWithin = 2 * time.Second

// outputWithin is how long the output of a process that ended is still read
// when a descendant holds it open.
const outputWithin = time.Second

// process is one running process and its group.
type process struct {
	pid int
	out *output

	done chan struct{} // closed when it ended and its output was written
	err  error         // set before done is closed; nil for exit status 0
}

// spawner starts processes from one thread that lives as long as it does: the
// kernel's parent-death signal comes when the thread that started a child ends,
// and Go's other threads come and go.
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

// start starts p in a process group of its own. When it has ended, ended is
// called with its pid.
func (s *spawner) start(p Process, out *output, ended func(pid int)) (*process, error) {
	cmd := exec.Command(p.Path, p.Args...) //nolint:noctx // stopping is a signal, a wait and a kill, not a kill
	cmd.Env = append(append(os.Environ(), s.env...), p.Env...)
	cmd.Dir = p.Dir
	cmd.SysProcAttr = childAttr()
	// A pipe of our own, so that Wait returns when the process ends and not
	// when the last descendant that shares its output does.
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = write, write

	started := make(chan error)
	s.requests <- func() { started <- cmd.Start() }
	err = <-started
	_ = write.Close() // the child has its own
	if err != nil {
		_ = read.Close()
		return nil, err
	}
	if p.Nice != 0 {
		// The group, so that a child that it has already is included. An error
		// leaves it as it is.
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
		signalGroup(proc.pid, syscall.SIGKILL) // whatever it started itself
		readOut(read, copied)
		out.flush()
		ended(proc.pid)
		close(proc.done)
	}()
	return proc, nil
}

// readOut waits until the rest of the output was copied, and gives up on a
// descendant that left the group and holds it open.
func readOut(read *os.File, copied <-chan struct{}) {
	timer := time.NewTimer(outputWithin)
	defer timer.Stop()
	select {
	case <-copied:
	case <-timer.C:
	}
	_ = read.Close()
	<-copied
}

// stop asks the group to end, kills it at the given time, and returns when the
// process has ended.
func (p *process) stop(sig Signal, by time.Time) {
	if sig == 0 {
		sig = syscall.SIGTERM
	}
	signalGroup(p.pid, sig)
	signalGroup(p.pid, syscall.SIGCONT) // one that is suspended gets no signal until it goes on
	if p.endsBy(by) {
		return
	}
	signalGroup(p.pid, syscall.SIGKILL)
	p.endsBy(time.Now().Add(killWithin))
}

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

// status returns how a process ended that should have kept running.
func (p *process) status() error {
	if p.err == nil {
		return errNoFailure
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

// errNoFailure is for a server that ended as if its work were done.
var errNoFailure = errors.New("exit status 0")

// signalGroup signals a process and those that it started. Errors mean that
// nothing is left to signal.
func signalGroup(pid int, sig Signal) {
	_ = syscall.Kill(-pid, sig)
}
