//go:build linux

package main_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"boxoffice/tools/devstack/internal/ports"
)

// withJaeger enables Jaeger in the tree, with no Jaeger on the PATH and none built.
func (tr *tree) withJaeger(t *testing.T) {
	t.Helper()
	bin := filepath.Join(tr.root, "bin")
	if err := errors.Join(os.Remove(bin), os.Mkdir(bin, 0o755)); err != nil {
		t.Fatal(err)
	}
	built, err := filepath.Glob(filepath.Join(builds, "mongolite-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range built { // mongolite takes a long time to build
		if err := os.Symlink(dir, filepath.Join(bin, filepath.Base(dir))); err != nil {
			t.Fatal(err)
		}
	}
	tr.env = append(tr.env, "JAEGER=", "PATH="+goOnly(t)+":/usr/bin:/bin")
	if _, err := exec.LookPath("/usr/bin/jaeger"); err == nil {
		t.Skip("/usr/bin has a jaeger")
	}
}

// delayJaeger delays the build of Jaeger until the returned function is called.
func (tr *tree) delayJaeger(t *testing.T) (proceed func()) {
	t.Helper()
	dir, file := filepath.Join(tr.root, "path"), filepath.Join(tr.root, "proceed")
	script := fmt.Sprintf(`#!/bin/sh
case "$*" in build*cmd/jaeger*) while [ ! -e %s ]; do sleep 0.05; done;; esac
exec %s/go "$@"
`, file, goOnly(t))
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o755)); err != nil {
		t.Fatal(err)
	}
	tr.env = append(tr.env, "PATH="+dir+":/usr/bin:/bin")
	return func() {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
}

