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

// report is what a run found, and the page of ../docs that says so.
type report struct {
	file     string
	intro    string
	known    []known
	sections []section
}

// section is what became of a suite.
type section struct {
	name  string
	about string
	rows  []row
}

// row is what became of the tests of one file.
type row struct {
	name     string
	outcomes []outcome
}

// judge fails t for each complaint.
func (r report) judge(t *testing.T) {
	t.Helper()
	for _, complaint := range r.complaints() {
		t.Error(complaint)
	}
}

// complaints returns one for each test that failed and is not known to, or not
// for this reason, and for each that is known to fail and did not.
func (r report) complaints() []string {
	var complaints []string
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }

	list := map[string]known{}
	for _, k := range r.known {
		for _, name := range k.tests {
			if _, twice := list[name]; twice {
				complain("%s is listed twice", name)
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
					complain("%s:\n%s", name, o.message())
				case o.status == failed && !strings.Contains(o.said, k.says):
					complain("%s does not say %q:\n%s", name, k.says, o.message())
				case o.status != failed && listed:
					complain("%s is listed as one that fails: %s", name, o.status)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		complain("%s is listed as one that fails and was not run", name)
	}
	return complaints
}

// fullName is how known_test.go names a test.
func fullName(s section, r row, o outcome) string {
	return s.name + "/" + r.name + "/" + o.name
}

// check compares the page with what was found, or writes it when asked to.
// Another's server is not ours to write about.
func (r report) check(t *testing.T, s server) {
	t.Helper()
	path := filepath.Join("..", "docs", r.file)
	switch {
	case s.external:
		t.Logf("MONGOLITE_URI names the server: %s is not compared", path)
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
			t.Errorf("%s is not what was found: go test ./... -update writes it anew", path)
		}
	}
}

// unknown returns the tests that failed and are not known to; none in a run
// that passed.
func (r report) unknown() []known {
	k := known{reason: "Not known, to be mended"}
	for _, s := range r.sections {
		for _, row := range s.rows {
			for _, o := range row.outcomes {
				name := fullName(s, row, o)
				listed := slices.ContainsFunc(r.known, func(k known) bool { return slices.Contains(k.tests, name) })
				if o.status == failed && !listed {
					k.tests = append(k.tests, name)
				}
			}
		}
	}
	if k.tests == nil {
		return nil
	}
	return []known{k}
}

// page returns the report as Markdown. Times and addresses are left out, so
// that two runs of one server write the same.
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

	b.WriteString("\n## What fails\n")
	for _, k := range append(slices.Clone(r.known), r.unknown()...) {
		fmt.Fprintf(&b, "\n%s:\n\n", k.reason)
		for _, name := range k.tests {
			fmt.Fprintf(&b, "- `%s`\n", name)
		}
	}

	for _, s := range r.sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", s.name, s.about)
		b.WriteString("| file | tests | passed | skipped | failed | skipped because |\n|---|---:|---:|---:|---:|---|\n")
		for _, row := range s.rows {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", row.name, row.count(), cell(row.skipReasons()))
		}
	}
	return b.String()
}

// counts are the numbers of a line of a table.
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

// skipReasons returns the different reasons of the skipped tests, with their
// numbers when there are several.
func (r row) skipReasons() string {
	number := map[string]int{}
	var reasons []string
	for _, o := range r.outcomes {
		if o.status != skipped {
			continue
		}
		reason := o.skipReason()
		if number[reason] == 0 {
			reasons = append(reasons, reason)
		}
		number[reason]++
	}
	if len(reasons) < 2 {
		return strings.Join(reasons, "")
	}
	slices.Sort(reasons)
	for i, reason := range reasons {
		reasons[i] = fmt.Sprintf("%d %s", number[reason], reason)
	}
	return strings.Join(reasons, "; ")
}

// cell returns s as the content of a table's cell.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s)
}

// anchor returns the link to a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(heading, "/", "")
}
