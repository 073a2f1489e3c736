// Package supervise runs a set of processes: it starts them in stages, waits
// until each is ready, keeps their output in log files, restarts those that end,
// and stops all of them in reverse order.
//
// Processes end with their supervisor, as far as the system allows. Three mechanisms
// ensure this:
//
//   - Each child has its own process group. Ctrl-C in a terminal therefore reaches
//     only the supervisor, which stops the children in order.
//   - On Linux, the kernel kills the children when the supervisor dies (the
//     parent-death signal of prctl(2)).
//   - The supervisor's directory lists the running processes. The next Open on
//     the directory kills those that a killed supervisor left running, and, on Linux,
//     their descendants, which it recognises by a variable in their environment.
//
// The package does not depend on what the processes do.
package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	defaultReadyWithin = time.Minute
	defaultStopWithin  = 5 * time.Second

	// stopAllWithin is the time after which Stop kills what is still running.
	stopAllWithin = 9 * time.Second
	// stopReserve is the part of that time that Stop reserves for each stage, so
	// that a stage that hangs does not leave the next ones without time to stop.
	stopReserve = 500 * time.Millisecond
)

// Process describes how to run a process and when it is ready.
type Process struct {
	// Name identifies the process in messages and names its log file. It is unique
	// among the processes of the stages.
	Name string
	// Path is the program.
	Path string
	// Args are the arguments without the program's name.
	Args []string
	// Env is added to Config.Env and overrides it.
	Env []string
	// Dir is the working directory; empty means the supervisor's.
	Dir string

	// BeforeRestart runs before every start except the first. Its error is logged
	// and does not prevent the restart.
	BeforeRestart func(context.Context) error
	// AfterRestart runs each time the process is ready after a restart. If it
	// fails, the error is logged and the call is repeated, until it succeeds or the
	// process ends.
	AfterRestart func(context.Context) error
	// RestartStatus is the exit status with which the process asks for a restart.
	// Such an end does not count as a failure. Zero means that there is none.
	RestartStatus int
	// Ready reports whether the process is ready; nil means as soon as it runs.
	Ready Probe
	// ReadyWithin limits the time from the start until Ready; zero means a minute.
	ReadyWithin time.Duration
	// StopSignal asks the process to end; zero means SIGTERM.
	StopSignal Signal
	// StopWithin is the time after StopSignal at which the process is killed; zero
	// means five seconds. Stop may shorten it.
	StopWithin time.Duration
	// Hint is appended to the error of a first start that failed.
	Hint string
	// Output receives the lines that the process prints, in addition to its log
	// file. The terminal does not show them then.
	Output io.Writer
	// Nice is the niceness of the process, which decides its share of a busy
	// processor; see nice(1).
	Nice int
}

// Backoff says when a process that ended is started again: after Min at first,
// then after twice as long each time, up to Max. The delay starts from Min again
// after a process that ran for Stable or ended with its RestartStatus.
type Backoff struct {
	Min, Max, Stable time.Duration
}

// Config configures a Supervisor.
type Config struct {
	// Name is in front of the supervisor's own lines.
	Name string
	// Dir contains the files "lock" and "pids", and the directory "log" with the
	// output of each process. If it is missing, it is created with mode 0700.
	Dir string
	// Out receives the supervisor's own lines. When a process ends unexpectedly,
	// the last lines of its log follow.
	Out io.Writer
	// Verbose makes Out receive every line of every process that has no Output,
	// with the name of the process in front.
	Verbose bool
	// Env is the environment of all processes, to which Process.Env is added. Nil means
	// that of the supervisor.
	Env []string
	// LogLimit is the size in bytes that a log file does not exceed; zero means
	// 8 MiB.
	LogLimit int64
	// Backoff has a default for each field that is zero: 200 ms, 5 s and 10 s.
	Backoff Backoff
}

// Supervisor runs processes in stages. Start, Stop and Close must be called from
// one goroutine. Run, Logf and Print may be called from any.
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

// Open locks the directory and kills what an earlier supervisor left running
// there. It returns ErrRunning if another supervisor has locked the directory.
func Open(cfg Config) (*Supervisor, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", cfg.Dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%s cannot be the data directory (%w): move it away or name another", dir, err)
	}
	// Children are recognised by this path, so it must be the same each time.
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
		err = s.killLeftovers(dir)
	}
	if err == nil {
		s.logs, err = openLogDir(filepath.Join(dir, "log"), cmp.Or(cfg.LogLimit, defaultLogLimit))
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	env := cfg.Env
	if env == nil {
		env = os.Environ()
	}
	s.spawner = newSpawner(append(slices.Clone(env), marker(dir))...)
	return s, nil
}

// Logf prints one line under the supervisor's name.
func (s *Supervisor) Logf(format string, args ...any) {
	s.terminal.printLine(s.name, fmt.Sprintf(format, args...))
}

// Print prints text as it is, in one piece.
func (s *Supervisor) Print(text string) {
	s.terminal.printRaw(text)
}

// Start starts the processes of one stage at the same time and returns when all
// are ready. It returns at the first failure, or when ctx ends. Processes that
// have been started run on until Stop.
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
		go c.run() //nolint:contextcheck // a child runs until Stop
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

// Run runs a process that ends on its own and waits for it. The error contains
// its exit status and the last line that it printed. If ctx ends first, Run stops
// the process and returns ctx.Err().
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

// Stop stops all processes within ten seconds, the last stage first. It asks each
// to end, and kills it if it does not.
func (s *Supervisor) Stop() {
	stages := s.stages
	s.stages = nil
	deadline := time.Now().Add(stopAllWithin)
	for i := len(stages) - 1; i >= 0; i-- {
		latest := deadline.Add(-time.Duration(i) * stopReserve)
		for _, c := range stages[i] {
			by := time.Now().Add(c.stopWithin())
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

// Close stops all processes and unlocks the directory. No Run may be under way.
func (s *Supervisor) Close() error {
	s.Stop()
	s.spawner.close()
	s.logs.close()
	return errors.Join(s.pids.remove(), s.lock.Close())
}

// spawn starts one process and lists it in the pid file while it runs.
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

// output returns the writer that receives what p prints.
func (s *Supervisor) output(p Process, log *logFile) *output {
	emit := func(string) {}
	switch {
	case p.Output != nil:
		emit = func(line string) { _, _ = fmt.Fprintln(p.Output, line) }
	case s.verbose:
		emit = func(line string) { s.terminal.printLine(p.Name, line) }
	}
	var once sync.Once
	fail := func(err error) {
		once.Do(func() { s.Logf("cannot write the log of %s: %v", p.Name, err) })
	}
	return &output{log: log, emit: emit, fail: fail}
}

// logEnd prints a line about a process that ended or failed. In verbose mode that is
// all, because the terminal has shown the output already. Otherwise the line has the
// path of the log, and the end of the log follows if quote is true.
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

func (p Process) stopWithin() time.Duration { return cmp.Or(p.StopWithin, defaultStopWithin) }

func (p Process) readyWithin() time.Duration { return cmp.Or(p.ReadyWithin, defaultReadyWithin) }

func (b Backoff) withDefaults() Backoff {
	return Backoff{
		Min:    cmp.Or(b.Min, 200*time.Millisecond),
		Max:    cmp.Or(b.Max, 5*time.Second),
		Stable: cmp.Or(b.Stable, 10*time.Second),
	}
}