// otlpPort returns the port to which the apps send traces.
func (s stack) otlpPort(t *testing.T) int {
	t.Helper()
	var port int
	if _, err := fmt.Sscanf(s.Env["OTEL_EXPORTER_OTLP_ENDPOINT"], "http://127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	return port
}

func TestStackIsReadyBeforeJaegerIsBuilt(t *testing.T) {
	tr := newTree(t)
	tr.withJaeger(t)
	proceed := tr.delayJaeger(t)
	r := tr.up(t)
	s := tr.stack(t)
	if !strings.Contains(r.out.String(), "begin when Jaeger is built") {
		t.Error("the ready screen does not say when traces begin")
	}
	if s.Jaeger == "" || tr.pids(t)["jaeger"] != 0 {
		t.Errorf("Jaeger's URL is %q and its process %d, want a URL and no process", s.Jaeger, tr.pids(t)["jaeger"])
	}
	if err := ports.Check(s.otlpPort(t)); !errors.Is(err, ports.ErrInUse) {
		t.Errorf("the port for traces: %v, want %v", err, ports.ErrInUse)
	}
	proceed()
	r.awaitOutput(t, "traces: "+s.Jaeger)
	if status, _ := get(t, s.Jaeger+"/api/services"); status != http.StatusOK {
		t.Errorf("Jaeger's API answers %d, want 200", status)
	}
	if after := r.out.String()[strings.Index(r.out.String(), "\nready in "):]; strings.Contains(after, "building") {
		t.Errorf("progress of the build follows the ready screen: %s", after)
	}
	r.stop(t)
	tr.awaitNone(t, append(s.ports(), s.otlpPort(t)))

	again := tr.up(t)
	if starting := "starting nats, redis, mongo, jaeger\n"; !strings.Contains(again.out.String(), starting) {
		t.Errorf("the second start does not print %q", starting)
	}
	again.stop(t)
}

func TestJaegerFirstBuildsJaegerBeforeTheStart(t *testing.T) {
	tr := newTree(t)
	tr.withJaeger(t)
	r := tr.up(t, "--jaeger-first")
	if status, _ := get(t, tr.stack(t).Jaeger+"/api/services"); status != http.StatusOK {
		t.Errorf("Jaeger's API answers %d, want 200", status)
	}
	r.stop(t)
}

func TestFailedBuildOfJaegerIsOneLine(t *testing.T) {
	tr := newTree(t)
	tr.withJaeger(t)
	source := filepath.Join(tr.root, "tools", "jaeger", "cmd", "jaeger", "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() { x }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := tr.up(t)
	r.awaitOutput(t, "no traces: ")
	lines := regexp.MustCompile(`(?m)^devstack +\| no traces: (.*)$`).FindAllStringSubmatch(r.out.String(), -1)
	if want := "build jaeger: cmd/jaeger/main.go:3:15: undefined: x"; len(lines) != 1 || lines[0][1] != want {
		t.Errorf("devstack printed %q, want one line with %q", lines, want)
	}
	s := tr.stack(t)
	if status, _ := get(t, s.Gateway[0]+"/readyz"); status != http.StatusOK {
		t.Errorf("the gateway's /readyz answers %d, want 200", status)
	}
	r.stop(t)
	tr.awaitNone(t, append(s.ports(), s.otlpPort(t)))
}

func TestStackRunsOnIfJaegerDoesNotStart(t *testing.T) {
	tr := newTree(t)
	tr.withJaeger(t)
	source := filepath.Join(tr.root, "tools", "jaeger", "cmd", "jaeger", "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() { panic(\"no storage\") }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := tr.up(t)
	r.awaitOutput(t, "no traces: jaeger ended before it was ready: exit status 2")
	if !strings.Contains(r.out.String(), "  panic: no storage") {
		t.Error("the terminal does not show the end of Jaeger's log")
	}
	if status, _ := get(t, tr.stack(t).Gateway[0]+"/readyz"); status != http.StatusOK {
		t.Errorf("the gateway's /readyz answers %d, want 200", status)
	}
	r.stop(t)
}

func TestStopDuringTheBuildOfJaegerLeavesNothing(t *testing.T) {
	tr := newTree(t)
	tr.withJaeger(t)
	tr.delayJaeger(t)
	r := tr.up(t)
	eventually(t, "the build runs", func() bool { return tr.pids(t)["build jaeger"] != 0 })
	s := tr.stack(t)
	r.stop(t)
	tr.awaitNone(t, append(s.ports(), s.otlpPort(t)))
	if strings.Contains(r.out.String(), "no traces") {
		t.Error("the stop is reported as a failure of the build")
	}
}

// TestJaegerOnThePath runs real Jaegers: those on the PATH, and the one that has
// been built in bin/, which the test puts on the PATH.
func TestJaegerOnThePath(t *testing.T) {
	tests := map[string]struct {
		program func(t *testing.T) string
		name    string // the name by which devstack tells the versions apart
		servers int
	}{
		"version 1": {func(t *testing.T) string { return onPath(t, "jaeger-all-in-one") }, "jaeger-all-in-one", 7},
		"version 2": {func(t *testing.T) string { return onPath(t, "jaeger") }, "jaeger", 3},
		"built":     {func(t *testing.T) string { return cached(t, "jaeger") }, "jaeger", 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			program := tt.program(t)
			tr := newTree(t)
			dir := filepath.Join(tr.root, "path")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(program, filepath.Join(dir, tt.name)); err != nil {
				t.Fatal(err)
			}
			tr.env = append(tr.env, "JAEGER=", "PATH="+dir+":"+goOnly(t))
			r := tr.start(t, "infra", "--free-ports")
			r.awaitReady(t)
			s := tr.stack(t)
			if status, _ := get(t, s.Jaeger+"/api/services"); status != http.StatusOK {
				t.Errorf("Jaeger's API answers %d, want 200", status)
			}
			if s.Env["OTEL_EXPORTER_OTLP_ENDPOINT"] == "" {
				t.Error("the apps have no OTEL_EXPORTER_OTLP_ENDPOINT")
			}
			listens := listeners(t, tr.pids(t)["jaeger"])
			if len(listens) != tt.servers {
				t.Errorf("Jaeger listens on %v, want %d addresses", listens, tt.servers)
			}
			for _, addr := range listens {
				if !strings.HasPrefix(addr, "127.0.0.1:") {
					t.Errorf("Jaeger listens on %s, want the loopback interface only", addr)
				}
			}
			r.stop(t)
			tr.awaitNone(t, nil)
		})
	}
}

// onPath returns the path of a program. It skips the test if there is none.
func onPath(t *testing.T, name string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no %s on the PATH", name)
	}
	return program
}
