// Package supervise runs a set of processes as one thing: it starts them in
// order, waits until each is truly ready, prefixes what they print, starts
// again what crashes, and stops all of them in reverse.
//
// Nothing that it started outlives it. Every child has a process group of its
// own, so a Ctrl-C in the terminal reaches the supervisor alone, which then
// stops the others in order. On Linux the kernel kills the children when the
// supervisor dies. And the directory keeps a list of what runs, by which the
// next Open ends whatever a killed supervisor left behind.
//
// The package knows nothing of what the processes are.
package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	defaultReadyWithin = time.Minute
	defaultStopWithin  = 5 * time.Second

	// stopAllWithin is what Stop may take, killing included.
	stopAllWithin = 9 * time.Second
	// stopReserve is what each later stage keeps of that time, so that one
	// stage that hangs cannot cost the next its chance to stop in order.
	stopReserve = 500 * time.Millisecond
)

// Process says how to run one process and how to know that it is ready.
type Process struct {
	// Name stands before its output and in errors, and is unique.
	Name string
	Path string
	Args []string
	// Env is added to the supervisor's own environment and wins over it.
	Env []string
	// Dir is the working directory; empty means the supervisor's.
	Dir string

	// BeforeRestart runs ahead of every start but the first. Its error is
	// logged and does not hold up the restart.
	BeforeRestart func(context.Context) error
	// AfterRestart runs whenever the process is ready again after an end. What
	// fails is logged and tried again until the process ends.
	AfterRestart func(context.Context) error
	// LeaveStatus is the exit status by which the process asks to be started
	// again, which is no failure; zero means that none does.
	LeaveStatus int
	// Ready tells whether the process serves; nil means as soon as it runs.
	Ready Probe
	// ReadyWithin bounds the time from the start until Ready; zero means a minute.
	ReadyWithin time.Duration
	// StopSignal asks it to end; zero means SIGTERM.
	StopSignal Signal
	// StopWithin is the time from that signal until it is killed; zero means
	// five seconds. Stop may have to shorten it.
	StopWithin time.Duration
	// Hint ends the error of a first start that failed: what to look at.
	Hint string
	// Output receives the lines that the process prints, in addition to its log
	// file. They are not shown on the terminal then.
	Output io.Writer
	// Nice is added to the niceness of the process: it gets less of a busy
	// processor than others.
	Nice int
}

// Backoff says when a process that ended is started again: after Min at first,
// then after twice as long each time, up to Max. One that ran for Stable, or asked
// for it, starts from Min again.
type Backoff struct {
	Min, Max, Stable time.Duration
}

// Config is what a Supervisor is made from.
type Config struct {
	// Name stands before the supervisor's own lines.
	Name string
	// Dir keeps the files "lock" and "pids", and the directory "log" with the
	// output of each process. It is created if it is missing, for the owner only.
	Dir string
	// Out receives the supervisor's own lines. When a process ends unexpectedly,
	// the last lines of its log follow.
	Out io.Writer
	// Verbose makes Out receive every line of every process, with the name of
	// the process in front.
	Verbose bool
	// LogLimit is the size in bytes that a log file does not exceed; zero means
	// 8 MiB.
	LogLimit int64
	// Backoff has a default in each field that is zero.
	Backoff Backoff
}

// Supervisor runs processes in stages. Start, Stop and Close are called from
// one goroutine; Run and Logf from any.
type Supervisor struct {
	name     string
	verbose  bool
	terminal *terminal
	logs     *logDir
	spawner  *spawner
	pids     *pidFile
	lock     *os.File
	backoff  Backoff

	stages [][]*child
}

// Open takes the directory for this process and ends what an earlier
// supervisor left running there. The error is ErrRunning when another
// supervisor has the directory.
func Open(cfg Config) (*Supervisor, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", cfg.Dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%s cannot be the data directory (%w): move it away or name another", dir, err)
	}
	// One name for it, however it was spelled: the children are known by it.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, fmt.Errorf("open %s: %w", cfg.Dir, err)
	}
	lock, err := takeLock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	s := &Supervisor{
		name:     cfg.Name,
		verbose:  cfg.Verbose,
		terminal: newTerminal(cfg.Out),
		lock:     lock,
		backoff:  cfg.Backoff.withDefaults(),
	}
	s.pids, err = openPidFile(filepath.Join(dir, "pids"))
	if err == nil {
		err = s.reap(dir)
	}
	if err == nil {
		s.logs, err = openLogDir(filepath.Join(dir, "log"), cmp.Or(cfg.LogLimit, defaultLogLimit))
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s.spawner = newSpawner(marker(dir))
	return s, nil
}

