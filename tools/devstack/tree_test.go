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

// deadline limits each wait of a test. It allows for a cold build of mongolite.
const deadline = 4 * time.Minute

// stopWithin is the time that README.md guarantees for a stop.
const stopWithin = 10 * time.Second

// devstack is the path of the program under test. builds is the build directory
// that all trees share.
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

// tree is a small source tree with the layout that devstack expects. It has
// stand-ins for the sidecar and Jaeger, and the real mongolite.
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
		"MTLS=", "MTLS_CERT_TTL=", "SENTRY=", "LISTEN_HOST=",
		"OTEL_EXPORTER_OTLP_ENDPOINT=", "ADMIN_EMAIL=", "ADMIN_PASSWORD=", "REDIS_PASSWORD=",
	}}
}

func (tr *tree) runFile() string { return filepath.Join(tr.root, "dapr/dapr.yaml") }

// setInRunFile adds a line to the last app of the run file, the gateway.
func (tr *tree) setInRunFile(t *testing.T, line string) {
	t.Helper()
	if err := os.WriteFile(tr.runFile(), []byte(read(t, tr.runFile())+line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run is one run of devstack.
type run struct {
	*tree
	cmd    *exec.Cmd
	out    output
	ended  chan struct{}
	status int
}

// start starts a command of devstack. The cleanup of the test stops it.
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

// up starts the tree on free ports and waits until it is ready.
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

// stop sends SIGTERM to devstack and checks that it ends in time with status 0.
func (r *run) stop(t *testing.T) {
	t.Helper()
	began := time.Now()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.ended:
	case <-time.After(2 * stopWithin):
		t.Fatalf("devstack did not end within %s", 2*stopWithin)
	}
	if took := time.Since(began); took > stopWithin {
		t.Errorf("the stop took %s, want at most %s", took, stopWithin)
	}
	if r.status != 0 {
		t.Errorf("exit status %d, want 0", r.status)
	}
}

// kill kills devstack.
func (r *run) kill(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-r.ended
}

// awaitEnd waits until devstack ends without a signal, and checks its exit status.
func (r *run) awaitEnd(t *testing.T, status int) {
	t.Helper()
	select {
	case <-r.ended:
	case <-time.After(deadline):
		t.Fatalf("devstack did not end within %s", deadline)
	}
	if r.status != status {
		t.Errorf("exit status %d, want %d", r.status, status)
	}
}

// errorLine waits until devstack ends with status 1, and returns the line with the
// error.
func (r *run) errorLine(t *testing.T) string {
	t.Helper()
	r.awaitEnd(t, 1)
	var errs []string
	for line := range strings.Lines(r.out.String()) {
		if strings.HasPrefix(line, "devstack: ") {
			errs = append(errs, strings.TrimSpace(line))
		}
	}
	if len(errs) != 1 {
		t.Fatalf("devstack printed %d errors, want 1: %q", len(errs), errs)
	}
	return errs[0]
}

// stack is the content of stack.json.
type stack struct {
	Gateway   []string
	Jaeger    string
	Sentry    string
	Env       map[string]string
	Instances []struct {
		Name, App                                                     string
		Port, DaprHTTPPort, DaprGRPCPort, MetricsPort, AppMetricsPort int
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

// secrets returns the generated secrets, by name.
func (tr *tree) secrets(t *testing.T) map[string]string {
	t.Helper()
	secrets := map[string]string{}
	for _, name := range []string{"secrets.json", "credentials.json"} {
		if err := json.Unmarshal([]byte(read(t, filepath.Join(tr.data, name))), &secrets); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return secrets
}

// natsURL returns the URL with which tools/streams connects to NATS.
func (tr *tree) natsURL(t *testing.T) string {
	t.Helper()
	return strings.Replace(tr.stack(t).Env["NATS_URL"], "://", "://streams:"+tr.secrets(t)["nats-password-streams"]+"@", 1)
}

// pids returns the pids of the processes in the pids file, by name.
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

// processes returns the processes whose command line or environment contains the
// path of the tree. The test process is not one of them.
func (tr *tree) processes(t *testing.T) []string {
	t.Helper()
	var found []string
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		cmdline, _ := os.ReadFile(filepath.Join(p, "cmdline")) // empty if it has ended meanwhile
		environ, _ := os.ReadFile(filepath.Join(p, "environ"))
		if bytes.Contains(append(cmdline, environ...), []byte(tr.root)) {
			found = append(found, filepath.Base(p)+" "+string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// awaitNone waits until no process of the tree is left and the ports are free.
func (tr *tree) awaitNone(t *testing.T, used []int) {
	t.Helper()
	eventually(t, "no process is left", func() bool { return len(tr.processes(t)) == 0 })
	for _, port := range used {
		eventually(t, fmt.Sprintf("port %d is free", port), func() bool { return ports.Check(port) == nil })
	}
}

// ports returns the ports of the instances and the stores.
func (s stack) ports() []int {
	var all []int
	for _, i := range s.Instances {
		all = append(all, i.Port, i.DaprHTTPPort, i.DaprGRPCPort, i.MetricsPort)
		if i.AppMetricsPort > 0 {
			all = append(all, i.AppMetricsPort)
		}
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

// eventually waits until ok returns true. It fails the test after the deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	until := time.Now().Add(deadline)
	for !ok() {
		if time.Now().After(until) {
			t.Fatalf("not true within %s: %s", deadline, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// output collects what devstack prints. It can be read while devstack runs.
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
