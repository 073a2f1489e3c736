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

// endlessGo puts a go command before the real one that never finishes a build
// and has a child of its own, like the real one's compilers.
func (tr *tree) endlessGo(t *testing.T) {
	t.Helper()
	real, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(tr.root, "path")
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = build ] || exec %s \"$@\"\necho \"go: downloading for ever\"\nsleep 600 &\nwait\n", real)
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o755)); err != nil {
		t.Fatal(err)
	}
	// An empty cache of its own, else there is nothing to build.
	bin := filepath.Join(tr.root, "bin")
	if err := errors.Join(os.Remove(bin), os.Mkdir(bin, 0o755)); err != nil {
		t.Fatal(err)
	}
	tr.env = append(tr.env, "PATH="+dir+":"+os.Getenv("PATH"))
}

// TestNothingIsLeft ends devstack at each stage of its life, by asking and by
// killing, and looks for what is left.
func TestNothingIsLeft(t *testing.T) {
	stages := map[string]func(t *testing.T, tr *tree) (r *run, ports []int){
		"in mid-build": func(t *testing.T, tr *tree) (*run, []int) {
			tr.endlessGo(t)
			r := tr.start(t, "up", "--free-ports")
			eventually(t, "the build has a child", func() bool {
				return strings.Contains(strings.Join(tr.processes(t), "\n"), "sleep 600")
			})
			return r, nil
		},
		"in mid-start": func(t *testing.T, tr *tree) (*run, []int) {
			tr.env = append(tr.env, "TREE_NEVER_READY=1")
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
		t.Run(name+", asked", func(t *testing.T) {
			tr := newTree(t)
			r, ports := stage(t, tr)
			r.stop(t)
			tr.awaitNone(t, ports)
			if left := read(t, filepath.Join(tr.data, "pids")); left != "" {
				t.Errorf("the list of processes has %q", left)
			}
		})
		t.Run(name+", killed", func(t *testing.T) {
			tr := newTree(t)
			env, bin := tr.env, filepath.Join(tr.root, "bin")
			r, ports := stage(t, tr)
			r.kill(t)
			tr.env = env // a sound one again
			if err := errors.Join(os.RemoveAll(bin), os.Symlink(builds, bin)); err != nil {
				t.Fatal(err)
			}
			next := tr.up(t)
			next.stop(t)
			tr.awaitNone(t, ports)
		})
	}
}

// TestKilledChildrenEndByThemselves shows what the kernel does for it, without
// a next start.
func TestKilledChildrenEndByThemselves(t *testing.T) {
	tr := newTree(t)
	r := tr.up(t)
	ports := tr.stack(t).ports()
	r.kill(t)
	tr.awaitNone(t, ports)
}
