// Package daprcli_test runs dapr/dapr.yaml under the real Dapr CLI, as somebody does
// who has "make infra" in one terminal and "dapr run -f" in another. The ports are
// the usual ones, which the file names.
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

	"boxoffice/test/process"
	"boxoffice/test/stack"
)

const (
	readyWithin = 15 * time.Minute // the first one builds everything
	stopWithin  = time.Minute
)

// ports are those of the file, of the stores and of Jaeger.
func ports() []int {
	all := []int{8080, 8081, 8082, 8083, 14222, 16379, 17017, 4317, 16686}
	for app := range 4 {
		all = append(all, 3500+app, 3600+app, 3700+app, 3800+app)
	}
	return all
}

// free answers which port is in use, if one is.
func free(ctx context.Context) error {
	for _, port := range ports() {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			return err
		}
		_ = l.Close()
	}
	return nil
}

// program is a command that runs until it is told to end.
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

func start(t *testing.T, dir string, env []string, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)}
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.WaitDelay = stopWithin // for those that hold its output open
	var err error
	if p.ended, err = process.Start(p.cmd, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.String())
		}
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // nobody, when the test went well
	})
	return p
}

// awaitReady waits until the devstack says that it is.
func (p *program) awaitReady(t *testing.T) {
	t.Helper()
	late := time.After(readyWithin)
	for !strings.Contains(p.String(), "\nready in ") {
		select {
		case err := <-p.ended:
			t.Fatalf("%s ended: %v", p.cmd.Args, err)
		case <-late:
			t.Fatalf("%s was not ready within %s", p.cmd.Args, readyWithin)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// end asks a program to end, as Ctrl-C does, and waits.
func (p *program) end(t *testing.T) {
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

// processes are all that were told of the directory, by an argument or in the
// environment, whoever started them.
func processes(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range paths {
		cmdline, _ := os.ReadFile(filepath.Join(p, "cmdline")) // one that has ended meanwhile is none
		environ, _ := os.ReadFile(filepath.Join(p, "environ"))
		if bytes.Contains(slices.Concat(cmdline, environ), []byte(dir)) {
			found = append(found, filepath.Base(p)+" "+string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// files are those in folders.
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

func TestDaprRun(t *testing.T) {
	cli := os.Getenv("DAPR_CLI")
	if cli == "" {
		t.Skip("no Dapr CLI: set $DAPR_CLI, as make test-cli does")
	}
	if err := free(t.Context()); err != nil {
		t.Fatalf("dapr.yaml names this port: %v", err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	// Those that programs run in, and those that they read.
	folders := []string{filepath.Join(root, "apps"), filepath.Join(root, "gateway"), filepath.Join(root, "components"), filepath.Join(root, "dapr")}
	before := files(t, folders...)
	data, home := t.TempDir(), t.TempDir()
	infra := start(t, root, nil, filepath.Join(root, "bin", "devstack"), "infra", "--data", data)
	infra.awaitReady(t)
	// A home without anything: "dapr init" is not needed.
	env := []string{
		"HOME=" + home, "DAPR_CLI=" + cli, "DAPR_ENV=" + filepath.Join(data, "dapr.env"),
		"RATE_LIMIT_BROWSE=100000/1m", "RATE_LIMIT_WRITE=100000/1m", "RATE_LIMIT_LOGIN=100000/1m",
	}
	run := start(t, root, env, "bash", "-c", `. "$DAPR_ENV" && exec "$DAPR_CLI" run -f dapr/dapr.yaml`)
	stack.Await(t, "the gateway", func() error { return ready(t.Context()) })

	// The demo checks every status, and the trace.
	demo := exec.CommandContext(t.Context(), "go", "run", "./tools/demo")
	demo.Dir, demo.Env = root, append(os.Environ(), "DATA_DIR="+data, "GOWORK=off", "GOFLAGS=-buildvcs=false")
	if out, err := demo.CombinedOutput(); err != nil {
		t.Fatalf("demo: %v\n%s\n%s", err, out, run)
	}
	// Apps, sidecars, stores, the CLI and the devstack; Jaeger may be off.
	if n := len(processes(t, data)); runtime.GOOS == "linux" && n < 13 {
		t.Errorf("%d processes run, want 13: the list is not what it should be", n)
	}
	run.end(t)
	infra.end(t)
	stack.Await(t, "the end of all processes", func() error {
		if left := processes(t, data); len(left) > 0 {
			return fmt.Errorf("%q are left", left)
		}
		return nil
	})
	stack.Await(t, "free ports", func() error { return free(t.Context()) })
	if left := files(t, home); len(left) > 0 {
		t.Errorf("written into the home directory: %q", left)
	}
	for _, file := range files(t, folders...) {
		if !slices.Contains(before, file) {
			t.Errorf("written into the tree: %s", file)
		}
	}
}

func ready(ctx context.Context) error {
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
		return fmt.Errorf("/readyz answers %d", res.StatusCode)
	}
	return nil
}
