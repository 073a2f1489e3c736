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

// status is the result of a test. The values are the actions of test2json.
type status string

const (
	passed  status = "pass"
	failed  status = "fail"
	skipped status = "skip"
)

// outcome is the result and the output of one test.
type outcome struct {
	name   string // as go test prints it
	status status
	output string
}

// testPackage is a package of a dependency whose tests are run.
type testPackage struct {
	path      string // import path
	dir       string // source directory, in which the tests run
	moduleDir string
	version   string // of the module
	binary    string // path of the test binary
}

// compile builds the test binary of a dependency's package. The flags are passed
// to the go command.
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

// test runs the tests that match pattern and returns their outcomes in the order
// in which they ended. Some tests panic on an unexpected reply, which ends the
// process. Such a test counts as failed, and another process runs the remaining
// tests. Each process may run for limit.
//
// The tests get no environment variables except env, because the drivers' tests
// read many variables that change what they do.
func (p testPackage) test(t *testing.T, pattern string, limit time.Duration, env ...string) []outcome {
	t.Helper()
	var all []outcome
	for {
		before := leafTests(all)
		outcomes, printed, err := p.process(t, pattern, before, limit, env)
		all = append(all, outcomes...)
		exit := (*exec.ExitError)(nil)
		switch {
		case err == nil:
			return all
		case !errors.As(err, &exit) || len(leafTests(all)) == len(before):
			t.Fatalf("tests of %s: %v\n%s", p.path, err, tail(printed, 60))
		case exit.ExitCode() == exitTestsFailed:
			if !slices.ContainsFunc(all, func(o outcome) bool { return o.status == failed }) {
				t.Fatalf("tests of %s: %v, although no test failed:\n%s", p.path, err, tail(printed, 60))
			}
			return all
		}
	}
}

// exitTestsFailed is the exit status of a test binary that ran to its end although
// tests failed.
const exitTestsFailed = 1

// process runs the tests that match pattern in one process, except those named in
// skip. It returns their outcomes, their output and the error of the process.
func (p testPackage) process(t *testing.T, pattern string, skip []string, limit time.Duration, env []string) ([]outcome, string, error) {
	t.Helper()
	// The time limit of the test binary must expire first, because the binary then
	// prints the stacks of all goroutines.
	ctx, cancel := context.WithTimeout(t.Context(), limit+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.binary, "-test.run="+pattern, "-test.skip="+exactPattern(skip),
		"-test.timeout="+limit.String(), "-test.v=test2json", "-test.count=1")
	cmd.Dir = p.dir
	cmd.Env = append([]string{"TMPDIR=" + os.TempDir()}, env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return decodeEvents(t, out.Bytes()), out.String(), err
}

// leafTests returns the names of the tests that have no subtests.
func leafTests(outcomes []outcome) []string {
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

// exactPattern returns a pattern for go test that matches exactly the named tests.
// It is empty if there are none.
func exactPattern(names []string) string {
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

// testEvent is a line that go tool test2json prints.
type testEvent struct {
	Action string
	Test   string
	Output string
}

// decodeEvents returns the outcomes in the output of a test binary. A test that
// started and did not end counts as failed.
func decodeEvents(t *testing.T, printed []byte) []outcome {
	t.Helper()
	convert := goCommand(t, "tool", "test2json")
	convert.Stdin = bytes.NewReader(printed)
	events := json.NewDecoder(strings.NewReader(run(t, convert)))

	output := map[string]*strings.Builder{}
	var started []string
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
			output[e.Test] = &strings.Builder{}
			started = append(started, e.Test)
		case "output":
			if b := output[e.Test]; b != nil {
				b.WriteString(e.Output)
			}
		case string(passed), string(failed), string(skipped):
			ended[e.Test] = true
			outcomes = append(outcomes, outcome{e.Test, status(e.Action), output[e.Test].String()})
		}
	}
	for _, name := range started {
		if !ended[name] {
			outcomes = append(outcomes, outcome{name, failed, output[name].String() + "the test process ended during this test\n"})
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

// message returns the output of the test without the lines that go test adds.
func (o outcome) message() string {
	return strings.TrimSpace(framing.ReplaceAllString(o.output, ""))
}

var (
	belowMinimum  = regexp.MustCompile(`server version "[^"]*" is lower than min required version "([^"]*)"`)
	aboveMaximum  = regexp.MustCompile(`server version "[^"]*" is higher than max version "([^"]*)"`)
	otherTopology = regexp.MustCompile(`topology kind "[^"]*" does not match any of the required kinds \[([^\]]*)\]`)
	quotedReason  = regexp.MustCompile(`(?s)(?:Skipping due to known failure|skipping for reason|test must be skipped): "(.*)"`)
)

// skipReason returns a short reason why a runner skipped the test: either a
// requirement that the server does not meet, or the driver's own reason.
func (o outcome) skipReason() string {
	text := o.message()
	if m := messageAt.FindAllStringSubmatch(o.output, -1); m != nil {
		text = m[len(m)-1][1]
	}
	if m := quotedReason.FindStringSubmatch(text); m != nil {
		return "skipped by the driver: " + strings.TrimSuffix(m[1], ".")
	}
	var needs []string
	for _, m := range belowMinimum.FindAllStringSubmatch(text, -1) {
		needs = append(needs, "MongoDB "+m[1]+" or newer")
	}
	for _, m := range aboveMaximum.FindAllStringSubmatch(text, -1) {
		needs = append(needs, "MongoDB "+m[1]+" or older")
	}
	for _, m := range otherTopology.FindAllStringSubmatch(text, -1) {
		needs = append(needs, "the topology "+m[1])
	}
	if needs != nil {
		return "needs " + strings.Join(needs, ", or ")
	}
	return text
}
