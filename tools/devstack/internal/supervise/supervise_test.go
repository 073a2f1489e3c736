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

// listening is a probe for the server role: it is ready when it has told where
// it listens and does.
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
			eventually(t, name+" serves", func() bool { return slices.Equal(out.lines(name), []string{"serving"}) })
		}
		names = append(names, name)
	}
	pids := pidsOf(t, filepath.Join(dir, "data"))
	s.Stop()
	var ended []string
	for line := range strings.Lines(out.String()) {
		if who, what, _ := strings.Cut(line, " | "); strings.TrimSpace(what) == "ending" {
			ended = append(ended, strings.TrimSpace(who))
		}
	}
	slices.Reverse(names)
	if !slices.Equal(ended, names) {
		t.Errorf("ended in the order %v, want %v", ended, names)
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("pid %d is alive after Stop", pid)
		}
	}
}

func TestCrashIsRestartedWithBackoff(t *testing.T) {
	out := &log{}
	s := open(t, t.TempDir(), out)
	prepared := make(chan struct{}, 100)
	p := process("app", "crash")
	p.BeforeRestart = func(context.Context) error {
		prepared <- struct{}{}
		return errors.New("nothing to prepare")
	}
	if err := s.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	awaitDelays(t, out, "2ms", "4ms", "8ms", "10ms", "10ms")
	s.Stop()
	if got, want := len(prepared), len(out.lines("app"))-1; got < want {
		t.Errorf("prepared %d times for %d restarts", got, want)
	}
}

func TestOneThatLeavesIsRestartedWithoutBackoff(t *testing.T) {
	out := &log{}
	s := open(t, t.TempDir(), out)
	p := process("app", "crash")
	p.RestartStatus = 3
	if err := s.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	awaitDelays(t, out, "2ms", "2ms", "2ms")
}

// awaitDelays waits for restarts of the crash role and compares the delays ahead
// of them.
func awaitDelays(t *testing.T, out *log, want ...string) {
	t.Helper()
	delays := func() []string {
		var all []string
		for _, line := range out.lines("sup") {
			if said, delay, ok := strings.Cut(line, "; starting it again in "); ok {
				if !strings.Contains(said, "exit status 3") {
					t.Errorf("%q does not tell the exit status", said)
				}
				all = append(all, delay)
			}
		}
		return all
	}
	eventually(t, fmt.Sprintf("%d restarts", len(want)), func() bool { return len(delays()) >= len(want) })
	if got := delays()[:len(want)]; !slices.Equal(got, want) {
		t.Errorf("delays %v, want %v", got, want)
	}
}

// TestAfterRestart has what comes after a restart fail once, and kills the
// process a second time while it is under way.
func TestAfterRestart(t *testing.T) {
	dir, out := t.TempDir(), &log{}
	s := open(t, filepath.Join(dir, "data"), out)
	file := filepath.Join(dir, "addr")
	calls := make(chan context.Context)
	answers := make(chan error)
	p := process("app", "server", file)
	p.Ready = listening(file)
	p.AfterRestart = func(ctx context.Context) error {
		if err := p.Ready(ctx); err != nil {
			t.Errorf("called before the process was ready: %v", err)
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
			t.Fatalf("not within %s: %s", deadline, what)
			return nil
		}
	}
	if err := os.Remove(file); err != nil { // the first one's address
		t.Fatal(err)
	}
	kill()
	next("it is called after a restart")
	answers <- errors.New("not yet")
	under := next("it is called again after a failure")
	kill()
	select {
	case <-under.Done():
	case <-time.After(deadline):
		t.Fatal("the end of the process does not end it")
	}
	answers <- under.Err()
	next("it is called after the next restart")
	answers <- nil
	if failed := "after the restart of app: not yet; trying again in 2ms"; !slices.Contains(out.lines("sup"), failed) {
		t.Errorf("no line says %q", failed)
	}
}

func TestKilledProcessComesBack(t *testing.T) {
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

// TestChildrenOutliveThreads has threads of this program end while a child
// runs: the kernel takes the end of the one that started it for its parent's.
func TestChildrenOutliveThreads(t *testing.T) {
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
	s.Stop() // after whatever the threads' ends have done
	if restarts := out.lines("sup"); len(restarts) > 0 || len(pids) != 20 {
		t.Errorf("%d of 20 run, and the supervisor says %q", len(pids), restarts)
	}
}

func TestFirstStartThatFails(t *testing.T) {
	tests := map[string]struct {
		change func(*supervise.Process)
		want   []string
	}{
		"ends": {
			change: func(p *supervise.Process) { p.Env = append(p.Env, roleVar+"=crash") },
			want:   []string{"app ended before it was ready: exit status 3", "last words", "look there"},
		},
		"is never ready": {
			change: func(p *supervise.Process) { p.ReadyWithin = 30 * time.Millisecond },
			want:   []string{"app was not ready within 30ms", "not yet", "look there"},
		},
		"has no program": {
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
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
			if pids := pidsOf(t, filepath.Join(dir, "data")); len(pids) > 0 {
				t.Errorf("left running: %v", pids)
			}
		})
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := open(t, t.TempDir(), &log{})
	p := process("app", "stubborn")
	p.StopWithin = 10 * time.Millisecond
	p.Ready = func(context.Context) error {
		cancel()
		return errors.New("not yet")
	}
	if err := s.Start(ctx, p); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	for _, frozen := range []bool{false, true} {
		t.Run(fmt.Sprintf("frozen=%t", frozen), func(t *testing.T) {
			dir, out := t.TempDir(), &log{}
			s := open(t, dir, out)
			p := process("app", "stubborn")
			p.StopWithin = 100 * time.Millisecond
			if err := s.Start(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the app serves", func() bool { return len(out.lines("app")) > 0 })
			pid := pidsOf(t, dir)["app"]
			if frozen {
				if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			}
			s.Stop()
			if alive(pid) {
				t.Error("it is alive after Stop")
			}
			if got := out.lines("app"); !slices.Contains(got, "not ending") {
				t.Errorf("it printed %q: it was not asked to end", got)
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
	eventually(t, "the child is gone", func() bool { return !alive(child) })
}

// TestKilledSupervisorLeavesNothing kills a supervisor whose process has a
// child of its own: the kernel ends the process, the next Open its child.
func TestKilledSupervisorLeavesNothing(t *testing.T) {
	dir, out := t.TempDir(), &log{}
	outer := open(t, t.TempDir(), out)
	p := process("inner", "supervisor", dir)
	p.BeforeRestart = func(ctx context.Context) error { // a second one would end the child, too
		<-ctx.Done()
		return ctx.Err()
	}
	if err := outer.Start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the inner supervisor has started all", func() bool {
		return strings.Contains(out.String(), "supervising") && strings.Contains(out.String(), "child ")
	})
	family := pidsOf(t, dir)["family"]
	child := childOf(t, out)
	inner := lockHolder(t, dir)

	if _, err := supervise.Open(supervise.Config{Dir: dir}); !errors.Is(err, supervise.ErrRunning) {
		t.Errorf("a second supervisor got %v, want %v", err, supervise.ErrRunning)
	}
	if err := syscall.Kill(inner, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the kernel ended the process", func() bool { return !alive(family) })
	if !alive(child) {
		t.Fatal("the child of the process is gone already, so this test shows nothing")
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
