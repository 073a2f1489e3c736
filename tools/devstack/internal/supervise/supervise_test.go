package supervise_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"boxoffice/tools/devstack/internal/supervise"
)

// listening returns a probe for the role "server". It reads the address from the
// file that the server writes, and connects to it.
func listening(file string) supervise.Probe {
	return func(ctx context.Context) error {
		addr, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return supervise.TCP(string(addr))(ctx)
	}
}

func TestStagesStartInOrderAndStopInReverse(t *testing.T) {
	dir, out := t.TempDir(), &log{}
	s := open(t, filepath.Join(dir, "data"), out)
	var names []string
	for _, name := range []string{"store", "sidecar", "app"} {
		file := filepath.Join(dir, name)
		p := process(name, "server", file)
		p.Ready = listening(file)
		if err := s.Start(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if got := out.lines(name); !slices.Equal(got, []string{"serving"}) {
			eventually(t, name+" has printed that it serves", func() bool { return slices.Equal(out.lines(name), []string{"serving"}) })
		}
		names = append(names, name)
	}
	pids := pidsOf(t, filepath.Join(dir, "data"))
	s.Stop()
	var ended []string
	for line := range strings.Lines(out.String()) {
		if name, text, _ := strings.Cut(line, " | "); strings.TrimSpace(text) == "ending" {
			ended = append(ended, strings.TrimSpace(name))
		}
	}
	slices.Reverse(names)
	if !slices.Equal(ended, names) {
		t.Errorf("the processes ended in the order %v, want %v", ended, names)
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("pid %d is alive after Stop", pid)
		}
	}
}

func TestCrashedProcessIsRestartedWithBackoff(t *testing.T) {
	out := &log{}
	s := open(t, t.TempDir(), out)
	prepared := make(chan struct{}, 100)
	p := process("app", "crash")
	p.BeforeRestart = func(context.Context) error {
		prepared <- struct{}{}
		return errors.New("not prepared")
	}
	if err := s.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	awaitDelays(t, out, "2ms", "4ms", "8ms", "10ms", "10ms")
	s.Stop()
	if got, want := len(prepared), len(out.lines("app"))-1; got < want {
		t.Errorf("BeforeRestart ran %d times for %d restarts", got, want)
	}
}

func TestRestartStatusIsRestartedWithoutBackoff(t *testing.T) {
	out := &log{}
	s := open(t, t.TempDir(), out)
	p := process("app", "crash")
	p.RestartStatus = 3
	if err := s.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	awaitDelays(t, out, "2ms", "2ms", "2ms")
}

// awaitDelays waits for restarts of the role "crash" and compares their delays.
func awaitDelays(t *testing.T, out *log, want ...string) {
	t.Helper()
	delays := func() []string {
		var all []string
		for _, line := range out.lines("sup") {
			if reason, delay, ok := strings.Cut(line, "; starting it again in "); ok {
				if !strings.Contains(reason, "exit status 3") {
					t.Errorf("%q does not contain the exit status", reason)
				}
				all = append(all, delay)
			}
		}
		return all
	}
	eventually(t, fmt.Sprintf("%d restarts", len(want)), func() bool { return len(delays()) >= len(want) })
	if got := delays()[:len(want)]; !slices.Equal(got, want) {
		t.Errorf("got delays %v, want %v", got, want)
	}
}

