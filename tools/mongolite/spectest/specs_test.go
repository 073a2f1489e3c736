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

// specLimit bounds the run of one suite; all of them take less than a minute.
const specLimit = 5 * time.Minute

const (
	unifiedV2 = "go.mongodb.org/mongo-driver/v2/internal/integration/unified"
	unifiedV1 = "go.mongodb.org/mongo-driver/mongo/integration/unified"
	legacyV1  = "go.mongodb.org/mongo-driver/mongo/integration"
)

// suite is a specification as one driver runs it.
type suite struct {
	name  string // and the first part of its tests' names in known_test.go
	pkg   string
	files string // the specification's files, in the driver's module
	test  string // the test under which the runner has a subtest for each file
}

// The older formats are run by the first driver: the second carries their
// files, the same ones, and no runner for them.
var suites = []suite{
	{"v2/crud", unifiedV2, "testdata/crud/unified/*.json", "TestUnifiedSpec/crud/tests/unified"},
	{"v2/retryable-writes", unifiedV2, "testdata/retryable-writes/unified/*.json", "TestUnifiedSpec/retryable-writes/tests/unified"},
	{"v1/crud", unifiedV1, "testdata/crud/unified/*.json", "TestUnifiedSpec/crud/unified"},
	{"v1/retryable-writes", unifiedV1, "testdata/retryable-writes/unified/*.json", "TestUnifiedSpec/retryable-writes/unified"},
	{"v1/crud-legacy", legacyV1, "testdata/crud/v1/*/*.json", "TestCrudSpec"},
	{"v1/retryable-writes-legacy", legacyV1, "testdata/retryable-writes/legacy/*.json", "TestRetryableWritesSpec"},
}

const specsIntro = `# MongoDB's specifications on mongolite

MongoDB's CRUD and retryable writes specifications, run by the official Go drivers' own runners.
Written by the tests in spectest, which compare it with each run; see spectest/doc.go.
A test that is skipped is skipped by the runner, for what it needs of the server (mongolite says
that it is a replica set with one member, of the version that it announces) or for the driver's own reason.
`

// TestSpecs runs MongoDB's specifications.
func TestSpecs(t *testing.T) {
	s := startServer(t)
	packages := map[string]testPackage{}
	found := report{file: "specs.md", intro: specsIntro, known: knownSpecs}
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
	found.judge(t)
	found.check(t, s)
}

// specificationsTree lays the specifications of a driver's module out as the
// second driver's runner looks for them, and returns the root.
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

// rows sorts the outcomes by the specification's files. Every test of a file
// has to have an outcome: a runner that leaves one out is a failure of t.
func (s suite) rows(t *testing.T, p testPackage, outcomes []outcome) []row {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.moduleDir, filepath.FromSlash(s.files)))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files %s: %v", s.name, s.files, err)
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
				// The file as a whole: each of its tests for the same reason.
				for range want {
					r.outcomes = append(r.outcomes, outcome{"", skipped, o.said})
				}
			case o.status == failed && len(r.outcomes) < want:
				t.Errorf("%s/%s ended early:\n%s", s.name, r.name, o.message())
			}
		}
		if got := len(r.outcomes); got != want {
			t.Errorf("%s/%s: %d of its %d tests were run", s.name, r.name, got, want)
		}
		rows = append(rows, r)
	}
	return rows
}

// countTests returns how many tests a specification's file has.
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
