package supervise_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/tools/devstack/internal/supervise"
)

func TestRunPrintsAndReportsFailures(t *testing.T) {
	t.Run("prints each line with a prefix", func(t *testing.T) {
		out := &log{}
		s := open(t, t.TempDir(), out)
		if err := s.Run(t.Context(), process("task", "done")); err != nil {
			t.Fatal(err)
		}
		want := []string{"a", "b without line end"}
		if got := out.lines("task"); !slices.Equal(got, want) {
			t.Errorf("got lines %q, want %q", got, want)
		}
	})
	t.Run("sends lines to another output", func(t *testing.T) {
		var own bytes.Buffer
		out := &log{}
		s := open(t, t.TempDir(), out)
		p := process("task", "done")
		p.Output = &own
		if err := s.Run(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if got, want := own.String(), "a\nb without line end\n"; got != want {
			t.Errorf("got output %q, want %q", got, want)
		}
		if got := out.String(); got != "" {
			t.Errorf("terminal: got %q, want nothing", got)
		}
	})
	t.Run("returns the exit status and the last line", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir, &log{})
		err := s.Run(t.Context(), process("task", "crash"))
		want := "task: exit status 3, its last line was: last words (log: " + filepath.Join(dir, "log", "task.log") + ")"
		if err == nil || err.Error() != want {
			t.Errorf("got error %v, want %s", err, want)
		}
	})
	t.Run("stops the process when the context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		dir := t.TempDir()
		s := open(t, dir, writerFunc(func(p []byte) {
			if strings.Contains(string(p), "serving") {
				cancel()
			}
		}))
		p := process("task", "stubborn")
		p.StopWithin = 10 * time.Millisecond
		if err := s.Run(ctx, p); !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want %v", err, context.Canceled)
		}
		if pids := pidsOf(t, dir); len(pids) > 0 {
			t.Errorf("processes %v are still running", pids)
		}
	})
}

// TestOutputIsCutIntoLines runs printf, which prints exactly its argument.
func TestOutputIsCutIntoLines(t *testing.T) {
	const width = 16 << 10 // where a longer line is broken
	tests := map[string]struct {
		printed string
		want    []string
	}{
		"empty lines are kept":      {"a\n\nb\n", []string{"a", "", "b"}},
		"carriage returns are cut":  {"a\r\nb\n", []string{"a", "b"}},
		"a long line is broken":     {strings.Repeat("x", width+1) + "\n", []string{strings.Repeat("x", width), "x"}},
		"no output is no line":      {"", nil},
		"a line without a line end": {"a", []string{"a"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			out := &log{}
			s := open(t, t.TempDir(), out)
			p := supervise.Process{Name: "printer", Path: "/usr/bin/printf", Args: []string{"%s", tt.printed}}
			if err := s.Run(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if got := out.lines("printer"); !slices.Equal(got, tt.want) {
				t.Errorf("got lines %.40q, want %.40q", got, tt.want)
			}
		})
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
