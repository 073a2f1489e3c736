//go:build linux

package main_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// endlessGo puts a go command on the PATH whose builds never finish. It starts a
// child, as the real one starts compilers.
func (tr *tree) endlessGo(t *testing.T) {
	t.Helper()
	real, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(tr.root, "path")
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = build ] || exec %s \"$@\"\necho \"go: downloading example.org/x v1.0.0\"\nsleep 600 &\nwait\n", real)
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o755)); err != nil {
		t.Fatal(err)
	}
	// An empty build cache, so that there is something to build.
	bin := filepath.Join(tr.root, "bin")
	if err := errors.Join(os.Remove(bin), os.Mkdir(bin, 0o755)); err != nil {
		t.Fatal(err)
	}
	tr.env = append(tr.env, "PATH="+dir+":"+os.Getenv("PATH"))
}

// TestNoProcessIsLeft stops and kills devstack at each stage of a run, and looks
// for processes that are left.
func TestNoProcessIsLeft(t *testing.T) {
	stages := map[string]func(t *testing.T, tr *tree) (r *run, ports []int){
		"during the build": func(t *testing.T, tr *tree) (*run, []int) {
			tr.endlessGo(t)
			r := tr.start(t, "up", "--free-ports")
			eventually(t, "the build has started its child", func() bool {
				return strings.Contains(strings.Join(tr.processes(t), "\n"), "sleep 600")
			})
			return r, nil
		},
		"during the start": func(t *testing.T, tr *tree) (*run, []int) {
			tr.setInRunFile(t, `    env: {TREE_NEVER_READY: "1"}`)
			r := tr.start(t, "up", "--free-ports", "-v")
			r.awaitOutput(t, "gateway listens")
			return r, nil
		},
		"when ready": func(t *testing.T, tr *tree) (*run, []int) {
			r := tr.up(t)
			return r, tr.stack(t).ports()
		},
	}
	for name, stage := range stages {
		t.Run("stopped "+name, func(t *testing.T) {
			tr := newTree(t)
			r, ports := stage(t, tr)
			r.stop(t)
			tr.awaitNone(t, ports)
			if left := read(t, filepath.Join(tr.data, "pids")); left != "" {
				t.Errorf("the list of processes contains %q, want nothing", left)
			}
		})
		t.Run("killed "+name, func(t *testing.T) {
			tr := newTree(t)
			env, bin, runFile := tr.env, filepath.Join(tr.root, "bin"), read(t, tr.runFile())
			r, ports := stage(t, tr)
			r.kill(t)
			tr.env = env // without the variables that keep the stage from ending
			if err := errors.Join(os.RemoveAll(bin), os.Symlink(builds, bin), os.WriteFile(tr.runFile(), []byte(runFile), 0o600)); err != nil {
				t.Fatal(err)
			}
			next := tr.up(t)
			next.stop(t)
			tr.awaitNone(t, ports)
		})
	}
}

// TestChildrenOfAKilledDevstackEnd checks that the kernel kills the children, without
// another start of devstack.
func TestChildrenOfAKilledDevstackEnd(t *testing.T) {
	tr := newTree(t)
	r := tr.up(t)
	ports := tr.stack(t).ports()
	r.kill(t)
	tr.awaitNone(t, ports)
}
