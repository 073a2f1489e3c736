// Package daprcli_test runs dapr/dapr.yaml under the real Dapr CLI. It starts the stores
// as "make infra" does, and the apps with "dapr run -f", as a developer would in two
// terminals. The ports in dapr.yaml must be free.
package daprcli_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"boxoffice/test/kit"
	"boxoffice/test/process"
	"boxoffice/test/stack"
)

const (
	readyWithin = 15 * time.Minute // the first start builds everything
	stopWithin  = time.Minute
)

// ports returns the ports in dapr.yaml, and those of the stores and Jaeger.
func ports() []int {
	all := []int{8080, 8081, 8082, 8083, 14222, 16379, 17017, 4317, 16686}
	for app := range 4 {
		all = append(all, 3500+app, 3600+app, 3700+app, 3800+app, 9464+app)
	}
	return all
}

// checkPortsFree returns an error that names the first port in use, if there is one.
func checkPortsFree(ctx context.Context) error {
	for _, port := range ports() {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			return err
		}
		_ = l.Close()
	}
	return nil
}

// program is a command that runs until the test ends it. It records its output.
type program struct {
	cmd   *exec.Cmd
	ended <-chan error

	mu   sync.Mutex
	text bytes.Buffer
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *program) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// start starts a program. When the test ends, it kills what is left of the program's
// process group.
func start(t *testing.T, dir string, env []string, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)}
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.WaitDelay = stopWithin // for children that keep its output open
	var err error
	if p.ended, err = process.Start(p.cmd, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.String())
		}
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // the group is empty unless the test has failed
	})
	return p
}

// awaitReady waits until the devstack prints that it is ready.
func (p *program) awaitReady(t *testing.T) {
	t.Helper()
	timeout := time.After(readyWithin)
	for !strings.Contains(p.String(), "\nready in ") {
		select {
		case err := <-p.ended:
			t.Fatalf("%s ended: %v", p.cmd.Args, err)
		case <-timeout:
			t.Fatalf("%s was not ready within %s", p.cmd.Args, readyWithin)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// interrupt ends a program as Ctrl-C does, and waits until it has ended.
func (p *program) interrupt(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("%s: %v", p.cmd.Args, err)
		}
	case <-time.After(stopWithin):
		t.Fatalf("%s did not stop within %s", p.cmd.Args, stopWithin)
	}
}

// processes returns the ids and arguments of all processes whose arguments or environment
// contain the directory.
func processes(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range paths {
		cmdline, _ := os.ReadFile(filepath.Join(p, "cmdline")) // empty if the process has ended
		environ, _ := os.ReadFile(filepath.Join(p, "environ"))
		if bytes.Contains(slices.Concat(cmdline, environ), []byte(dir)) {
			found = append(found, filepath.Base(p)+" "+string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// files returns the paths of all files in the folders.
func files(t *testing.T, folders ...string) []string {
	t.Helper()
	var all []string
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				all = append(all, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestStackRunsUnderTheDaprCLI runs the demo against a stack that the Dapr CLI has
// started. Afterwards, no process may be running, no port may be in use, and no file may
// have been written outside the data directory.
func TestStackRunsUnderTheDaprCLI(t *testing.T) {
	cli := os.Getenv("DAPR_CLI")
	if cli == "" {
		t.Skip("no Dapr CLI: set $DAPR_CLI, as make test-cli does")
	}
	if err := checkPortsFree(t.Context()); err != nil {
		t.Fatalf("a port of dapr.yaml is in use: %v", err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	// The directories that the programs run in, and those that they read.
	folders := []string{filepath.Join(root, "apps"), filepath.Join(root, "gateway"), filepath.Join(root, "components"), filepath.Join(root, "dapr")}
	before := files(t, folders...)
	data, home := t.TempDir(), t.TempDir()
	infra := start(t, root, nil, filepath.Join(root, "bin", "devstack"), "infra", "--data", data, "--jaeger-first")
	infra.awaitReady(t)
	// The home directory is empty, so the test fails if "dapr init" is necessary.
	env := []string{
		"HOME=" + home, "DAPR_CLI=" + cli, "DAPR_ENV=" + filepath.Join(data, "dapr.env"),
		"RATE_LIMIT_BROWSE=100000/1m", "RATE_LIMIT_WRITE=100000/1m", "RATE_LIMIT_LOGIN=100000/1m", "RATE_LIMIT_REFUSALS=100000/1m", "RATE_LIMIT_ADDRESS=100000/1m",
	}
	run := start(t, root, env, "bash", "-c", `. "$DAPR_ENV" && exec "$DAPR_CLI" run -f dapr/dapr.yaml`)
	kit.Eventually(t, stack.WaitTimeout, "the gateway is ready", func() error { return checkReady(t.Context()) })

	// The demo checks the status of every response, and a trace.
	demo := exec.CommandContext(t.Context(), "go", "run", "./tools/demo")
	demo.Dir, demo.Env = root, append(os.Environ(), "DATA_DIR="+data, "GOWORK=off", "GOFLAGS=-buildvcs=false")
	out, err := demo.CombinedOutput()
	if err != nil {
		t.Fatalf("demo: %v\n%s\n%s", err, out, run)
	}
	if !strings.Contains(string(out), "gateway  POST /api/bookings") {
		t.Errorf("the demo shows no trace:\n%s", out)
	}
	// The apps, sidecars, stores, CLI and devstack. Jaeger may be off.
	if n := len(processes(t, data)); runtime.GOOS == "linux" && n < 13 {
		t.Errorf("got %d processes, want at least 13: processes does not find all of them", n)
	}
	run.interrupt(t)
	infra.interrupt(t)
	kit.Eventually(t, stack.WaitTimeout, "all processes have ended", func() error {
		if left := processes(t, data); len(left) > 0 {
			return fmt.Errorf("still running: %q", left)
		}
		return nil
	})
	kit.Eventually(t, stack.WaitTimeout, "all ports are free", func() error { return checkPortsFree(t.Context()) })
	if left := files(t, home); len(left) > 0 {
		t.Errorf("files were written into the home directory: %q", left)
	}
	for _, file := range files(t, folders...) {
		if !slices.Contains(before, file) {
			t.Errorf("a file was written into the repository: %s", file)
		}
	}
}

// checkReady returns an error unless the gateway is ready.
func checkReady(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:8080/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz: got status %d", res.StatusCode)
	}
	return nil
}
