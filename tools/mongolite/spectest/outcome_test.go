package spectest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// status is what became of a test.
type status string

const (
	passed  status = "pass"
	failed  status = "fail"
	skipped status = "skip"
)

// outcome is what became of one test and what it said.
type outcome struct {
	name   string // as go test prints it
	status status
	said   string
}

// testPackage is a package of a dependency whose tests are run.
type testPackage struct {
	path      string
	dir       string // its source, where its tests run
	moduleDir string
	version   string
	binary    string
}

// compile builds the test binary of a dependency's package. The flags are
// further ones of the go command.
func compile(t *testing.T, path string, flags ...string) testPackage {
	t.Helper()
	list := append([]string{"list"}, flags...)
	list = append(list, "-f", "{{.Dir}}\n{{.Module.Dir}}\n{{.Module.Version}}", path)
	found := strings.Split(run(t, goCommand(t, list...)), "\n")
	p := testPackage{path: path, dir: found[0], moduleDir: found[1], version: found[2]}
	p.binary = filepath.Join(t.TempDir(), "tests")
	build := append(buildArgs("test", "-c"), flags...)
	run(t, goCommand(t, append(build, "-o", p.binary, path)...))
	return p
}

// test runs the tests that pattern selects, each process for at most limit, and
// returns the outcomes in the order in which they ended. A test whose process
// died has failed, and those behind it run in another process: some tests
// panic when an answer is not what they expect.
//
// The environment is these variables only: the drivers' tests read many, and
// none from outside may decide what runs here.
func (p testPackage) test(t *testing.T, pattern string, limit time.Duration, env ...string) []outcome {
	t.Helper()
	var all []outcome
	for {
		before := leaves(all)
		outcomes, printed, err := p.process(t, pattern, before, limit, env)
		all = append(all, outcomes...)
		exit := (*exec.ExitError)(nil)
		switch {
		case err == nil:
			return all
		case !errors.As(err, &exit) || len(leaves(all)) == len(before):
			t.Fatalf("tests of %s: %v\n%s", p.path, err, tail(printed, 60))
		case exit.ExitCode() == testsFailed:
			if !slices.ContainsFunc(all, func(o outcome) bool { return o.status == failed }) {
				t.Fatalf("tests of %s: %v, and none of them failed:\n%s", p.path, err, tail(printed, 60))
			}
			return all
		}
	}
}

// testsFailed is the exit status of a test binary that ran to its end.
const testsFailed = 1

// process runs the tests that pattern selects but those named, in one process.
// It returns what became of them, what they printed and how the process ended.
func (p testPackage) process(t *testing.T, pattern string, but []string, limit time.Duration, env []string) ([]outcome, string, error) {
	t.Helper()
	// The binary's own limit comes first, for it prints where every test hangs.
	ctx, cancel := context.WithTimeout(t.Context(), limit+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.binary, "-test.run="+pattern, "-test.skip="+exactly(but),
		"-test.timeout="+limit.String(), "-test.v=test2json", "-test.count=1")
	cmd.Dir = p.dir
	cmd.Env = append([]string{"TMPDIR=" + os.TempDir()}, env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return decodeEvents(t, out.Bytes()), out.String(), err
}

// leaves returns the names of the tests without those that have subtests.
func leaves(outcomes []outcome) []string {
	parent := map[string]bool{}
	for _, o := range outcomes {
		for name := o.name; strings.Contains(name, "/"); {
			name = name[:strings.LastIndexByte(name, '/')]
			parent[name] = true
		}
	}
	var names []string
	for _, o := range outcomes {
		if !parent[o.name] {
			names = append(names, o.name)
		}
	}
	return names
}

// exactly returns the pattern that matches the named tests, empty for none.
func exactly(names []string) string {
	var patterns []string
	for _, name := range names {
		elements := strings.Split(name, "/")
		for i, e := range elements {
			elements[i] = "^" + regexp.QuoteMeta(e) + "$"
		}
		patterns = append(patterns, strings.Join(elements, "/"))
	}
	return strings.Join(patterns, "|")
}

// testEvent is a line of go tool test2json.
type testEvent struct {
	Action string
	Test   string
	Output string
}

// decodeEvents returns the outcomes that a test binary printed.
func decodeEvents(t *testing.T, printed []byte) []outcome {
	t.Helper()
	convert := goCommand(t, "tool", "test2json")
	convert.Stdin = bytes.NewReader(printed)
	events := json.NewDecoder(strings.NewReader(run(t, convert)))

	said := map[string]*strings.Builder{}
	var begun []string
	ended := map[string]bool{}
	var outcomes []outcome
	for {
		var e testEvent
		if err := events.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("decode test events: %v", err)
		}
		if e.Test == "" {
			continue
		}
		switch e.Action {
		case "run":
			said[e.Test] = &strings.Builder{}
			begun = append(begun, e.Test)
		case "output":
			if b := said[e.Test]; b != nil {
				b.WriteString(e.Output)
			}
		case string(passed), string(failed), string(skipped):
			ended[e.Test] = true
			outcomes = append(outcomes, outcome{e.Test, status(e.Action), said[e.Test].String()})
		}
	}
	for _, name := range begun {
		if !ended[name] {
			outcomes = append(outcomes, outcome{name, failed, said[name].String() + "the process died in this test\n"})
		}
	}
	return outcomes
}

// tail returns the last n lines of s.
func tail(s string, n int) string {
	lines := strings.SplitAfter(strings.TrimRight(s, "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "")
}

var (
	framing   = regexp.MustCompile(`(?m)^\s*(===|---) .*\n?`)
	messageAt = regexp.MustCompile(`(?m)^\s+[\w./]+\.go:\d+: (.*)`)
)

// message returns what the test itself said, without go test's framing.
func (o outcome) message() string {
	return strings.TrimSpace(framing.ReplaceAllString(o.said, ""))
}

var (
	belowMinimum  = regexp.MustCompile(`server version "[^"]*" is lower than min required version "([^"]*)"`)
	aboveMaximum  = regexp.MustCompile(`server version "[^"]*" is higher than max version "([^"]*)"`)
	otherTopology = regexp.MustCompile(`topology kind "[^"]*" does not match any of the required kinds \[([^\]]*)\]`)
	quotedReason  = regexp.MustCompile(`(?s)(?:Skipping due to known failure|skipping for reason|test must be skipped): "(.*)"`)
)

// skipReason returns why a runner skipped the test, in a few words: what it
// asks of the server, or the runner's own reason.
func (o outcome) skipReason() string {
	text := o.message()
	if m := messageAt.FindAllStringSubmatch(o.said, -1); m != nil {
		text = m[len(m)-1][1]
	}
	if m := quotedReason.FindStringSubmatch(text); m != nil {
		return "the driver skips it: " + strings.TrimSuffix(m[1], ".")
	}
	var needs []string
	for _, m := range belowMinimum.FindAllStringSubmatch(text, -1) {
		needs = append(needs, "from MongoDB "+m[1])
	}
	for _, m := range aboveMaximum.FindAllStringSubmatch(text, -1) {
		needs = append(needs, "up to MongoDB "+m[1])
	}
	for _, m := range otherTopology.FindAllStringSubmatch(text, -1) {
		needs = append(needs, "on "+m[1])
	}
	if needs != nil {
		return "for servers " + strings.Join(needs, ", or ")
	}
	return text
}
