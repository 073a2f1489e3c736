package spectest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"
)

// specLimit limits the run time of one suite. All suites together take less than
// a minute.
const specLimit = 5 * time.Minute

const (
	unifiedV2 = "go.mongodb.org/mongo-driver/v2/internal/integration/unified"
	unifiedV1 = "go.mongodb.org/mongo-driver/mongo/integration/unified"
	legacyV1  = "go.mongodb.org/mongo-driver/mongo/integration"
)

// suite is a specification's tests with the runner of one driver.
type suite struct {
	name  string // also the first part of the tests' names in known_test.go
	pkg   string // import path of the runner
	files string // pattern of the specification's files in the driver's module
	test  string // the test that has a subtest for each file
}

// suites lists the suites to run. Only version 1 of the driver has a runner for the
// legacy formats. Version 2 contains the same files, but no runner for them.
var suites = []suite{
	{"v2/crud", unifiedV2, "testdata/crud/unified/*.json", "TestUnifiedSpec/crud/tests/unified"},
	{"v2/retryable-writes", unifiedV2, "testdata/retryable-writes/unified/*.json", "TestUnifiedSpec/retryable-writes/tests/unified"},
	{"v1/crud", unifiedV1, "testdata/crud/unified/*.json", "TestUnifiedSpec/crud/unified"},
	{"v1/retryable-writes", unifiedV1, "testdata/retryable-writes/unified/*.json", "TestUnifiedSpec/retryable-writes/unified"},
	{"v1/crud-legacy", legacyV1, "testdata/crud/v1/*/*.json", "TestCrudSpec"},
	{"v1/retryable-writes-legacy", legacyV1, "testdata/retryable-writes/legacy/*.json", "TestRetryableWritesSpec"},
}

const specsIntro = `# MongoDB's specification tests on mongolite

These are the results of MongoDB's CRUD and retryable writes specification tests, run with the official Go drivers' own runners.
The tests in spectest write this page and compare it with each run; see spectest/doc.go.
A runner skips a test if the server does not meet the test's requirements, or for the driver's own reasons.
mongolite presents itself as a replica set with one member that runs MongoDB 7.0.
`

// TestSpecificationsPassOnMongolite runs MongoDB's specification tests and compares
// the results with docs/specs.md.
func TestSpecificationsPassOnMongolite(t *testing.T) {
	s := startServer(t)
	packages := map[string]testPackage{}
	found := report{file: "specs.md", intro: specsIntro, known: knownSpecFailures}
	for _, suite := range suites {
		p, ok := packages[suite.pkg]
		if !ok {
			p = compile(t, suite.pkg)
			packages[suite.pkg] = p
		}
		pattern := "^" + strings.ReplaceAll(suite.test, "/", "$/^") + "$"
		outcomes := p.test(t, pattern, specLimit,
			"MONGODB_URI="+s.uri, "PROJECT_DIRECTORY="+specificationsTree(t, p.moduleDir))
		found.sections = append(found.sections, section{
			name:  suite.name,
			about: "`" + p.path + "` " + p.version + ", `" + suite.test + "`",
			rows:  suite.rows(t, p, outcomes),
		})
	}
	found.failOnProblems(t)
	found.checkPage(t, s)
}

// specificationsTree links the specifications of a driver's module into the
// directory layout that version 2 of the driver expects. It returns the root.
func specificationsTree(t *testing.T, moduleDir string) string {
	t.Helper()
	root := t.TempDir()
	for _, spec := range []string{"crud", "retryable-writes"} {
		dir := filepath.Join(root, "testdata", "specifications", "source", spec, "tests")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		err := os.Symlink(filepath.Join(moduleDir, "testdata", spec, "unified"), filepath.Join(dir, "unified"))
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// rows groups the outcomes by the specification's files. It fails t if a test of
// a file has no outcome.
func (s suite) rows(t *testing.T, p testPackage, outcomes []outcome) []row {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.moduleDir, filepath.FromSlash(s.files)))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files match %s: %v", s.name, s.files, err)
	}
	sort.Slice(files, func(i, j int) bool { return filepath.Base(files[i]) < filepath.Base(files[j]) })

	var rows []row
	for _, path := range files {
		r := row{name: filepath.Base(path)}
		want := countTests(t, path)
		file := s.test + "/" + r.name
		for _, o := range outcomes {
			if name, ok := strings.CutPrefix(o.name, file+"/"); ok {
				o.name = name
				r.outcomes = append(r.outcomes, o)
			}
		}
		for _, o := range outcomes {
			if o.name != file {
				continue
			}
			switch {
			case o.status == skipped:
				// The runner skipped the whole file: count each of its tests as skipped.
				for range want {
					r.outcomes = append(r.outcomes, outcome{"", skipped, o.output})
				}
			case o.status == failed && len(r.outcomes) < want:
				t.Errorf("%s/%s ended early:\n%s", s.name, r.name, o.message())
			}
		}
		if got := len(r.outcomes); got != want {
			t.Errorf("%s/%s: got outcomes of %d tests, want %d", s.name, r.name, got, want)
		}
		rows = append(rows, r)
	}
	return rows
}

// countTests returns the number of tests in a specification's file.
func countTests(t *testing.T, path string) int {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []json.RawMessage `json:"tests"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return len(file.Tests)
}
