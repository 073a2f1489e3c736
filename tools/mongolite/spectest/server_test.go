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

// server is the mongolite server under test.
type server struct {
	uri      string
	external bool // MONGOLITE_URI names it; this package did not start it
}

// startServer returns the server that MONGOLITE_URI names. If the variable is
// empty, startServer builds a server and starts it on a free port with an empty
// data directory; t then runs in parallel with other tests. The server is stopped
// when t ends. t fails if the server does not exit cleanly, or if it reports a
// panic or a data race.
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
		t.Fatalf("mongolite exited before it was ready: %v\n%s", err, log)
	case <-time.After(readyWithin):
		t.Fatalf("mongolite was not ready within %s\n%s", readyWithin, log)
	}
	panic("unreachable")
}

// stopServer sends SIGTERM, waits for the exit and checks it.
func stopServer(t *testing.T, cmd *exec.Cmd, exited chan error, log *serverLog) {
	// Signal fails only if the process has exited, which exited reports.
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
		t.Logf("last output of mongolite:\n%s", log)
	}
}

// serverLog keeps the last lines of the server's output and finds the server's URI
// in it.
type serverLog struct {
	uri  chan string
	done chan struct{}

	mu    sync.Mutex
	lines []string
}

// logLines is the number of lines that serverLog keeps. It suffices for a race
// report or a panic.
const logLines = 400

// uriPattern matches the URI that the server prints. The URI must name the replica
// set. Otherwise a driver learns the topology only from the server's first reply.
// A runner that reads the topology earlier gets "unknown".
var uriPattern = regexp.MustCompile(`mongodb://127\.0\.0\.1:[1-9][0-9]*/\?replicaSet=\S+`)

// read reads the server's output until its end. It sends the URI to l.uri and
// closes l.done at the end.
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

// goCommand returns a go command that is killed when t ends.
func goCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), "go", args...)
}

// buildArgs returns the arguments of a go subcommand that compiles. It adds -race
// if this test binary was built with it.
func buildArgs(subcommand ...string) []string {
	if raceEnabled {
		return append(subcommand, "-race")
	}
	return subcommand
}

// run runs cmd and returns its standard output. It fails t if cmd fails.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.Output()
	if err != nil {
		var stderr string
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			stderr = string(exit.Stderr)
		}
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, stderr)
	}
	return string(out)
}
