package supervise_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"boxoffice/tools/devstack/internal/supervise"
)

// pidsOf returns the pids in a supervisor's pids file, by name.
func pidsOf(t *testing.T, dir string) map[string]int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "pids"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	pids := map[string]int{}
	for line := range strings.Lines(string(data)) {
		fields := strings.SplitN(strings.TrimSpace(line), "\t", 3)
		pid, err := strconv.Atoi(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		pids[fields[2]] = pid
	}
	return pids
}

func lockHolder(t *testing.T, dir string) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// childOf waits until a process with the role "parent" has printed the pid of its
// child, and returns the pid.
func childOf(t *testing.T, out *log) int {
	t.Helper()
	var pid int
	eventually(t, "the parent has printed its child's pid", func() bool {
		_, after, ok := strings.Cut(out.String(), "child ")
		line, _, complete := strings.Cut(after, "\n")
		if !ok || !complete {
			return false
		}
		n, err := strconv.Atoi(strings.TrimSpace(line))
		pid = n
		return err == nil
	})
	return pid
}

// TestOpenKillsListedProcesses copies the list of one supervisor to the directory
// of another. This is the state after a supervisor was killed on a system without a
// parent-death signal.
func TestOpenKillsListedProcesses(t *testing.T) {
	tests := map[string]struct {
		change  func(line string) string
		survive bool
	}{
		"the same process":              {change: func(l string) string { return l }},
		"another process with that pid": {change: func(l string) string { return strings.Replace(l, "\t", "\t1", 1) }, survive: true},
		"a process that has ended":      {change: func(string) string { return "4194304\tx:1\tapp\n" }, survive: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			from, to, out := t.TempDir(), t.TempDir(), &log{}
			owner := open(t, from, out)
			p := process("app", "stubborn")
			p.StopWithin = time.Millisecond
			if err := owner.Start(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			pid := pidsOf(t, from)["app"]
			list, err := os.ReadFile(filepath.Join(from, "pids"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(to, "pids"), []byte(tt.change(string(list))), 0o600); err != nil {
				t.Fatal(err)
			}
			open(t, to, &log{})
			if got := alive(pid); got != tt.survive {
				t.Errorf("the process is alive: %t, want %t", got, tt.survive)
			}
		})
	}
}

func TestOpenRejectsADamagedDirectory(t *testing.T) {
	tests := map[string]struct {
		damage func(dir string) error
		want   string
	}{
		"the directory is a file": {
			damage: func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
			want:   "move it away",
		},
		"the list of processes is damaged": {
			damage: func(dir string) error {
				return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "pids"), []byte("?\n"), 0o600))
			},
			want: "delete it",
		},
		"the directory of the logs is a file": {
			damage: func(dir string) error {
				return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "log"), nil, 0o600))
			},
			want: "move it away",
		},
		"the lock is a directory": {
			damage: func(dir string) error { return os.MkdirAll(filepath.Join(dir, "lock"), 0o700) },
			want:   "move it away",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := tt.damage(dir); err != nil {
				t.Fatal(err)
			}
			_, err := supervise.Open(supervise.Config{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got error %v, want one line with %q", err, tt.want)
			}
		})
	}
}

func TestDirectoryIsForTheOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir, &log{})
	if err := s.Start(t.Context(), process("app", "stubborn")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "pids"): 0o600, filepath.Join(dir, "lock"): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: got mode %o, want %o", path, got, want)
		}
	}
}