// Logf prints one line of the supervisor's own.
func (s *Supervisor) Logf(format string, args ...any) {
	s.terminal.print(s.name, fmt.Sprintf(format, args...))
}

// Print prints text as it is, in one piece.
func (s *Supervisor) Print(text string) {
	s.terminal.printRaw(text)
}

// Start starts the processes of one stage side by side and returns when all
// are ready. It returns the first failure at once, or ctx's error; what has
// been started runs on until Stop.
func (s *Supervisor) Start(ctx context.Context, stage ...Process) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	children := make([]*child, len(stage))
	for i, p := range stage {
		children[i] = newChild(p, s)
	}
	s.stages = append(s.stages, children)
	for _, c := range children {
		go c.run()
	}
	first := make(chan error, len(children))
	for _, c := range children {
		go func() { first <- c.awaitFirst(ctx) }()
	}
	for range children {
		if err := <-first; err != nil {
			return err
		}
	}
	return nil
}

// Run runs a process that ends by itself and returns when it has. The error
// tells its exit status and the last line that it printed. When ctx ends first
// the process is stopped, and the error is ctx's.
func (s *Supervisor) Run(ctx context.Context, p Process) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	proc, err := s.spawn(p)
	if err != nil {
		return err
	}
	select {
	case <-proc.done:
		if proc.err != nil {
			return fmt.Errorf("%s: %w (log: %s)", p.Name, proc.failure(), proc.out.log.shown())
		}
		return nil
	case <-ctx.Done():
		proc.stop(p.StopSignal, time.Now().Add(p.stopWithin()))
		return ctx.Err()
	}
}

// Stop ends all processes, the last stage first, within ten seconds: each is
// asked to end and killed when it does not.
func (s *Supervisor) Stop() {
	stages := s.stages
	s.stages = nil
	deadline := time.Now().Add(stopAllWithin)
	for i := len(stages) - 1; i >= 0; i-- {
		latest := deadline.Add(-time.Duration(i) * stopReserve)
		for _, c := range stages[i] {
			by := time.Now().Add(c.Process.stopWithin())
			if by.After(latest) {
				by = latest
			}
			c.stop(by)
		}
		for _, c := range stages[i] {
			<-c.done
		}
	}
}

// Close stops what runs and gives the directory free.
func (s *Supervisor) Close() error {
	s.Stop()
	s.spawner.close()
	s.logs.close()
	return errors.Join(s.pids.remove(), s.lock.Close())
}

// spawn starts one process and records it for as long as it runs.
func (s *Supervisor) spawn(p Process) (*process, error) {
	log, err := s.logs.file(p.Name)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	proc, err := s.spawner.start(p, s.output(p, log), s.pids.drop)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	if err := s.pids.add(proc.pid, p.Name); err != nil {
		proc.stop(p.StopSignal, time.Now())
		return nil, err
	}
	return proc, nil
}

// output returns what receives the output of p.
func (s *Supervisor) output(p Process, log *logFile) *output {
	emit := func(string) {}
	switch {
	case p.Output != nil:
		emit = func(line string) { fmt.Fprintln(p.Output, line) }
	case s.verbose:
		emit = func(line string) { s.terminal.print(p.Name, line) }
	}
	var once sync.Once
	fail := func(err error) {
		once.Do(func() { s.Logf("the output of %s is lost: %v", p.Name, err) })
	}
	return &output{log: log, emit: emit, fail: fail}
}

// logEnd prints that a process ended or failed. Without Verbose its last lines
// follow if quote is true.
func (s *Supervisor) logEnd(p *process, name, line string, quote bool) {
	switch {
	case s.verbose:
		s.Logf("%s", line)
	case quote:
		s.terminal.printQuote(s.name, line+"; its log, "+p.out.log.shown()+", ends with:", name, p.out.lastLines())
	default:
		s.Logf("%s (log: %s)", line, p.out.log.shown())
	}
}

func (p Process) stopWithin() time.Duration {
	if p.StopWithin > 0 {
		return p.StopWithin
	}
	return defaultStopWithin
}

func (p Process) readyWithin() time.Duration {
	if p.ReadyWithin > 0 {
		return p.ReadyWithin
	}
	return defaultReadyWithin
}

func (b Backoff) withDefaults() Backoff {
	if b.Min <= 0 {
		b.Min = 200 * time.Millisecond
	}
	if b.Max <= 0 {
		b.Max = 5 * time.Second
	}
	if b.Stable <= 0 {
		b.Stable = 10 * time.Second
	}
	return b
}