// TestAfterRestartIsRepeatedUntilItSucceeds makes AfterRestart fail once, and kills
// the process again during the next call, whose context must end.
func TestAfterRestartIsRepeatedUntilItSucceeds(t *testing.T) {
	dir, out := t.TempDir(), &log{}
	s := open(t, filepath.Join(dir, "data"), out)
	file := filepath.Join(dir, "addr")
	calls := make(chan context.Context)
	answers := make(chan error)
	p := process("app", "server", file)
	p.Ready = listening(file)
	p.AfterRestart = func(ctx context.Context) error {
		if err := p.Ready(ctx); err != nil {
			t.Errorf("AfterRestart is called before the process is ready: %v", err)
		}
		calls <- ctx
		return <-answers
	}
	if err := s.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	kill := func() {
		t.Helper()
		if err := syscall.Kill(pidsOf(t, filepath.Join(dir, "data"))["app"], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	next := func(what string) context.Context {
		t.Helper()
		select {
		case ctx := <-calls:
			return ctx
		case <-time.After(deadline):
			t.Fatalf("not true within %s: %s", deadline, what)
			return nil
		}
	}
	if err := os.Remove(file); err != nil { // the address of the first process
		t.Fatal(err)
	}
	kill()
	next("AfterRestart is called after a restart")
	answers <- errors.New("not yet")
	second := next("AfterRestart is called again after its failure")
	kill()
	select {
	case <-second.Done():
	case <-time.After(deadline):
		t.Fatal("the context of AfterRestart does not end with the process")
	}
	answers <- second.Err()
	next("AfterRestart is called after the next restart")
	answers <- nil
	if failed := "after the restart of app: not yet; trying again in 2ms"; !slices.Contains(out.lines("sup"), failed) {
		t.Errorf("the supervisor did not print %q", failed)
	}
}

func TestKilledProcessIsRestarted(t *testing.T) {
	dir, out := t.TempDir(), &log{}
	s := open(t, filepath.Join(dir, "data"), out)
	file := filepath.Join(dir, "addr")
	p := process("app", "server", file)
	p.Ready = listening(file)
	if err := s.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pidsOf(t, filepath.Join(dir, "data"))["app"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the app is back", func() bool {
		return slices.ContainsFunc(out.lines("sup"), func(l string) bool { return strings.HasPrefix(l, "app is back after ") })
	})
}

// TestChildrenSurviveTheEndOfThreads ends threads of this program while children
// run. The kernel sends the parent-death signal when the thread that started a child
// ends, so no child may have been started by such a thread.
func TestChildrenSurviveTheEndOfThreads(t *testing.T) {
	dir, out := t.TempDir(), &log{}
	s := open(t, dir, out)
	p := process("app", "stubborn")
	p.StopWithin = 10 * time.Millisecond
	var wait sync.WaitGroup
	for n := range 20 {
		p.Name = fmt.Sprintf("app%d", n)
		if err := s.Start(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			wait.Go(runtime.LockOSThread) // ends its thread
		}
	}
	wait.Wait()
	pids := pidsOf(t, dir)
	s.Stop() // takes long enough for parent-death signals to arrive
	if restarts := out.lines("sup"); len(restarts) > 0 || len(pids) != 20 {
		t.Errorf("%d of 20 processes run, and the supervisor printed %q", len(pids), restarts)
	}
}

func TestFailedFirstStartReturnsTheReason(t *testing.T) {
	tests := map[string]struct {
		change func(*supervise.Process)
		want   []string
	}{
		"it ends": {
			change: func(p *supervise.Process) { p.Env = append(p.Env, roleVar+"=crash") },
			want:   []string{"app ended before it was ready: exit status 3", "last words", "look there"},
		},
		"it is never ready": {
			change: func(p *supervise.Process) { p.ReadyWithin = 30 * time.Millisecond },
			want:   []string{"app was not ready within 30ms", "not yet", "look there"},
		},
		"its program does not exist": {
			change: func(p *supervise.Process) { p.Path = "/nonexistent/app" },
			want:   []string{"start app", "no such file", "look there"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, filepath.Join(dir, "data"), &log{})
			p := process("app", "server", filepath.Join(dir, "addr"))
			p.Ready = func(context.Context) error { return errors.New("not yet") }
			p.Hint = "look there"
			tt.change(&p)
			err := s.Start(t.Context(), p)
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got error %q, want %q in it", err, want)
				}
			}
			if pids := pidsOf(t, filepath.Join(dir, "data")); len(pids) > 0 {
				t.Errorf("processes %v are still running", pids)
			}
		})
	}
}

func TestStartReturnsWhenItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := open(t, t.TempDir(), &log{})
	p := process("app", "stubborn")
	p.StopWithin = 10 * time.Millisecond
	p.Ready = func(context.Context) error {
		cancel()
		return errors.New("not yet")
	}
	if err := s.Start(ctx, p); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}

func TestStopKillsAProcessThatIgnoresTheSignal(t *testing.T) {
	for _, suspended := range []bool{false, true} {
		t.Run(fmt.Sprintf("suspended=%t", suspended), func(t *testing.T) {
			dir, out := t.TempDir(), &log{}
			s := open(t, dir, out)
			p := process("app", "stubborn")
			p.StopWithin = 100 * time.Millisecond
			if err := s.Start(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the app has printed that it serves", func() bool { return len(out.lines("app")) > 0 })
			pid := pidsOf(t, dir)["app"]
			if suspended {
				if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			}
			s.Stop()
			if alive(pid) {
				t.Error("the process is alive after Stop")
			}
			if got := out.lines("app"); !slices.Contains(got, "not ending") {
				t.Errorf("the process printed %q, want a line for the signal", got)
			}
		})
	}
}

func TestDescendantsEndWithTheirProcess(t *testing.T) {
	out := &log{}
	s := open(t, t.TempDir(), out)
	if err := s.Start(t.Context(), process("family", "parent")); err != nil {
		t.Fatal(err)
	}
	child := childOf(t, out)
	s.Stop()
	eventually(t, "the child has ended", func() bool { return !alive(child) })
}

// TestKilledSupervisorLeavesNoProcess kills a supervisor whose process has a child.
// The kernel must kill the process, and the next call of Open must kill the child.
func TestKilledSupervisorLeavesNoProcess(t *testing.T) {
	dir, out := t.TempDir(), &log{}
	outer := open(t, t.TempDir(), out)
	p := process("inner", "supervisor", dir)
	p.BeforeRestart = func(ctx context.Context) error { // a second inner supervisor would kill the child
		<-ctx.Done()
		return ctx.Err()
	}
	if err := outer.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the inner supervisor has started its process", func() bool {
		return strings.Contains(out.String(), "supervising") && strings.Contains(out.String(), "child ")
	})
	family := pidsOf(t, dir)["family"]
	child := childOf(t, out)
	inner := lockHolder(t, dir)

	if _, err := supervise.Open(supervise.Config{Dir: dir}); !errors.Is(err, supervise.ErrRunning) {
		t.Errorf("a second supervisor: got error %v, want %v", err, supervise.ErrRunning)
	}
	if err := syscall.Kill(inner, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the kernel has killed the process", func() bool { return !alive(family) })
	if !alive(child) {
		t.Fatal("the child has ended before the next Open, so this test checks nothing")
	}

	s, err := supervise.Open(supervise.Config{Name: "next", Dir: dir, Out: out})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if alive(child) {
		t.Error("the child is alive after the next Open")
	}
}
