// Package cli_test runs dapr/dapr.yaml under the real Dapr CLI, as somebody does
// who has "make infra" in one terminal and "dapr run -f" in another. The ports are
// the usual ones, which the file names.
package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
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

	"boxoffice/test/stack"
)

const stopWithin = time.Minute

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
	cmd  *exec.Cmd
	done chan error

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
	p := &program{cmd: exec.CommandContext(context.WithoutCancel(t.Context()), name, args...), done: make(chan error, 1)}
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as in a terminal of its own
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.String())
		}
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // nobody, when the test went well
	})
	return p
}

// end asks a program to end, as Ctrl-C does, and waits.
func (p *program) end(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.done:
		if err != nil {
			t.Errorf("%s: %v", p.cmd.Args, err)
		}
	case <-time.After(stopWithin):
		t.Fatalf("%s did not stop within %s", p.cmd.Args, stopWithin)
	}
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
	data := t.TempDir()
	infra := start(t, root, nil, filepath.Join(root, "bin", "devstack"), "infra", "--data", data)
	for !strings.Contains(infra.String(), "\nready in ") {
		select {
		case err := <-infra.done:
			t.Fatalf("infra ended: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	// A home without anything: "dapr init" is not needed.
	env := []string{
		"HOME=" + t.TempDir(), "DAPR_CLI=" + cli, "DAPR_ENV=" + filepath.Join(data, "dapr.env"),
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
	run.end(t)
	infra.end(t)
	stack.Await(t, "free ports", func() error { return free(t.Context()) })
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
