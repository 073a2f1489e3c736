//go:build linux

package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"boxoffice/tools/devstack/internal/ports"
)

// deadline is how long a test waits for what must happen; a cold build of the
// embedded MongoDB may be a part of it.
const deadline = 4 * time.Minute

// stopWithin is what a stop may take, by the promise of the command.
const stopWithin = 10 * time.Second

// devstack is the program under test, and builds the directory in which all
// trees of this run have their programs built.
var devstack, builds string //nolint:gochecknoglobals // set once, before the tests

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "devstack-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	devstack, builds = filepath.Join(dir, "devstack"), filepath.Join(dir, "bin")
	build := exec.Command("go", "build", "-o", devstack, ".")
	build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build devstack: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// tree is a small one of the shape that devstack expects, with a stand-in for
// the sidecar and the real embedded MongoDB.
type tree struct {
	root, data string
	env        []string
}

func newTree(t *testing.T) *tree {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS("testdata/tree")); err != nil {
		t.Fatal(err)
	}
	mongolite, err := filepath.Abs("../mongolite")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.Symlink(mongolite, filepath.Join(root, "tools", "mongolite")),
		os.MkdirAll(builds, 0o755),
		os.Symlink(builds, filepath.Join(root, "bin")),
	); err != nil {
		t.Fatal(err)
	}
	return &tree{root: root, data: filepath.Join(root, "data"), env: []string{
		"JAEGER=off", "MONGO_URI=", "REDIS_ADDR=", "NATS_URL=", "MONGOD=", "DAPRD=", "DATA_DIR=", "GATEWAY_PORT=",
		"OTEL_EXPORTER_OTLP_ENDPOINT=", "ADMIN_EMAIL=", "ADMIN_PASSWORD=",
	}}
}

// run is one run of devstack.
type run struct {
	*tree
	cmd    *exec.Cmd
	out    output
	ended  chan struct{}
	status int
}

// start starts devstack; the test ends it, or its cleanup does.
func (tr *tree) start(t *testing.T, command string, args ...string) *run {
	t.Helper()
	r := &run{tree: tr, ended: make(chan struct{})}
	r.cmd = exec.Command(devstack, append([]string{command, "--root", tr.root, "--data", tr.data}, args...)...)
	r.cmd.Env = append(os.Environ(), tr.env...)
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		_ = r.cmd.Wait()
		r.status = r.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		<-r.ended
		if t.Failed() {
			t.Logf("devstack printed:\n%s", r.out.String())
		}
		if left := tr.processes(t); len(left) > 0 {
			t.Errorf("left running: %v", left)
		}
	})
	return r
}

// up starts all on free ports and waits until it is ready.
func (tr *tree) up(t *testing.T, args ...string) *run {
	t.Helper()
	r := tr.start(t, "up", append([]string{"--free-ports"}, args...)...)
	r.awaitReady(t)
	return r
}

func (r *run) awaitReady(t *testing.T) {
	t.Helper()
	r.awaitOutput(t, "\nready in ")
}

func (r *run) awaitOutput(t *testing.T, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("devstack prints %q", text), func() bool {
		select {
		case <-r.ended:
			t.Fatalf("devstack ended with status %d", r.status)
		default:
		}
		return strings.Contains(r.out.String(), text)
	})
}

// stop asks devstack to end and waits until it has.
func (r *run) stop(t *testing.T) {
	t.Helper()
	began := time.Now()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.ended:
	case <-time.After(2 * stopWithin):
		t.Fatal("devstack does not end")
	}
	if took := time.Since(began); took > stopWithin {
		t.Errorf("the stop took %s, want at most %s", took, stopWithin)
	}
	if r.status != 0 {
		t.Errorf("exit status %d, want 0", r.status)
	}
}

// kill ends devstack without giving it a chance.
func (r *run) kill(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-r.ended
}

// awaitEnd waits until devstack has ended by itself, with a status.
func (r *run) awaitEnd(t *testing.T, status int) {
	t.Helper()
	select {
	case <-r.ended:
	case <-time.After(deadline):
		t.Fatal("devstack does not end")
	}
	if r.status != status {
		t.Errorf("exit status %d, want %d", r.status, status)
	}
}

// refusal waits until devstack has ended with status 1 and returns the line
// that says why.
func (r *run) refusal(t *testing.T) string {
	t.Helper()
	r.awaitEnd(t, 1)
	var said []string
	for line := range strings.Lines(r.out.String()) {
		if strings.HasPrefix(line, "devstack: ") {
			said = append(said, strings.TrimSpace(line))
		}
	}
	if len(said) != 1 {
		t.Fatalf("it says why in %d lines, want 1: %q", len(said), said)
	}
	return said[0]
}

// stack is what stack.json tells.
type stack struct {
	Gateway   []string
	Jaeger    string
	Env       map[string]string
	Instances []struct {
		Name, App                                     string
		Port, DaprHTTPPort, DaprGRPCPort, MetricsPort int
	}
}

func (tr *tree) stack(t *testing.T) stack {
	t.Helper()
	var s stack
	if err := json.Unmarshal([]byte(read(t, filepath.Join(tr.data, "stack.json"))), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func (tr *tree) secrets(t *testing.T) map[string]string {
	t.Helper()
	secrets := map[string]string{}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(tr.data, "secrets.json"))), &secrets); err != nil {
		t.Fatal(err)
	}
	return secrets
}

// pids are the processes by the names that devstack gives them.
func (tr *tree) pids(t *testing.T) map[string]int {
	t.Helper()
	pids := map[string]int{}
	for line := range strings.Lines(read(t, filepath.Join(tr.data, "pids"))) {
		fields := strings.SplitN(strings.TrimSpace(line), "\t", 3)
		pid, err := strconv.Atoi(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		pids[fields[2]] = pid
	}
	return pids
}

// processes are all that have the tree in their command line or environment,
// whoever started them; the tests' own process has neither.
func (tr *tree) processes(t *testing.T) []string {
	t.Helper()
	var found []string
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		cmdline, _ := os.ReadFile(filepath.Join(p, "cmdline")) // one that has ended meanwhile is none
		environ, _ := os.ReadFile(filepath.Join(p, "environ"))
		if bytes.Contains(append(cmdline, environ...), []byte(tr.root)) {
			found = append(found, filepath.Base(p)+" "+string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// awaitNone waits until the tree has no process and none of the ports is taken.
func (tr *tree) awaitNone(t *testing.T, taken []int) {
	t.Helper()
	eventually(t, "no process is left", func() bool { return len(tr.processes(t)) == 0 })
	for _, port := range taken {
		eventually(t, fmt.Sprintf("port %d is free", port), func() bool { return ports.Check(port) == nil })
	}
}

// ports are all that a stack tells of.
func (s stack) ports() []int {
	var all []int
	for _, i := range s.Instances {
		all = append(all, i.Port, i.DaprHTTPPort, i.DaprGRPCPort, i.MetricsPort)
	}
	for _, name := range []string{"NATS_URL", "REDIS_ADDR", "MONGO_URI"} {
		_, after, _ := strings.Cut(s.Env[name], "127.0.0.1:")
		digits, _, _ := strings.Cut(after, "/")
		if port, err := strconv.Atoi(digits); err == nil {
			all = append(all, port)
		}
	}
	return all
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, b.String()
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	until := time.Now().Add(deadline)
	for !ok() {
		if time.Now().After(until) {
			t.Fatalf("not within %s: %s", deadline, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// output is what devstack prints, to be looked at while it runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
