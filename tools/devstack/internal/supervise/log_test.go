package supervise_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"boxoffice/tools/devstack/internal/supervise"
)

// read returns the content of a file.
func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// printer returns a process that prints text and ends.
func printer(text string) supervise.Process {
	return supervise.Process{Name: "printer", Path: "/usr/bin/printf", Args: []string{"%s", text}}
}

func TestOutputGoesToALogFile(t *testing.T) {
	for _, verbose := range []bool{false, true} {
		t.Run(fmt.Sprintf("verbose=%t", verbose), func(t *testing.T) {
			dir, out := t.TempDir(), &log{}
			s := openWith(t, supervise.Config{Dir: dir, Out: out, Verbose: verbose})
			for range 2 {
				if err := s.Run(t.Context(), printer("a\r\n\nb without line end")); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, "log", "printer.log")
			want := strings.Repeat("a\r\n\nb without line end\n", 2)
			if got := read(t, path); got != want {
				t.Errorf("log file: got %q, want %q", got, want)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := info.Mode().Perm(), os.FileMode(0o600); got != want {
				t.Errorf("mode of the log file: got %o, want %o", got, want)
			}
			if got := len(out.lines("printer")); verbose != (got > 0) {
				t.Errorf("got %d lines on the terminal, want some only if verbose", got)
			}
		})
	}
}

func TestLogFileIsRotatedAtItsLimit(t *testing.T) {
	dir := t.TempDir()
	s := openWith(t, supervise.Config{Dir: dir, LogLimit: 10})
	for _, text := range []string{"first\n", "second\n", "third\n", "4\n"} {
		if err := s.Run(t.Context(), printer(text)); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "log", "printer.log")
	for path, want := range map[string]string{path: "third\n4\n", path + ".1": "second\n"} {
		if got := read(t, path); got != want {
			t.Errorf("%s: got %q, want %q", filepath.Base(path), got, want)
		}
	}
}

func TestStartKeepsTheLogsOfTheRunBefore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log", "printer.log")
	for _, text := range []string{"first\n", "second\n", "third\n"} {
		s, err := supervise.Open(supervise.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context(), printer(text)); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{path: "third\n", path + ".1": "second\n"} {
		if got := read(t, path); got != want {
			t.Errorf("%s: got %q, want %q", filepath.Base(path), got, want)
		}
	}
	if files, err := filepath.Glob(path + "*"); err != nil || len(files) != 2 {
		t.Errorf("files %q (%v), want two", files, err)
	}
}

func TestNameOfAProcessNeedNotBeAFileName(t *testing.T) {
	dir := t.TempDir()
	s := openWith(t, supervise.Config{Dir: dir})
	p := printer("a\n")
	p.Name = "../build it"
	if err := s.Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, filepath.Join(dir, "log", "..-build-it.log")), "a\n"; got != want {
		t.Errorf("log file: got %q, want %q", got, want)
	}
}

// TestCrashQuotesTheEndOfTheLog checks that the first of a series of crashes is
// printed with the last 15 lines, and later ones with the path of the log.
func TestCrashQuotesTheEndOfTheLog(t *testing.T) {
	dir, out := t.TempDir(), &log{}
	s := openWith(t, supervise.Config{Dir: dir, Out: out})
	if err := s.Start(t.Context(), process("app", "verbose crash")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "log", "app.log")
	wants := []string{
		"app ended: exit status 3; starting it again in 2ms; its log, " + path + ", ends with:",
		"app ended: exit status 3; starting it again in 4ms (log: " + path + ")",
	}
	ends := func() []string {
		return slices.DeleteFunc(out.lines("sup"), func(line string) bool { return strings.HasPrefix(line, "app is back") })
	}
	eventually(t, "two restarts", func() bool { return len(ends()) >= len(wants) })
	s.Stop()
	if got := ends()[:len(wants)]; !slices.Equal(got, wants) {
		t.Errorf("the supervisor printed %q, want %q", got, wants)
	}
	var quoted []string
	for n := 6; n <= 20; n++ {
		quoted = append(quoted, fmt.Sprintf("  line %d", n))
	}
	if got := out.lines("app"); !slices.Equal(got, quoted) {
		t.Errorf("quoted lines: got %q, want %q", got, quoted)
	}
}

func TestFailedFirstStartQuotesTheEndOfTheLog(t *testing.T) {
	dir, out := t.TempDir(), &log{}
	s := openWith(t, supervise.Config{Dir: dir, Out: out})
	p := process("app", "crash")
	p.Ready = supervise.TCP("127.0.0.1:1")
	if err := s.Start(t.Context(), p); err == nil {
		t.Fatal("no error")
	}
	want := "app did not start; its log, " + filepath.Join(dir, "log", "app.log") + ", ends with:"
	if got := out.lines("sup"); !slices.Equal(got, []string{want}) {
		t.Errorf("the supervisor printed %q, want %q", got, want)
	}
	if got, want := out.lines("app"), []string{"  last words"}; !slices.Equal(got, want) {
		t.Errorf("quoted lines: got %q, want %q", got, want)
	}
}
