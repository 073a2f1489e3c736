package spectest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	lungoModule = "github.com/256dpi/lungo"
	// lungoAddress is the server's address in the source of lungo's tests.
	lungoAddress = `"mongodb://localhost"`
	// lungoLimit limits the run time of the tests of one package of lungo.
	lungoLimit = 3 * time.Minute
)

// lungoAddressFiles are the files that contain lungoAddress.
var lungoAddressFiles = []string{"utils_test.go", filepath.Join("mongokit", "utils_test.go")}

const lungoIntro = `# lungo's tests on mongolite

lungo is a Go library that implements MongoDB's matching, updates, projections and sorting; mongolite uses parts of it.
Most of its tests run twice, on lungo and on a MongoDB server. These are the results with mongolite as the server.
The tests in spectest write this page and compare it with each run; see spectest/doc.go.
`

// onServer matches the names of the tests that use a server. Most of lungo's tests
// run twice: on MongoDB and on lungo.
var onServer = regexp.MustCompile(`/(Mongo|GridFS)(#[0-9]+)?(/|$)`)

// TestLungoTestsPassOnMongolite runs those of lungo's tests that use a server, and
// compares the results with docs/lungo.md.
func TestLungoTestsPassOnMongolite(t *testing.T) {
	s := startServer(t)
	modfile := lungoModfile(t)
	found := report{file: "lungo.md", intro: lungoIntro, known: knownLungoFailures}
	for _, path := range []string{lungoModule, lungoModule + "/mongokit"} {
		p := compile(t, path, "-modfile="+modfile)
		files := testFiles(t, p.dir)
		byFile := map[string][]outcome{}
		for _, o := range p.test(t, "./^(Mongo|GridFS)", lungoLimit, "MONGODB_URI="+s.uri) {
			if onServer.MatchString(o.name) {
				test, _, _ := strings.Cut(o.name, "/")
				byFile[files[test]] = append(byFile[files[test]], o)
			}
		}
		section := section{name: strings.TrimPrefix(path, "github.com/256dpi/"), about: "`" + path + "` " + p.version}
		for file, outcomes := range byFile {
			slices.SortFunc(outcomes, func(a, b outcome) int { return strings.Compare(a.name, b.name) })
			section.rows = append(section.rows, row{file, outcomes})
		}
		slices.SortFunc(section.rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
		found.sections = append(found.sections, section)
	}
	found.failOnProblems(t)
	found.checkPage(t, s)
}

// lungoModfile returns the path of a copy of this module's go.mod that replaces
// lungo by a patched copy. In that copy the tests take the server's address from
// MONGODB_URI. Unpatched, they always use lungoAddress.
func lungoModfile(t *testing.T) string {
	t.Helper()
	source := strings.TrimSpace(run(t, goCommand(t, "list", "-f", "{{.Module.Dir}}", lungoModule)))
	dir := t.TempDir()
	lungo := filepath.Join(dir, "lungo")
	if err := os.CopyFS(lungo, os.DirFS(source)); err != nil {
		t.Fatalf("copy lungo: %v", err)
	}
	for _, file := range lungoAddressFiles {
		path := filepath.Join(lungo, file)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(content), lungoAddress); n != 1 {
			t.Fatalf("occurrences of %s in %s: got %d, want 1", lungoAddress, path, n)
		}
		// The call refers to a function in a separate file, so that the patched file
		// needs no new import.
		patched := strings.Replace(string(content), lungoAddress, `mustGetenv("MONGODB_URI")`, 1)
		if err := os.WriteFile(path, []byte(patched), 0o644); err != nil {
			t.Fatal(err)
		}
		helper := "package " + filepath.Base(filepath.Dir(path)) + `

import "os"

func mustGetenv(name string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	panic(name + " is not set")
}
`
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "getenv_test.go"), []byte(helper), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	modfile := filepath.Join(dir, "go.mod")
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, goCommand(t, "mod", "edit", "-replace="+lungoModule+"="+lungo, modfile))
	return modfile
}

// testFiles returns the file name of each test of the package in dir.
func testFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no tests in %s: %v", dir, err)
	}
	files := map[string]string{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				files[f.Name.Name] = filepath.Base(path)
			}
		}
	}
	return files
}
