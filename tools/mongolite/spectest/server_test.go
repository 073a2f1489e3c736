package spectest_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyWithin = 30 * time.Second
	stopWithin  = 20 * time.Second
)

// server is the mongolite that the tests talk to.
type server struct {
	uri      string
	external bool // somebody else's, named by MONGOLITE_URI
}

// startServer returns the server that MONGOLITE_URI names, else builds one and
// starts it on a free port with an empty data directory. It is stopped when t
// ends; t fails if it left in disorder or reported a panic or a data race. With a
// server of its own t runs beside the others.
func startServer(t *testing.T) server {
	t.Helper()
	if uri := os.Getenv("MONGOLITE_URI"); uri != "" {
		return server{uri: uri, external: true}
	}
	t.Parallel()

	binary := filepath.Join(t.TempDir(), "mongolite")
	build := goCommand(t, append(buildArgs("build"), "-o", binary, ".")...)
	build.Dir = ".."
	run(t, build)

	cmd := exec.Command(binary, "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--test-commands")
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatalf("start mongolite: %v", err)
	}
	exited := make(chan error, 1)
	go func() {
		exited <- cmd.Wait()
		in.Close()
	}()
	log := &serverLog{uri: make(chan string, 1), done: make(chan struct{})}
	go log.read(out)
	t.Cleanup(func() { stopServer(t, cmd, exited, log) })

	select {
	case uri := <-log.uri:
		return server{uri: uri}
	case err := <-exited:
		exited <- err
		<-log.done
		t.Fatalf("mongolite ended before it was ready: %v\n%s", err, log)
	case <-time.After(readyWithin):
		t.Fatalf("mongolite was not ready within %s\n%s", readyWithin, log)
	}
	panic("unreachable")
}

func stopServer(t *testing.T, cmd *exec.Cmd, exited chan error, log *serverLog) {
	// The error is that of a process that has ended, which exited reports.
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-exited:
		if err != nil {
			t.Errorf("mongolite: %v", err)
		}
	case <-time.After(stopWithin):
		t.Errorf("mongolite did not stop within %s", stopWithin)
		_ = cmd.Process.Kill()
		<-exited
	}
	<-log.done
	for _, sign := range []string{"panic", "DATA RACE", "fatal error"} {
		if strings.Contains(log.String(), sign) {
			t.Errorf("mongolite reported a %s", sign)
		}
	}
	if t.Failed() {
		t.Logf("mongolite said last:\n%s", log)
	}
}

// serverLog keeps the end of what the server said and finds its URI in it.
type serverLog struct {
	uri  chan string
	done chan struct{}

	mu    sync.Mutex
	lines []string
}

// logLines is how much of the log is kept, enough for a race report or a panic.
const logLines = 400

// The address names the replica set: with it a driver knows at once what it
// talks to, and the runners take the server for one of unknown kind if they
// look before it has answered.
var uriPattern = regexp.MustCompile(`mongodb://127\.0\.0\.1:[1-9][0-9]*/\?replicaSet=\S+`)

func (l *serverLog) read(r io.Reader) {
	defer close(l.done)
	found := false
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		l.mu.Lock()
		l.lines = append(l.lines, line)
		if len(l.lines) > logLines {
			l.lines = l.lines[1:]
		}
		l.mu.Unlock()
		if uri := uriPattern.FindString(line); uri != "" && !found {
			found = true
			l.uri <- uri
		}
		if err != nil {
			return
		}
	}
}

func (l *serverLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "")
}

// goCommand returns the go command that runs these tests, with args.
func goCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), "go", args...)
}

// buildArgs returns the arguments of a go subcommand that compiles, with the
// race detector when these tests have it.
func buildArgs(subcommand ...string) []string {
	if raceEnabled {
		return append(subcommand, "-race")
	}
	return subcommand
}

// run runs cmd and returns what it printed on its standard output.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.Output()
	if err != nil {
		var said string
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			said = string(exit.Stderr)
		}
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, said)
	}
	return string(out)
}
