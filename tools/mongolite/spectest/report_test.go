package spectest_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables in ../docs")

// report contains the results of a run. A page in ../docs records them.
type report struct {
	file     string // name of the page
	intro    string // first lines of the page
	known    []knownFailure
	sections []section
}

// section contains the results of a suite.
type section struct {
	name  string
	about string
	rows  []row
}

// row contains the results of the tests in one file.
type row struct {
	name     string
	outcomes []outcome
}

// failOnProblems fails t for each problem.
func (r report) failOnProblems(t *testing.T) {
	t.Helper()
	for _, problem := range r.problems() {
		t.Error(problem)
	}
}

// problems compares the outcomes with the list of known failures. It returns a
// problem for each test that failed without being listed, for each listed test
// that failed with another message, and for each listed test that did not fail.
func (r report) problems() []string {
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	list := map[string]knownFailure{}
	for _, k := range r.known {
		for _, name := range k.tests {
			if _, twice := list[name]; twice {
				add("%s is listed twice", name)
			}
			list[name] = k
		}
	}
	for _, s := range r.sections {
		for _, row := range s.rows {
			for _, o := range row.outcomes {
				name := fullName(s, row, o)
				k, listed := list[name]
				delete(list, name)
				switch {
				case o.status == failed && !listed:
					add("%s:\n%s", name, o.message())
				case o.status == failed && !strings.Contains(o.output, k.message):
					add("%s: got a failure without the message %q:\n%s", name, k.message, o.message())
				case o.status != failed && listed:
					add("%s: got %s, want a known failure", name, o.status)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		add("%s: was not run, want a known failure", name)
	}
	return problems
}

// fullName returns the name under which known_test.go lists a test.
func fullName(s section, r row, o outcome) string {
	return s.name + "/" + r.name + "/" + o.name
}

// checkPage compares the page with the results. With -update it writes the page
// instead. It does neither if MONGOLITE_URI named the server.
func (r report) checkPage(t *testing.T, s server) {
	t.Helper()
	path := filepath.Join("..", "docs", r.file)
	switch {
	case s.external:
		t.Logf("MONGOLITE_URI is set: not comparing %s", path)
	case *update:
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(r.page()), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if r.page() != string(want) {
			t.Errorf("%s does not match the results; run go test ./... -update to rewrite it", path)
		}
	}
}

// unexpectedFailures returns the tests that failed without being listed as known
// failures. It returns nil if there are none.
func (r report) unexpectedFailures() []knownFailure {
	k := knownFailure{reason: "Unexpected failures"}
	for _, s := range r.sections {
		for _, row := range s.rows {
			for _, o := range row.outcomes {
				name := fullName(s, row, o)
				listed := slices.ContainsFunc(r.known, func(k knownFailure) bool { return slices.Contains(k.tests, name) })
				if o.status == failed && !listed {
					k.tests = append(k.tests, name)
				}
			}
		}
	}
	if k.tests == nil {
		return nil
	}
	return []knownFailure{k}
}

// page returns the report as Markdown. It contains no times and no addresses, so
// that two runs on the same server yield the same page.
func (r report) page() string {
	var b strings.Builder
	b.WriteString(r.intro)

	b.WriteString("\n| suite | tests | passed | skipped | failed |\n|---|---:|---:|---:|---:|\n")
	var all counts
	for _, s := range r.sections {
		var sum counts
		for _, row := range s.rows {
			sum = sum.plus(row.count())
		}
		all = all.plus(sum)
		fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", s.name, anchor(s.name), sum)
	}
	fmt.Fprintf(&b, "| all | %s |\n", all)

	b.WriteString("\n## Failures\n")
	for _, k := range append(slices.Clone(r.known), r.unexpectedFailures()...) {
		fmt.Fprintf(&b, "\n%s:\n\n", k.reason)
		for _, name := range k.tests {
			fmt.Fprintf(&b, "- `%s`\n", name)
		}
	}

	for _, s := range r.sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", s.name, s.about)
		b.WriteString("| file | tests | passed | skipped | failed | reasons for skipping |\n|---|---:|---:|---:|---:|---|\n")
		for _, row := range s.rows {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", row.name, row.count(), cell(row.skipReasons()))
		}
	}
	return b.String()
}

// counts contains the numbers in a row of a table.
type counts struct{ tests, passed, skipped, failed int }

func (c counts) plus(d counts) counts {
	return counts{c.tests + d.tests, c.passed + d.passed, c.skipped + d.skipped, c.failed + d.failed}
}

func (c counts) String() string {
	return fmt.Sprintf("%d | %d | %d | %d", c.tests, c.passed, c.skipped, c.failed)
}

func (r row) count() counts {
	c := counts{tests: len(r.outcomes)}
	for _, o := range r.outcomes {
		switch o.status {
		case passed:
			c.passed++
		case skipped:
			c.skipped++
		case failed:
			c.failed++
		}
	}
	return c
}

// skipReasons returns the distinct reasons why tests were skipped. If there are
// several, each one is followed by the number of tests in parentheses.
func (r row) skipReasons() string {
	numberOf := map[string]int{}
	var reasons []string
	for _, o := range r.outcomes {
		if o.status != skipped {
			continue
		}
		reason := o.skipReason()
		if numberOf[reason] == 0 {
			reasons = append(reasons, reason)
		}
		numberOf[reason]++
	}
	if len(reasons) < 2 {
		return strings.Join(reasons, "")
	}
	slices.Sort(reasons)
	for i, reason := range reasons {
		reasons[i] = fmt.Sprintf("%s (%d)", reason, numberOf[reason])
	}
	return strings.Join(reasons, "; ")
}

// cell escapes s for a cell of a Markdown table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s)
}

// anchor returns the anchor that GitHub gives a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(heading, "/", "")
}
